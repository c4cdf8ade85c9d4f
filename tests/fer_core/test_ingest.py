import hashlib
import os
import tracemalloc
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from PIL import Image
from tiny import encoded, png_header

from fer_core.datasets import REGISTRY, ck_plus
from fer_core.datasets.base import MAX_FILE_BYTES, Adapter, Picture, Rejected
from fer_core.directories import read_manifest, read_tables
from fer_core.errors import InputError
from fer_core.ingest import scanning
from fer_core.ingest.scanning import (
    SCAN_SCHEMA,
    catalog_partition,
    check_summary,
    files_of,
    limited,
    set_aside_table,
    source_fingerprint,
    summary_of,
    write_catalog_shard,
    write_scan,
)
from fer_core.records import SAMPLE_SCHEMA, sample_id

COLOUR = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def test_fixed_reasons_say_why_a_file_was_set_aside(tiny_ck_plus):
    folder = tiny_ck_plus / "CK+48" / "anger"
    whole = (folder / "S010_001_00000010.png").read_bytes()
    bad = {
        "S801_001_00000001.png": (b"", "empty file"),
        "S802_001_00000001.png": (whole[:-40], "damaged or truncated picture"),
        "S803_001_00000001.jpg": (encoded(Image.fromarray(COLOUR), "JPEG")[:-200], "damaged or truncated picture"),
        "S804_001_00000001.png": (b"a note to myself", "not a PNG, JPEG, BMP, TIFF picture"),
        "S805_001_00000001.png": (png_header(60_000, 60_000), "picture is too large"),
        "S806_001_00000001.png": (png_header(6_000, 6_000), "damaged or truncated picture"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    unreadable = [f"S80{number}_001_00000001.png" for number in (7, 8, 9)]
    (folder / unreadable[0]).symlink_to(folder / "not-fetched")
    os.mkfifo(folder / unreadable[1])
    with (folder / unreadable[2]).open("wb") as sparse:
        sparse.truncate(MAX_FILE_BYTES + 1)
    rows = ck_plus.ADAPTER.scan(tiny_ck_plus).rows
    taken, aside = catalog_partition("ck_plus", tiny_ck_plus, rows)
    assert len(taken) == 48
    reasons = dict(zip(aside["source_path"].to_pylist(), aside["reason"].to_pylist(), strict=True))
    assert reasons == {f"CK+48/anger/{name}": reason for name, (_, reason) in bad.items()} | {
        f"CK+48/anger/{name}": "file cannot be read" for name in unreadable
    }
    details = dict(zip(aside["source_path"].to_pylist(), aside["detail"].to_pylist(), strict=True))
    assert details["CK+48/anger/S807_001_00000001.png"] == "No such file or directory"


def test_a_row_holds_the_file_as_it_is_and_only_what_is_known(tiny_ck_plus):
    row = ck_plus.ADAPTER.scan(tiny_ck_plus).rows[0]
    data = (tiny_ck_plus / row["source_path"]).read_bytes()
    taken, _ = catalog_partition("ck_plus", tiny_ck_plus, [row])
    content = hashlib.sha256(data).hexdigest()
    assert taken.schema.equals(SAMPLE_SCHEMA)
    assert taken.to_pylist() == [
        {
            **dict.fromkeys(SAMPLE_SCHEMA.names),
            **row,
            "sample_id": sample_id(content, row["source_path"]),
            "dataset": "ck_plus",
            "rotation": 0.0,
            "image": data,
            "height": 48,
            "width": 48,
            "source_sha256": content,
        }
    ]


def test_a_sample_id_goes_by_content_and_key():
    assert sample_id("c", "k") == hashlib.sha256(b"c\0k").hexdigest()[:16]
    assert len({sample_id("c", "k"), sample_id("c", "l"), sample_id("d", "k"), sample_id("ck", "")}) == 4


def test_a_catalog_is_the_same_wherever_its_source_lies(tmp_path, tiny_ck_plus):
    first = read_manifest(tiny.write_catalog(tmp_path / "a", "ck_plus", tiny_ck_plus))
    moved = tiny_ck_plus.rename(tmp_path / "moved")
    again = read_manifest(tiny.write_catalog(tmp_path / "b", "ck_plus", moved))
    assert first.content == again.content
    assert first.summary == {
        "rows": 48,
        "set_aside": {},
        "classes": {"anger": 16, "happiness": 16, "surprise": 16},
        "subjects": 8,
        "crop_by": {},
    }


def test_an_ingest_that_was_cut_off_goes_on_and_ends_with_the_same_bytes(tmp_path, tiny_ck_plus, monkeypatch):
    (tiny_ck_plus / "CK+48" / "anger" / "S900_001_00000001.png").write_bytes(b"")
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        assert write_scan(tmp_path / name, ck_plus.ADAPTER.stream(tiny_ck_plus), 17) == (3, 49)
        for number in range(3):
            write_catalog_shard(tmp_path / name, number, "ck_plus", tiny_ck_plus)
    (tmp_path / "cut" / "part-00002.parquet").unlink()
    (tmp_path / "cut" / "aside-00000.parquet").unlink()
    read = []
    partition = scanning.catalog_partition
    monkeypatch.setattr(scanning, "catalog_partition", lambda *a: read.append(len(a[2])) or partition(*a))
    counts = [write_catalog_shard(tmp_path / "cut", number, "ck_plus", tiny_ck_plus) for number in range(3)]
    assert counts == [17, 17, 15]
    assert read == [17, 15]  # the whole one was not read again
    names = files_of(tmp_path / "whole")
    assert names == files_of(tmp_path / "cut")
    assert len(names) == 7
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert summary_of(tmp_path / "cut")["set_aside"] == {"empty file": 1}


def test_a_scan_is_written_in_partitions_that_hold_every_field(tmp_path):
    rows = [
        {
            "source_path": f"{number}.png",
            "expression": ("fear", None)[number % 2],
            "action_units": [(1, 0.5), (12, 1.0)] if number == 3 else None,
            "landmarks": [1.0, 2.0, 0.0] if number == 4 else None,
            "pose_yaw": -45.0,
            "pose_bin": -45,
            "face_box": [0.0, 1.0, 2.0, 3.0],
        }
        for number in range(7)
    ]
    rejected = [Rejected(f"{number}.txt", "not a picture", "x") for number in range(70)]
    assert write_scan(tmp_path, [*rejected[:5], *rows, *rejected[5:]], 3) == (3, 7)
    assert files_of(tmp_path) == ["aside-scan-00000.parquet", "aside-scan-00001.parquet"]
    found = [
        row for number in range(3) for row in pq.read_table(tmp_path / "scan" / f"{number:05d}.parquet").to_pylist()
    ]
    assert found == [{**dict.fromkeys(SCAN_SCHEMA.names), **row} for row in rows]
    assert not (tmp_path / "scan" / "00003.parquet").exists()
    assert summary_of(tmp_path) == {
        "rows": 0,
        "set_aside": {"not a picture": 70},
        "classes": {},
        "subjects": None,
        "crop_by": {},
    }


@pytest.mark.parametrize(("num_rows", "partitions"), [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2)])
def test_no_partition_of_a_scan_is_empty_and_the_side_file_always_stands(tmp_path, num_rows, partitions):
    records = ({"source_path": str(number)} for number in range(num_rows))
    assert write_scan(tmp_path, records, 3) == (partitions, num_rows)
    assert len(list((tmp_path / "scan").iterdir())) == partitions
    assert pq.read_table(tmp_path / "aside-scan-00000.parquet").num_rows == 0


def test_a_catalog_row_keeps_what_the_scan_knew(tmp_path, monkeypatch):
    """Through the partition's file and back: lists, maps and what the picture alone tells."""
    row = {
        "source_path": "p",
        "action_units": [(1, 0.5), (12, 1.0)],
        "pose_bin": 45,
        "pose_yaw": 30.0,
        "intensity": 0.5,
    }
    image = encoded(Image.fromarray(COLOUR))
    adapter = Adapter(
        lambda *_: iter([row]), "-", "-", lambda *_: Picture(image, {"landmarks": [1.0, 2.0, 3.0]}), needs_source=False
    )
    monkeypatch.setitem(REGISTRY, "own", adapter)
    write_scan(tmp_path, adapter.stream(), 10)
    assert write_catalog_shard(tmp_path, 0, "own", None) == 1
    (made,) = pq.read_table(tmp_path / "part-00000.parquet").to_pylist()
    assert {name: made[name] for name in row} == row
    assert made["landmarks"] == [1.0, 2.0, 3.0]
    assert (made["height"], made["width"], made["dataset"]) == (20, 24, "own")


def memory_of_scan(folder, num_records):
    """The most bytes that Python held at once while so many records were written."""

    def records():
        for number in range(num_records):
            if number % 2 == 0:
                yield Rejected(f"{number:09d}.txt", "file name is not subject_sequence_frame", "x" * 50)
            else:
                yield {"source_path": f"{number:09d}.png", "expression": "fear", "landmarks": [1.0] * 15}

    folder.mkdir()
    tracemalloc.start()
    try:
        write_scan(folder, records(), 256)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_of_a_scan_does_not_grow_with_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "write_table", lambda *_: None)  # the file's memory is Arrow's and one partition's
    memory_of_scan(tmp_path / "first", 1_000)  # what is imported on the way is not the scan's
    first, thrice = memory_of_scan(tmp_path / "a", 20_000), memory_of_scan(tmp_path / "b", 60_000)
    assert thrice < 1.1 * first
    assert first < 5_000_000  # bytes; 20,000 records in a list take four times that


