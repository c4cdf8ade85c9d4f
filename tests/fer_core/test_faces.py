import cv2
import numpy as np
import pyarrow as pa
import pytest
import tiny

from fer_core import faces
from fer_core.datasets.base import Rejected
from fer_core.directories import read_manifest, read_tables
from fer_core.faces import PNG_UP_TO, ROTATIONS, encode, face_partition, face_transform, warp, write_face_shard
from fer_core.ingest import decode
from fer_core.records import SAMPLE_SCHEMA

RNG = np.random.default_rng(0)
LANDMARKS_P2 = np.array([[70.0, 60.0], [120.0, 64.0], [95.0, 90.0], [78.0, 118.0], [115.5, 120.25]])


def smooth(height, width, channels=()):
    """Noise without detail, so that how often it is interpolated matters little."""
    noise = RNG.uniform(0, 255, (height, width, *channels)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 8)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def apply(transform, points):
    return points @ transform[:, :2].T + transform[:, 2]


def catalog_row(image, landmarks_P3=None, dataset="synthetic", **known):
    data = cv2.imencode(".png", image)[1].tobytes()
    flat = None if landmarks_P3 is None else landmarks_P3.ravel().tolist()
    row = {"sample_id": "0" * 16, "dataset": dataset, "source_path": "p", "image": data, "landmarks": flat}
    return {**dict.fromkeys(SAMPLE_SCHEMA.names), **row, **known}


def partition_of(rows, face_size=48, rotations=ROTATIONS):
    made, rejected = face_partition(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), face_size, rotations)
    return made.to_pylist(), rejected


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 3)])
def test_a_crop_of_the_whole_frame_at_its_size_is_the_picture(shape):
    image = RNG.integers(0, 256, shape, dtype=np.uint8)
    transform = face_transform(None, 48, 48, 48, 0.0)
    np.testing.assert_array_equal(transform, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(warp(image, transform, 48), image)


def test_the_frame_is_cut_to_its_largest_centred_square():
    image = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, face_transform(None, 40, 60, 40, 0.0), 40), image[:, 10:50])
    tall = np.ascontiguousarray(image.T)
    np.testing.assert_array_equal(warp(tall, face_transform(None, 60, 40, 40, 0.0), 40), tall[10:50])


@pytest.mark.parametrize("rotation", [-45.0, -10.0, 0.0, 5.0, 30.0])
@pytest.mark.parametrize("face_size", [48, 236])
def test_the_transform_is_opencvs_rotation_about_the_centre_then_a_shift(rotation, face_size):
    low, high = LANDMARKS_P2.min(axis=0), LANDMARKS_P2.max(axis=0)
    centre, side = (low + high) / 2, 1.3 * (high - low).max()
    expected = cv2.getRotationMatrix2D(tuple(centre), rotation, face_size / side)
    expected[:, 2] += (face_size - 1) / 2 - centre
    made = face_transform(LANDMARKS_P2, 200, 180, face_size, rotation)
    np.testing.assert_allclose(made, expected, atol=1e-4)  # OpenCV rounds the centre to float32
    assert made.dtype == np.float64


def test_a_positive_rotation_is_counter_clockwise():
    turned = apply(face_transform(None, 101, 101, 101, 90.0), np.array([[100.0, 50.0]]))
    np.testing.assert_allclose(turned, [[50.0, 0.0]], atol=1e-12)  # from the right to the top


def test_upright_landmarks_lie_centred_with_the_margin_around_them():
    moved = apply(face_transform(LANDMARKS_P2, 200, 180, 130, 0.0), LANDMARKS_P2)
    low, high = moved.min(axis=0), moved.max(axis=0)
    np.testing.assert_allclose(low + high, [129, 129], atol=1e-9)
    np.testing.assert_allclose((high - low).max(), 100, atol=1e-9)  # 130 / (1 + 2 * 0.15)


@pytest.mark.parametrize("rotation", [-10.0, 0.0, 5.0])
@pytest.mark.parametrize("face_size", [60, 96])
def test_one_warp_is_turning_cropping_and_resizing_one_after_another(rotation, face_size):
    image = smooth(200, 180)
    low, high = LANDMARKS_P2.min(axis=0), LANDMARKS_P2.max(axis=0)
    centre, side = (low + high) / 2, 1.3 * (high - low).max()
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D(tuple(centre), rotation, 1.0), (180, 200))
    cropped = cv2.getRectSubPix(turned, (round(side), round(side)), tuple(centre))
    apart = cv2.resize(cropped, (face_size, face_size), interpolation=cv2.INTER_LINEAR)
    once = warp(image, face_transform(LANDMARKS_P2, 200, 180, face_size, rotation), face_size)
    difference = np.abs(once.astype(int) - apart)
    assert difference.mean() < 1  # grey levels of 255
    assert difference.max() <= 4


def test_a_strong_shrink_averages_instead_of_picking_pixels():
    checks = np.indices((240, 240)).sum(axis=0) % 2 * 255
    small = warp(checks.astype(np.uint8), face_transform(None, 240, 240, 48, 0.0), 48)
    assert np.abs(small.astype(int) - 128).max() <= 3


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_turning_brings_no_foreign_pixels_in(rotation):
    image = np.full((48, 48), 77, np.uint8)
    assert (warp(image, face_transform(None, 48, 48, 48, rotation), 48) == 77).all()


