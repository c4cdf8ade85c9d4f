import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from fer_core.datasets import REGISTRY, synthetic
from fer_core.datasets.base import MAX_FILE_BYTES, Adapter, Rejected, read_picture
from fer_core.errors import InputError
from fer_core.pictures import decode, picture_problem
from fer_core.records import SAMPLE_SCHEMA
from fer_core.vocabulary import EIGHT, EXPRESSIONS

OF_INGEST = {"sample_id", "dataset", "rotation", "image", "height", "width", "source_sha256", "crop_by"}
"""Columns that an adapter leaves alone: they are the same for every data set."""
every = pytest.mark.parametrize("dataset", list(REGISTRY))
every_folder = pytest.mark.parametrize("dataset", [name for name, adapter in REGISTRY.items() if adapter.needs_source])


def by_path(scan):
    return {row["source_path"]: row for row in scan.rows}


def layout_of(dataset: str, folder: Path) -> tuple[Path | None, object]:
    """A small folder as the data set unpacks to, and the options it is read with."""
    if dataset == "synthetic":
        return None, synthetic.SyntheticOptions(identities=2, takes=1)
    return importlib.import_module(f"layouts.{dataset}").write(folder), None


@every
def test_records_are_unique_rows_of_the_schema_whose_pictures_can_be_read(tmp_path, dataset):
    source, options = layout_of(dataset, tmp_path)
    adapter = REGISTRY[dataset]
    scan = adapter.scan(source, options)
    assert len(by_path(scan)) == len(scan.rows) > 0
    for row in scan.rows:
        picture = adapter.picture(source, row)
        known = {**row, **picture.known}
        assert known.keys() <= set(SAMPLE_SCHEMA.names) - OF_INGEST
        assert known.get("expression") in (None, *EXPRESSIONS)
        assert known.get("split") in (None, "train", "valid", "test")
        assert picture_problem(picture.image) is None
        height, width = decode(picture.image).shape[:2]
        (read,) = pa.Table.from_pylist([known], schema=SAMPLE_SCHEMA).to_pylist()
        assert_is_sensible(read, height, width)


def assert_is_sensible(row, height, width):
    assert not row["source_path"].startswith(("/", ".."))
    for name in ("landmarks", "landmarks_3d"):
        assert row[name] is None or (len(row[name]) % 3 == 0 and np.isfinite(row[name]).all() and len(row[name]) > 3)
    assert row["intensity"] is None or 0 <= row["intensity"] <= 1
    assert row["pose_yaw"] is None or -180 <= row["pose_yaw"] <= 180
    if row["face_box"] is not None:
        x0, y0, x1, y1 = row["face_box"]
        assert x0 < x1
        assert y0 < y1
        assert min(x1, width) > max(x0, 0)
        assert min(y1, height) > max(y0, 0)


@every
def test_records_come_in_the_same_order_each_time_and_one_by_one(tmp_path, dataset):
    source, options = layout_of(dataset, tmp_path)
    adapter = REGISTRY[dataset]
    scan = adapter.scan(source, options)
    assert adapter.scan(source, options) == scan
    stream = adapter.stream(source, options)
    assert iter(stream) is stream
    assert next(stream) in [*scan.rows, *scan.rejected]


@every
def test_a_form_suits_the_pictures_and_a_data_set_says_what_it_is(tmp_path, dataset):
    source, options = layout_of(dataset, tmp_path)
    adapter = REGISTRY[dataset]
    form = adapter.form(source, options or (adapter.options() if adapter.options else None))
    assert 16 <= form.patch < form.face_size <= 1024
    assert adapter.layout
    assert adapter.protocol


@every_folder
def test_what_is_no_such_folder_is_an_error_that_says_what_is_expected(tmp_path, dataset):
    scan, layout = REGISTRY[dataset].scan, REGISTRY[dataset].layout
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, problem in (
        ("nowhere", "does not exist"),
        ("file", "is a file, not a folder"),
        ("empty", "is empty"),
    ):
        with pytest.raises(InputError, match=problem) as error:
            scan(tmp_path / name)
        assert layout in str(error.value)
        assert str(tmp_path / name) in str(error.value)


