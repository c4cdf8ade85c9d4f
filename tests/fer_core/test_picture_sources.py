import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from fer_core.errors import InputError
from fer_core.predictor import Unusable
from fer_core.scoring.asked_pictures import Picture
from fer_core.scoring.sources import open_source

RATE = 10


@pytest.fixture
def folder(tmp_path):
    """Four pictures at two depths, and files that nobody asked about."""
    folder = tmp_path / "faces"
    (folder / "b").mkdir(parents=True)
    for at, name in enumerate(["a.png", "b/c.png", "b/d.jpg", "z.png"]):
        (folder / name).write_bytes(picture(at, name[-4:]))
    for name in ("notes.txt", "b/notes.md"):
        (folder / name).write_text("x")
    return folder


NAMES = ["a.png", "b/c.png", "b/d.jpg", "z.png"]


def picture(at, suffix=".png"):
    return cv2.imencode(suffix, np.full((8, 8, 3), 3 * at, np.uint8))[1].tobytes()


def names_of(source, every=None):
    return [one.source_path for one in open_source(str(source), every).pictures()]


def contents_of(source, every=None, first=0, stop=None):
    """What is read in parts of two, as shards are."""
    opened = open_source(str(source), every)
    pictures = list(opened.pictures())[first:stop]
    parts = [opened.read(pictures[at : at + 2], first + at) for at in range(0, len(pictures), 2)]
    return [content for part in parts for content in part]


def test_a_folder_is_its_pictures_at_any_depth(folder):
    assert names_of(folder) == NAMES
    assert contents_of(folder) == [(folder / name).read_bytes() for name in NAMES]
    digests = [one.sha256 for one in open_source(str(folder)).pictures()]
    assert len(set(digests)) == len(NAMES)


def test_a_glob_is_what_it_matches_from_wherever_it_is_asked(folder, monkeypatch):
    assert names_of(f"{folder}/*.png") == ["a.png", "z.png"]
    assert names_of(f"{folder}/*/?.jpg") == ["b/d.jpg"]
    assert contents_of(f"{folder}/b/*") == [(folder / name).read_bytes() for name in NAMES[1:3]]
    monkeypatch.chdir(folder)
    assert names_of("**/*") == NAMES
    assert contents_of("b/*") == [(folder / name).read_bytes() for name in NAMES[1:3]]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(folder):
    assert names_of(folder.rename(folder.parent / "faces[1]")) == NAMES


def test_a_picture_is_itself(folder):
    assert names_of(folder / "b" / "c.png") == ["c.png"]


@pytest.mark.parametrize("column", ["path", "source_path", "image"])
def test_a_csv_names_pictures_from_its_own_folder(folder, column):
    (folder / "list.csv").write_text(f"label,{column}\n1,b/c.png\n2,nowhere.png\n3,{folder}/z.png\n4,\n")
    assert names_of(folder / "list.csv") == ["b/c.png", "nowhere.png", f"{folder}/z.png", ""]
    found = contents_of(folder / "list.csv")
    assert found[0] == (folder / "b/c.png").read_bytes()
    assert found[1:3] == [Unusable("read", "file does not exist"), (folder / "z.png").read_bytes()]
    assert found[3] == Unusable("read", "file cannot be read", "Is a directory")


def test_a_parquet_file_of_paths(folder):
    pq.write_table(pa.table({"age": [1, 2], "path": ["b/c.png", None]}), folder / "list.parquet")
    assert contents_of(folder / "list.parquet") == [
        (folder / "b/c.png").read_bytes(),
        Unusable("read", "file does not exist"),
    ]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_parquet_file_of_pictures(tmp_path, named, kind):
    data = [*map(picture, range(70)), None]  # more than are read together
    columns = {"image": pa.array(data, kind)} | ({"path": [f"p{at}" for at in range(71)]} if named else {})
    pq.write_table(pa.table(columns), tmp_path / "faces.parquet")
    assert names_of(tmp_path / "faces.parquet") == [f"p{at}" if named else f"row {at}" for at in range(71)]
    assert contents_of(tmp_path / "faces.parquet", first=66) == [*data[66:70], Unusable("read", "no image")]
    assert contents_of(tmp_path / "faces.parquet", stop=3) == data[:3]


