from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pytest
import tiny

from fer_core.datasets.base import Rejected
from fer_core.detection import Detection
from fer_core.directories import read_manifest, read_tables, shards_of
from fer_core.faces import crop, finding
from fer_core.faces.crop import face_partition, write_face_shard
from fer_core.faces.finding import ROTATIONS, Cropping
from fer_core.faces.placement import EYES_AT, SIDE, by_box, by_landmarks, transform_of
from fer_core.faces.warp import crops_of
from fer_core.ingest.scanning import summary_of
from fer_core.pictures import decode
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import PictureReader
from fer_core.synthetic import Face, render

RNG = np.random.default_rng(0)
FIVE_P2 = np.array([[70.0, 60.0], [120.0, 64.0], [96.0, 92.0], [74.0, 118.0], [113.0, 121.0]])


def smooth(height, width, channels=()):
    """Noise without detail, so that how often it is interpolated matters little."""
    noise = cv2.GaussianBlur(RNG.uniform(0, 255, (height, width, *channels)).astype(np.float32), (0, 0), 8)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


PICTURE = smooth(200, 180)
SMALL = smooth(48, 48)


def catalog_row(image=PICTURE, landmarks_P2=None, **known):
    data = cv2.imencode(".png", image if image.ndim == 2 else image[..., ::-1])[1].tobytes()
    flat = None
    if landmarks_P2 is not None:
        flat = np.hstack([landmarks_P2, np.zeros((len(landmarks_P2), 3 - landmarks_P2.shape[1]))]).ravel().tolist()
    row = {"sample_id": "0" * 16, "dataset": "own", "source_path": "p", "image": data, "landmarks": flat}
    return {**dict.fromkeys(SAMPLE_SCHEMA.names), **row, **known}


def partition_of(rows, face_size=48, rotations=(0.0,), **options):
    table = pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)
    made, rejected = face_partition(table, Cropping(face_size, rotations, **options))
    return made.to_pylist(), rejected


def crop_of(row, **options):
    (made,), rejected = partition_of([row], **options)
    assert rejected == []
    return made


def moved(points, placement, face_size=48):
    transform = transform_of(placement, face_size, 0.0)
    return points @ transform[:, :2].T + transform[:, 2]


def detection(shift=(0.0, 0.0), scale=1.0, how="mtcnn", score=0.9):
    points = FIVE_P2 * scale + shift
    low, high = points.min(axis=0) - 20 * scale, points.max(axis=0) + 20 * scale
    return Detection((*low.tolist(), *high.tolist()), score, points.astype(np.float32), how)


@dataclass
class Stub:
    """Finds in every picture what it is told to, and counts the pictures."""

    found: list
    num_pictures: int = 0

    def detect(self, images):
        self.num_pictures += len(images)
        return [self.found for _ in images]


@pytest.fixture
def finds(monkeypatch):
    """Say what the detector finds in each picture."""

    def say(*found):
        stub = Stub(list(found))
        monkeypatch.setattr(finding, "_detector", lambda: stub)
        return stub

    return say


@pytest.fixture(autouse=True)
def no_detector(monkeypatch):
    """Unless a test says what is found, nothing may be looked for."""

    def refuse():
        raise AssertionError("a face was looked for")

    monkeypatch.setattr(finding, "_detector", refuse)


def test_annotated_landmarks_go_before_the_frame_and_the_detector():
    row = catalog_row(SMALL, FIVE_P2 / 4, is_face_crop=True)
    made = crop_of(row)
    assert made["crop_by"] == "landmarks"
    placed = by_landmarks(np.array(row["landmarks"]).reshape(-1, 3), None, "landmarks")
    np.testing.assert_array_equal(decode(made["image"]), crops_of(SMALL, placed.placement, 48)[0])


def test_a_face_crop_without_landmarks_is_its_own_frame():
    made = crop_of(catalog_row(SMALL, is_face_crop=True))
    assert (made["crop_by"], made["landmarks"], made["pose_yaw"]) == ("frame", None, None)
    np.testing.assert_array_equal(decode(made["image"]), SMALL)