@every_folder
@pytest.mark.parametrize("inside", ["diary/", "diary/monday.txt", "notes.txt"])
def test_a_wrong_folder_is_an_error_that_says_what_is_expected_and_what_was_found(tmp_path, dataset, inside):
    folder, _, file = f"{tmp_path}/holiday/{inside}".rpartition("/")
    Path(folder).mkdir(parents=True)
    if file:
        Path(folder, file).write_text("sun")
    with pytest.raises(InputError) as error:
        REGISTRY[dataset].scan(tmp_path / "holiday")
    message = str(error.value)
    assert REGISTRY[dataset].layout in message
    assert inside.split("/")[0] in message.split("found ")[-1]


def test_a_file_name_that_is_no_unicode_is_set_aside():
    name = "a\udcff.png"
    adapter = Adapter(lambda source, options: iter([{"source_path": name}, {"source_path": "b.png"}]), "-", "-")
    scan = adapter.scan(Path(__file__).parent)
    assert scan.rows == [{"source_path": "b.png"}]
    assert scan.rejected == [Rejected(name, "file name is not UTF-8")]


def test_a_data_set_with_options_gets_its_defaults():
    seen = []
    adapter = Adapter(
        lambda *given: seen.append(given) or iter(()), "-", "-", options=synthetic.SyntheticOptions, needs_source=False
    )
    adapter.scan()
    assert seen == [(None, synthetic.SyntheticOptions())]


def test_a_picture_that_is_no_regular_file_or_too_large_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    assert read_picture(tmp_path, {"source_path": "a.png"}) == (b"1", {})
    (tmp_path / "folder.png").mkdir()
    with (tmp_path / "sparse.png").open("wb") as sparse:
        sparse.truncate(MAX_FILE_BYTES + 1)
    for name, problem in (("gone.png", "No such file"), ("folder.png", "not a regular"), ("sparse.png", "at most")):
        with pytest.raises(OSError, match=problem):
            read_picture(tmp_path, {"source_path": name})


def test_synthetic_rows_say_what_is_drawn():
    options = synthetic.SyntheticOptions(identities=3, takes=2, max_yaw=15)
    scan = synthetic.ADAPTER.scan(None, options)
    assert len(by_path(scan)) == len(scan.rows) == 3 * 2 * len(EIGHT)
    assert {row["subject_id"] for row in scan.rows} == {"P00000", "P00001", "P00002"}
    assert all(abs(row["pose_yaw"]) <= 15 for row in scan.rows)
    for row in scan.rows:
        assert (row["intensity"] == 0.0) == (row["expression"] == "neutral")
        assert row["intensity"] == 0.0 or synthetic.LEAST_DEGREE <= row["intensity"] <= 1.0
    assert synthetic.ADAPTER.scan(None, options) == scan


def test_other_seeds_are_other_people():
    first = synthetic.ADAPTER.scan(None, synthetic.SyntheticOptions(identities=2))
    other = synthetic.ADAPTER.scan(None, synthetic.SyntheticOptions(identities=2, first_seed=2))
    assert not {row["subject_id"] for row in first.rows} & {row["subject_id"] for row in other.rows}


def test_a_synthetic_picture_is_drawn_from_its_row_alone():
    row = synthetic.ADAPTER.scan(None, synthetic.SyntheticOptions(identities=1, takes=1)).rows[3]
    picture = synthetic.picture(None, row)
    assert picture == synthetic.picture(None, {"source_path": row["source_path"]})
    image = decode(picture.image)
    assert image.shape == (synthetic.PICTURE_SIZE, synthetic.PICTURE_SIZE, 3)
    assert len(picture.known["landmarks"]) == 83 * 3


@pytest.mark.parametrize(
    "values", [{"identities": 0}, {"takes": 0}, {"max_yaw": 46}, {"first_seed": -1}, {"identity": 3}]
)
def test_impossible_and_unknown_options_are_errors(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        synthetic.SyntheticOptions(**values)


def test_options_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        synthetic.SyntheticOptions().takes = 3