def test_a_catalog_without_subjects_says_so(tmp_path, tiny_ferplus):
    catalog = tiny.write_catalog(tmp_path, "ferplus", tiny_ferplus)
    summary = read_manifest(catalog).summary
    assert summary["subjects"] is None
    assert summary["rows"] == 36
    assert summary["set_aside"]["labelled twice"] == 1
    assert sum(summary["set_aside"].values()) == 9
    assert Counter(read_tables(catalog, "part-")["split"].to_pylist()) == {"train": 24, "valid": 6, "test": 6}


def test_a_picture_is_needed():
    check_summary("ck_plus", {"rows": 1, "set_aside": {"empty file": 3}})
    with pytest.raises(InputError, match="no usable picture of ck_plus was found; it expects cohn-kanade-images"):
        check_summary("ck_plus", {"rows": 0})
    with pytest.raises(InputError, match=r"set aside: 3 empty file, 1 picture is too large\); it expects data/FER2013"):
        check_summary("ferplus", {"rows": 0, "set_aside": {"empty file": 3, "picture is too large": 1}})


def test_names_that_are_no_unicode_are_kept_escaped():
    name = os.fsdecode(b"m\xfcller.png")
    table = set_aside_table([Rejected(name, "file name is not subject_sequence_frame", name)])
    assert table["source_path"].to_pylist() == [r"m\udcfcller.png"]