def test_other_pictures_are_cropped_by_what_is_found(finds):
    stub = finds(detection(how="mtcnn, second look"))
    made = crop_of(catalog_row())
    assert stub.num_pictures == 1
    assert made["crop_by"] == "mtcnn, second look"
    placed = by_landmarks(FIVE_P2.astype(np.float32).astype(float), None, "mtcnn")
    np.testing.assert_array_equal(decode(made["image"]), crops_of(PICTURE, placed.placement, 48)[0])
    points = np.array(made["landmarks"]).reshape(-1, 3)
    np.testing.assert_allclose(points[:, :2], moved(FIVE_P2, placed.placement), atol=1e-3)
    assert (points[:, 2] == 0).all()


def test_mtcnn_goes_before_annotated_landmarks_and_the_frame_where_it_is_asked_for(finds):
    stub = finds(detection())
    rows = [catalog_row(PICTURE, FIVE_P2 + 9), catalog_row(PICTURE, is_face_crop=True), catalog_row()]
    made, rejected = partition_of(rows, landmarks="mtcnn")
    assert [row["crop_by"] for row in made] == ["mtcnn"] * 3
    assert rejected == []
    assert stub.num_pictures == 3


def test_annotated_only_sets_the_others_aside():
    rows = [catalog_row(PICTURE, FIVE_P2), catalog_row(PICTURE, is_face_crop=True), catalog_row()]
    made, rejected = partition_of(rows, landmarks="annotated")
    assert [row["crop_by"] for row in made] == ["landmarks"]
    assert rejected == [Rejected("p", "no annotated landmarks")] * 2


@pytest.mark.parametrize("count", [5, 30])
def test_landmarks_that_are_one_point_are_set_aside_and_not_guessed(count):
    made, rejected = partition_of([catalog_row(PICTURE, np.full((count, 2), 40.0))])
    assert made == []
    assert rejected == [Rejected("p", "all landmarks are one point")]


def test_landmarks_of_an_unknown_number_crop_by_their_box():
    made = crop_of(catalog_row(PICTURE, RNG.uniform(40, 120, (30, 2))))
    assert made["crop_by"] == "box of landmarks"
    assert (made["pose_yaw"], made["pose_bin"], made["pose_by"]) == (None, None, None)


def test_a_picture_without_a_face_is_set_aside_or_its_central_square_taken(finds):
    finds()
    made, rejected = partition_of([catalog_row()])
    assert (made, rejected) == ([], [Rejected("p", "no face found")])
    made = crop_of(catalog_row(), face_size=180, no_face="centre")
    assert (made["crop_by"], made["landmarks"], made["pose_yaw"]) == ("centre", None, None)
    assert np.abs(decode(made["image"]).astype(int) - PICTURE[10:190]).mean() < 2  # JPEG


@pytest.mark.parametrize("no_face", ["aside", "centre"])
def test_the_annotated_box_is_taken_where_no_face_is_found(finds, no_face):
    box = [30.0, 40.0, 110.0, 130.0]
    finds()
    made = crop_of(catalog_row(face_box=box), no_face=no_face)
    assert (made["crop_by"], made["face_box"], made["landmarks"]) == ("face box", None, None)
    placement = by_box(np.array(box[:2]), np.array(box[2:]), "face box")
    np.testing.assert_array_equal(decode(made["image"]), crops_of(PICTURE, placement, 48)[0])
    finds(detection())
    assert crop_of(catalog_row(face_box=box), no_face=no_face)["crop_by"] == "mtcnn"


def test_a_box_that_is_one_point_is_no_face(finds):
    finds()
    assert partition_of([catalog_row(face_box=[5.0, 5.0, 5.0, 5.0])])[1] == [Rejected("p", "no face found")]


def test_of_several_faces_the_largest_or_the_central_is_taken(finds):
    large, central = detection(shift=(60, 70)), detection(shift=(42, 55), scale=0.5)
    finds(central, large)
    for which, expected in (("largest", large), ("central", central)):
        made = crop_of(catalog_row(), face=which)
        placed = by_landmarks(expected.landmarks_52.astype(float), None, "x")
        np.testing.assert_array_equal(decode(made["image"]), crops_of(PICTURE, placed.placement, 48)[0])