@pytest.mark.parametrize("face_size", [40, 90])  # shrunk 3-fold, with smoothing, and less than twofold
@pytest.mark.parametrize("rotation", [-10.0, 0.0, 10.0])
def test_landmarks_move_with_the_pixels(face_size, rotation):
    points = LANDMARKS_P2 * 2
    landmarks = np.hstack([points, np.linspace(-10, 10, 5)[:, None]])
    y, x = np.mgrid[:400, :360]
    for place, (px, py) in enumerate(points):
        dot = 250 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2))
        rows, _ = partition_of([catalog_row(dot.astype(np.uint8), landmarks)], face_size, (rotation,))
        crop = decode(rows[0]["image"]).astype(float)
        found = [(crop * axis).sum() / crop.sum() for axis in np.mgrid[:face_size, :face_size][::-1]]
        moved = np.array(rows[0]["landmarks"]).reshape(-1, 3)
        np.testing.assert_allclose(moved[place, :2], found, atol=0.25)  # pixels of the crop
    scale = face_size / (1.3 * np.ptp(points, axis=0).max())
    np.testing.assert_allclose(moved[:, 2], landmarks[:, 2] * scale, rtol=1e-6)


@pytest.mark.parametrize("face_size", [PNG_UP_TO, PNG_UP_TO + 1])
def test_small_crops_are_kept_exactly_and_large_ones_as_jpeg(face_size):
    image = smooth(face_size, face_size, (3,))
    data = encode(image)
    difference = np.abs(decode(data).astype(int) - image).max()
    assert data.startswith(b"\x89PNG") if face_size == PNG_UP_TO else data.startswith(b"\xff\xd8")
    assert difference == 0 if face_size == PNG_UP_TO else 0 < difference <= 12


def test_grey_stays_grey_and_colour_keeps_its_channels():
    red = np.zeros((48, 48, 3), np.uint8)
    red[..., 0] = 200
    (grey,), _ = partition_of([catalog_row(smooth(48, 48), dataset="ck_plus")], rotations=(5.0,))
    (colour,), _ = partition_of([catalog_row(red[..., ::-1], dataset="ck_plus")], rotations=(0.0,))
    assert decode(grey["image"]).shape == (48, 48)
    np.testing.assert_array_equal(decode(colour["image"]), red)


@pytest.mark.parametrize(
    ("split", "rotations"), [(None, ROTATIONS), ("train", ROTATIONS), ("valid", (0.0,)), ("test", (0.0,))]
)
def test_only_rows_that_may_be_trained_on_are_turned(split, rotations):
    row = catalog_row(smooth(48, 48), dataset="ferplus", split=split, expression="fear")
    rows, rejected = partition_of([row], 40)
    assert rejected == []
    assert tuple(made["rotation"] for made in rows) == rotations
    for made in rows:
        changed = {"rotation", "image", "landmarks", "height", "width"}
        assert {key: value for key, value in made.items() if key not in changed} == {
            key: value for key, value in row.items() if key not in changed
        }
        assert (made["height"], made["width"]) == decode(made["image"]).shape == (40, 40)
        assert made["landmarks"] is None


def test_each_rotation_is_of_the_original_not_of_the_one_before():
    row = catalog_row(smooth(48, 48), dataset="ck_plus")
    together, _ = partition_of([row])
    alone = [partition_of([row], rotations=(rotation,))[0][0] for rotation in ROTATIONS]
    assert together == alone


def test_a_picture_without_landmarks_that_is_no_face_crop_is_set_aside():
    rows, rejected = partition_of([catalog_row(smooth(48, 48))])
    assert rows == []
    assert rejected == [Rejected("p", "no landmarks to crop by")]


def test_a_faces_directory_holds_the_whole_catalog_in_the_same_bytes_each_time(tmp_path, tiny_catalog, monkeypatch):
    first = tiny.write_faces(tmp_path / "a", tiny_catalog, 48, ROTATIONS)
    manifest = read_manifest(first)
    assert manifest.summary["rows"] == 48 * len(ROTATIONS)
    assert manifest.summary["set_aside"] == {}
    table = read_tables(first, "part-", ["sample_id", "rotation"]).to_pylist()
    ids = read_tables(tiny_catalog, "part-", ["sample_id"])["sample_id"].to_pylist()
    assert [(row["sample_id"], row["rotation"]) for row in table] == [(one, turn) for one in ids for turn in ROTATIONS]
    assert read_manifest(tiny.write_faces(tmp_path / "b", tiny_catalog, 48, ROTATIONS)).content == manifest.content


def test_cropping_goes_on_at_the_missing_shard(tmp_path, tiny_catalog, monkeypatch):
    folder = tmp_path / "faces"
    folder.mkdir()
    names = [f"part-{number:05d}.parquet" for number in range(3)]
    for name in names:
        assert write_face_shard(tiny_catalog, name, folder, 48, (0.0,)) == 16
    bytes_of = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(bytes_of) == 6
    (folder / names[1]).unlink()
    (folder / "aside-00002.parquet").unlink()
    cropped = []
    partition = faces.face_partition
    monkeypatch.setattr(faces, "face_partition", lambda *arguments: cropped.append(1) or partition(*arguments))
    for name in names:
        write_face_shard(tiny_catalog, name, folder, 48, (0.0,))
    assert len(cropped) == 2
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == bytes_of