def rows_of_two_classes():
    return [
        {"source_path": f"{name}/{number:04d}", "expression": name, "split": split}
        for name in ("anger", "fear")
        for split in ("train", "test")
        for number in range(200)
    ]


def kept_of(rows, most):
    return list(limited(lambda: iter(rows), most))


def test_a_limit_takes_as_many_of_each_class_and_split():
    rows = rows_of_two_classes()
    for row in rows:
        row["source_path"] += row["split"]
    kept = kept_of(rows, 30)
    assert set(Counter((row["expression"], row["split"]) for row in kept).values()) == {30}
    assert kept == [row for row in rows if row in kept]  # in the order of the source
    assert kept_of(rows, None) == rows
    assert kept_of(rows, 200) == rows


def test_a_limit_keeps_what_was_set_aside_and_rows_that_know_no_class():
    records = [Rejected("a", "odd"), {"source_path": "b"}, {"source_path": "c"}, Rejected("d", "odd")]
    kept = kept_of(records, 1)
    assert [record for record in kept if isinstance(record, Rejected)] == [records[0], records[3]]
    assert len(kept) == 3


def test_a_limit_is_the_same_in_any_order_grows_and_is_unbiased():
    rows = [row for row in rows_of_two_classes() if row["split"] == "train"]
    kept = {row["source_path"] for row in kept_of(rows, 50)}
    assert {row["source_path"] for row in kept_of(rows[::-1], 50)} == kept
    assert {row["source_path"] for row in kept_of(rows, 20)} < kept
    by_hash = sorted(rows, key=lambda row: hashlib.sha256(row["source_path"].encode()).digest()[:8])
    for name in ("anger", "fear"):
        own = [row["source_path"] for row in by_hash if row["expression"] == name]
        assert {path for path in kept if path.startswith(name)} == set(own[:50])
    numbers = np.array([int(path.split("/")[1]) for path in kept])
    # the mean of 100 draws from 0..199 has a standard deviation below 5.8
    assert abs(numbers.mean() - 99.5) < 3 * 5.8