def test_detection_sees_only_the_pictures_that_need_it_and_rows_keep_their_order(finds):
    stub = finds(detection())
    rows = [
        catalog_row(SMALL, is_face_crop=True, source_path="0"),
        catalog_row(source_path="1"),
        catalog_row(PICTURE, FIVE_P2, source_path="2"),
        catalog_row(source_path="3"),
    ] * 20
    made, _ = partition_of(rows)
    assert [row["source_path"] for row in made] == ["0", "1", "2", "3"] * 20
    assert [row["crop_by"] for row in made] == ["frame", "mtcnn", "landmarks", "mtcnn"] * 20
    assert stub.num_pictures == 40


@pytest.mark.parametrize("face_size", [40, 90])  # shrunk 3-fold, with smoothing, and less than twofold
@pytest.mark.parametrize("rotation", [-10.0, 0.0, 10.0])
@pytest.mark.parametrize("virtual", [False, True])
def test_landmarks_move_with_the_pixels(face_size, rotation, virtual):
    points = FIVE_P2 * 2
    landmarks = np.hstack([points, np.linspace(-10, 10, 5)[:, None]])
    y, x = np.mgrid[:400, :360]
    for place, (px, py) in enumerate(points):
        dot = 250 * np.exp(-((y - py) ** 2 + (x - px) ** 2) / (2 * 3.0**2))
        row = catalog_row(dot.astype(np.uint8), landmarks)
        made = partition_of([row], face_size, (rotation, 0.0)[: 2 - (rotation == 0)], virtual=virtual)[0][0]
        crop_ = decode(made["image"]).astype(float)
        crop_[crop_ < 8] = 0  # what JPEG adds far from the dot
        found = [(crop_ * axis).sum() / crop_.sum() for axis in np.mgrid[: made["height"], : made["width"]][::-1]]
        moved_P3 = np.array(made["landmarks"]).reshape(-1, 3)
        np.testing.assert_allclose(moved_P3[place, :2], found, atol=0.25)  # pixels of the crop
    side = by_landmarks(points, None, "landmarks").placement.side
    np.testing.assert_allclose(moved_P3[:, 2], landmarks[:, 2] * face_size / side, rtol=1e-5)


def test_a_pose_of_the_data_set_is_kept_and_an_estimate_says_that_it_is_one():
    _, marks = render(Face(1, "neutral", 0.0, 40.0), 96)
    picture = smooth(96, 96)
    estimated = crop_of(catalog_row(picture, marks))
    assert estimated["pose_yaw"] == pytest.approx(40, abs=4)
    assert (estimated["pose_bin"], estimated["pose_by"]) == (45, "landmarks")
    known = crop_of(catalog_row(picture, marks, pose_yaw=-30.0, pose_bin=-45))
    assert (known["pose_yaw"], known["pose_bin"], known["pose_by"]) == (-30.0, -45, None)
    without_bin = crop_of(catalog_row(picture, marks, pose_yaw=-80.0))
    assert (without_bin["pose_yaw"], without_bin["pose_bin"], without_bin["pose_by"]) == (-80.0, -90, None)
    unknown = crop_of(catalog_row(SMALL, is_face_crop=True))
    assert (unknown["pose_yaw"], unknown["pose_bin"], unknown["pose_by"]) == (None, None, None)


def test_a_known_pose_places_the_face():
    _, marks = render(Face(1, "neutral", 0.0, 0.0), 96)
    frontal, profile = (crop_of(catalog_row(smooth(96, 96), marks, pose_yaw=yaw)) for yaw in (0.0, 90.0))
    shift = np.array(profile["landmarks"])[::3] - np.array(frontal["landmarks"])[::3]
    assert shift.mean() == pytest.approx(0.17 * 48, abs=0.1)  # the square moves back, the face forward in it