def test_a_folder_on_another_file_system(folder):
    there = UPath("memory://bucket/faces")
    for name in [*NAMES, "notes.txt"]:
        (there / name).write_bytes((folder / name).read_bytes())
    assert names_of(there) == NAMES
    assert contents_of(there) == contents_of(folder)
    opened = open_source(str(there))
    before = list(opened.pictures())
    assert list(open_source(str(there)).pictures()) == before
    (there / "z.png").unlink()
    assert list(opened.read(before[2:], 2)) == [
        (folder / "b/d.jpg").read_bytes(),
        Unusable("read", "file cannot be read", "FileNotFoundError"),
    ]
    (there / "z.png").write_bytes(b"another")
    assert [one == two for one, two in zip(opened.pictures(), before, strict=True)] == [True] * 3 + [False]


@pytest.fixture
def talk(folder):
    """A second of video in the folder, brighter with each frame."""
    writer = cv2.VideoWriter(str(folder / "b" / "talk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 48))
    for at in range(RATE):
        writer.write(np.full((48, 64, 3), 20 * at, np.uint8))
    writer.release()
    (folder / "b" / "torn.mp4").write_text("no video")
    return folder


def test_frames_of_videos_are_pictures_where_they_are_asked_for(talk):
    assert names_of(talk) == NAMES
    frames = ["b/talk.avi#0.00s", "b/talk.avi#0.40s", "b/talk.avi#0.80s"]
    assert names_of(talk, 0.4) == [*NAMES[:3], *frames, "b/torn.mp4", "z.png"]
    assert names_of(talk / "b" / "talk.avi", 0.5) == ["talk.avi#0.00s", "talk.avi#0.50s"]
    found = contents_of(talk, 0.4)
    for image, value in zip(found[3:6], (0, 80, 160), strict=True):
        np.testing.assert_allclose(image, value, atol=4)
    assert found[6] == Unusable("read", "video cannot be read")
    assert found[7] == (talk / "z.png").read_bytes()


def test_what_changes_meanwhile_is_an_error(talk):
    opened = open_source(str(talk), 0.4)
    pictures = list(opened.pictures())
    (talk / "z.png").write_bytes(picture(9))
    with pytest.raises(InputError, match=r"z\.png has changed while it was scored; run the same command again"):
        list(opened.read(pictures[-1:], 7))
    (talk / "z.png").unlink()
    with pytest.raises(InputError, match=r"z\.png has changed"):
        list(opened.read(pictures[-1:], 7))
    with (talk / "b" / "talk.avi").open("ab") as video:
        video.write(b"more")
    with pytest.raises(InputError, match=r"talk\.avi has changed"):
        list(opened.read(pictures[3:4], 3))
    pq.write_table(pa.table({"image": [picture(0), picture(1)]}), talk / "faces.parquet")
    rows = open_source(str(talk / "faces.parquet"))
    wrong = next(iter(rows.pictures())), Picture("row 1", "0" * 64)
    with pytest.raises(InputError, match=r"faces\.parquet: row 1 has changed"):
        list(rows.read(wrong, 0))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "--source nowhere does not exist; expected a folder of pictures, at any depth, a glob"),
        ("n" * 300, "does not exist; expected"),
        ("words", "--source words holds no picture, in whatever depth: no .png, .jpg, .bmp or .tif file"),
        ("words/*.png", r"--source words/\*.png matches no picture"),
        ("notes.txt", "--source notes.txt is not a folder of pictures"),
        ("talk.mp4", "--source talk.mp4 is a video; say by --every SECONDS"),
        ("labels.csv", r"labels.csv has no column of pictures \(path, source_path, image\); its columns are a, b"),
        ("empty.csv", "empty.csv has no column of pictures .*; it holds no row"),
        ("labels.parquet", "labels.parquet has no column of pictures .*; its columns are a"),
        ("torn.parquet", "--source torn.parquet is no Parquet file"),
        ("memory://nowhere/faces", "memory://nowhere/faces .*"),
        ("nonsense://a/b", "--source nonsense://a/b cannot be listed: Unsupported filesystem"),
        ("s3://name:password@bucket/faces", "--source holds a password or a key"),
    ],
)
def test_what_is_no_source_is_named_with_the_way_out(tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").mkdir()
    for name, text in {"words/a.txt": "x", "notes.txt": "x", "talk.mp4": "x", "labels.csv": "a,b\n1,2\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "empty.csv").write_text("path\n")
    (tmp_path / "torn.parquet").write_text("PAR1")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=sentence):
        open_source(source)