def edits():
    def touch(file):
        os.utime(file, ns=(1, 1))

    return {
        "new content of the same size": lambda file: file.write_bytes(b"x" * file.stat().st_size),
        "another size": lambda file: file.write_bytes(b""),
        "another name": lambda file: file.rename(file.with_suffix(".bak")),
        "gone": lambda file: file.unlink(),
        "another time": touch,
        "one more": lambda file: (file.parent / "new.png").write_bytes(b"1"),
    }


@pytest.mark.parametrize("edit", edits().values(), ids=edits())
def test_the_fingerprint_changes_with_any_edit(tiny_ck_plus, edit):
    before = source_fingerprint(tiny_ck_plus)
    assert source_fingerprint(tiny_ck_plus) == before
    edit(tiny_ck_plus / "CK+48" / "anger" / "S010_001_00000010.png")
    assert source_fingerprint(tiny_ck_plus) != before


def test_the_fingerprint_does_not_go_by_the_order_the_folder_is_listed_in(tiny_ck_plus, monkeypatch):
    before = source_fingerprint(tiny_ck_plus)
    scandir = os.scandir

    class Backwards:
        def __init__(self, folder):
            self.entries = scandir(folder)

        def __enter__(self):
            return reversed(list(self.entries))

        def __exit__(self, *_):
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Backwards)
    assert source_fingerprint(tiny_ck_plus) == before
    assert source_fingerprint(None) == "none"


def test_the_fingerprint_takes_any_name_and_any_link(tiny_ck_plus):
    folder = tiny_ck_plus / "CK+48" / "anger"
    seen = {source_fingerprint(tiny_ck_plus)}
    (folder / "gone.png").symlink_to(folder / "not-fetched.png")
    seen.add(source_fingerprint(tiny_ck_plus))
    (folder / "loop.png").symlink_to(folder / "loop.png")
    seen.add(source_fingerprint(tiny_ck_plus))
    (folder / "up").symlink_to(tiny_ck_plus, target_is_directory=True)
    seen.add(source_fingerprint(tiny_ck_plus))
    (folder / os.fsdecode(b"m\xfcller.png")).write_bytes(b"1")
    seen.add(source_fingerprint(tiny_ck_plus))
    assert len(seen) == 4  # the link upwards adds nothing that was not there
    (folder / ".DS_Store").write_bytes(b"1")
    assert source_fingerprint(tiny_ck_plus) in seen


def test_the_fingerprint_tells_the_same_bytes_apart_by_where_they_lie(tmp_path):
    for name in ("a/x", "b/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"1")
    before = source_fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "c")
    assert source_fingerprint(tmp_path) != before


def test_every_picture_of_ck_plus_can_be_read(real_ck_plus):
    taken, aside = catalog_partition("ck_plus", real_ck_plus, ck_plus.ADAPTER.scan(real_ck_plus).rows)
    assert (len(taken), len(aside)) == (981, 0)
    assert set(taken["height"].to_pylist()) == set(taken["width"].to_pylist()) == {48}
    assert len(set(taken["sample_id"].to_pylist())) == 981