@pytest.mark.parametrize(
    ("split", "rotations"), [(None, ROTATIONS), ("train", ROTATIONS), ("valid", (0.0,)), ("test", (0.0,))]
)
def test_only_rows_that_may_be_trained_on_are_turned(split, rotations):
    row = catalog_row(SMALL, is_face_crop=True, split=split, expression="fear")
    rows, rejected = partition_of([row], 40, ROTATIONS)
    assert rejected == []
    assert tuple(made["rotation"] for made in rows) == rotations
    for made in rows:
        changed = {"rotation", "image", "landmarks", "height", "width", "crop_by"}
        assert {key: value for key, value in made.items() if key not in changed} == {
            key: value for key, value in row.items() if key not in changed
        }
        assert (made["height"], made["width"]) == decode(made["image"]).shape == (40, 40)
        assert made["landmarks"] is None


def test_each_rotation_is_of_the_original_not_of_the_one_before():
    row = catalog_row(SMALL, is_face_crop=True)
    together, _ = partition_of([row], rotations=ROTATIONS)
    alone = [partition_of([row], rotations=(rotation,))[0][0] for rotation in ROTATIONS]
    assert together == alone


def test_grey_stays_grey_and_colour_keeps_its_channels():
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 200
    assert decode(crop_of(catalog_row(SMALL, is_face_crop=True))["image"]).shape == (48, 48)
    np.testing.assert_array_equal(decode(crop_of(catalog_row(red, is_face_crop=True))["image"]), red)


@pytest.mark.parametrize("rotations", [ROTATIONS, (-45.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("face_size", [16, 48, 236])
def test_the_margin_is_just_enough_for_the_largest_turn(face_size, rotations):
    margin = Cropping(face_size, rotations, virtual=True).margin
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * face_size / 2
    for angle in rotations:
        turn = np.deg2rad(angle)
        reach = np.abs(corner @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).max()
        assert reach <= face_size / 2 + margin + 1e-9
    turn = np.deg2rad(max(map(abs, rotations)))
    assert margin - 1 < face_size / 2 * (np.cos(turn) + np.sin(turn) - 1)


def test_there_is_no_margin_unless_the_form_is_virtual_and_turns():
    assert Cropping(48, ROTATIONS).margin == 0
    assert Cropping(48, (0.0,), virtual=True).margin == 0


@pytest.mark.parametrize("split", ["train", None, "test"])
def test_the_virtual_form_is_one_upright_row_round_the_offline_one(split):
    row = catalog_row(PICTURE, FIVE_P2, split=split)
    upright = crop_of(row, rotations=(0.0,))
    (made,), _ = partition_of([row], rotations=ROTATIONS, virtual=True)
    margin = Cropping(48, ROTATIONS, virtual=True).margin
    assert margin == 4
    assert (made["height"], made["width"], made["rotation"]) == (56, 56, 0.0)
    inner = decode(made["image"])[margin:-margin, margin:-margin]
    difference = np.abs(inner.astype(int) - decode(upright["image"]))
    assert difference.max() <= 1  # OpenCV rounds places to 1/32 pixel
    points, wide = (np.array(one["landmarks"]).reshape(-1, 3) for one in (upright, made))
    np.testing.assert_allclose(wide - points, np.tile([margin, margin, 0], (len(points), 1)), atol=1e-4)


def test_a_virtual_crop_in_a_picture_is_filled_with_the_picture():
    """The corners of the margin are what lies there, not the border repeated."""
    picture = np.full((200, 180), 90, np.uint8)
    side = SIDE * np.linalg.norm(FIVE_P2[3:].mean(axis=0) - FIVE_P2[:2].mean(axis=0))
    assert side * 56 / 48 < 180
    (made,), _ = partition_of([catalog_row(picture, FIVE_P2)], rotations=ROTATIONS, virtual=True)
    assert (decode(made["image"]) == 90).all()


def test_a_faces_directory_holds_the_whole_catalog_in_the_same_bytes_each_time(tmp_path, tiny_catalog):
    first = tiny.write_faces(tmp_path / "a", tiny_catalog, 48, ROTATIONS)
    manifest = read_manifest(first)
    assert manifest.summary["rows"] == 48 * len(ROTATIONS)
    assert manifest.summary["set_aside"] == {}
    assert manifest.summary["crop_by"] == {"frame": 48 * len(ROTATIONS)}
    table = read_tables(first, "part-", ["sample_id", "rotation"]).to_pylist()
    ids = read_tables(tiny_catalog, "part-", ["sample_id"])["sample_id"].to_pylist()
    assert [(row["sample_id"], row["rotation"]) for row in table] == [(one, turn) for one in ids for turn in ROTATIONS]
    assert len(PictureReader(first)) == 48 * len(ROTATIONS)
    assert read_manifest(tiny.write_faces(tmp_path / "b", tiny_catalog, 48, ROTATIONS)).content == manifest.content


@pytest.mark.parametrize("lost", ["part-00001.parquet", "index-00001.parquet", "aside-00001.parquet"])
def test_cropping_goes_on_at_the_missing_file(tmp_path, tiny_catalog, monkeypatch, lost):
    folder = tmp_path / "faces"
    folder.mkdir()
    shards = shards_of(tiny_catalog, "part-")
    cropping = Cropping(48, (0.0,))
    for name, shard in shards.items():
        assert write_face_shard(tiny_catalog / name, shard["sha256"], folder, cropping) == 16
    bytes_of = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(bytes_of) == 9
    (folder / lost).unlink()
    cropped = []
    partition = crop.face_partition
    monkeypatch.setattr(crop, "face_partition", lambda *arguments: cropped.append(1) or partition(*arguments))
    for name, shard in shards.items():
        write_face_shard(tiny_catalog / name, shard["sha256"], folder, cropping)
    assert len(cropped) == 1
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == bytes_of


def test_what_was_set_aside_is_kept_with_its_reason(tmp_path, finds):
    finds()
    rows = [catalog_row(source_path="a"), catalog_row(SMALL, is_face_crop=True, source_path="b", sample_id="1")]
    table, rejected = face_partition(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), Cropping(48))
    assert table["source_path"].to_pylist() == ["b"] * 5
    assert rejected == [Rejected("a", "no face found")]
    assert table.schema.equals(SAMPLE_SCHEMA)
    empty, _ = face_partition(table.slice(0, 0), Cropping(48))
    assert empty.schema.equals(SAMPLE_SCHEMA)
    assert summary_of(tmp_path)["crop_by"] == {}


@pytest.mark.parametrize("yaw", [-20.0, 0.0, 25.0])
def test_a_drawn_face_is_found_and_cropped_as_by_its_own_landmarks(monkeypatch, yaw):
    """The real detector, on a picture with the face in a corner."""
    monkeypatch.undo()
    face, marks = render(Face(2, "happiness", 0.6, yaw), 128)
    picture = np.full((200, 260, 3), 120, np.uint8)
    picture[60:188, 100:228] = face
    landmarks = marks.astype(float) + np.array([100, 60, 0])
    annotated = crop_of(catalog_row(picture, landmarks), face_size=64)
    found = crop_of(catalog_row(picture), face_size=64)
    assert (annotated["crop_by"], found["crop_by"]) == ("landmarks", "mtcnn")
    assert found["pose_by"] == "landmarks"
    # pixels of 64: the two crops show the eyes and the mouth at the same places
    eyes = np.array(found["landmarks"]).reshape(-1, 3)[:2, :2].mean(axis=0)
    assert eyes[1] == pytest.approx(EYES_AT * 64, abs=1)
    shift, _ = cv2.phaseCorrelate(*(_grey(one["image"]) for one in (annotated, found)))
    assert np.hypot(*shift) < 4


def _grey(data):
    return cv2.cvtColor(decode(data), cv2.COLOR_RGB2GRAY).astype(np.float64)


def test_of_several_faces_that_of_the_annotated_box_is_taken(finds):
    large, small = detection(), detection(shift=(-5.0, -5.0), scale=0.4)
    finds(large, small)
    box = [float(at) for at in small.box]
    marked = crop_of(catalog_row(face_box=box))
    assert marked["crop_by"] == "mtcnn"
    placed = by_landmarks(small.landmarks_52.astype(float), None, "mtcnn")
    np.testing.assert_array_equal(decode(marked["image"]), crops_of(PICTURE, placed.placement, 48)[0])
    elsewhere = crop_of(catalog_row(face_box=[0.0, 160.0, 30.0, 190.0]))
    assert elsewhere["crop_by"] == "face box"
