import hashlib
import os
from collections import Counter

import numpy as np
import pytest
import tiny
from PIL import Image
from tiny import encoded, png_header

from fer_core import ingest
from fer_core.datasets import ck_plus
from fer_core.datasets.base import MAX_FILE_BYTES, Rejected
from fer_core.directories import read_manifest, read_tables
from fer_core.errors import InputError
from fer_core.ingest import (
    catalog_partition,
    check_rows,
    check_summary,
    limit_per_class,
    set_aside_table,
    source_fingerprint,
    write_catalog_shard,
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
    rows = ck_plus.scan(tiny_ck_plus).rows
    taken, aside = catalog_partition("ck_plus", tiny_ck_plus, rows)
    assert len(taken) == 48
    reasons = dict(zip(aside["source_path"].to_pylist(), aside["reason"].to_pylist(), strict=True))
    assert reasons == {f"CK+48/anger/{name}": reason for name, (_, reason) in bad.items()} | {
        f"CK+48/anger/{name}": "file cannot be read" for name in unreadable
    }
    details = dict(zip(aside["source_path"].to_pylist(), aside["detail"].to_pylist(), strict=True))
    assert details["CK+48/anger/S807_001_00000001.png"] == "No such file or directory"


def test_a_row_holds_the_file_as_it_is_and_only_what_is_known(tiny_ck_plus):
    row = ck_plus.scan(tiny_ck_plus).rows[0]
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
    }


def test_an_ingest_that_was_cut_off_goes_on_and_ends_with_the_same_bytes(tmp_path, tiny_ck_plus, monkeypatch):
    (tiny_ck_plus / "CK+48" / "anger" / "S900_001_00000001.png").write_bytes(b"")
    rows = ck_plus.scan(tiny_ck_plus).rows
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        write_catalog_shard(tmp_path / "whole", number, "ck_plus", tiny_ck_plus, rows[number * 17 : number * 17 + 17])
        write_catalog_shard(tmp_path / "cut", number, "ck_plus", tiny_ck_plus, rows[number * 17 : number * 17 + 17])
    (tmp_path / "cut" / "part-00002.parquet").unlink()
    (tmp_path / "cut" / "aside-00000.parquet").unlink()
    read = []
    partition = ingest.catalog_partition
    monkeypatch.setattr(ingest, "catalog_partition", lambda *a: read.append(len(a[2])) or partition(*a))
    for number in range(3):
        part = rows[number * 17 : number * 17 + 17]
        assert write_catalog_shard(tmp_path / "cut", number, "ck_plus", tiny_ck_plus, part) == len(part)
    assert read == [17, 15]  # the whole one was not read again
    names = ingest.files_of(tmp_path / "whole")
    assert names == ingest.files_of(tmp_path / "cut")
    assert len(names) == 6
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert ingest.summary_of(tmp_path / "cut")["set_aside"] == {"empty file": 1}


def test_a_catalog_without_subjects_says_so(tmp_path, tiny_ferplus):
    catalog = tiny.write_catalog(tmp_path, "ferplus", tiny_ferplus)
    summary = read_manifest(catalog).summary
    assert summary["subjects"] is None
    assert summary["rows"] == 36
    assert summary["set_aside"]["labelled twice"] == 1
    assert sum(summary["set_aside"].values()) == 9
    assert Counter(read_tables(catalog, "part-")["split"].to_pylist()) == {"train": 24, "valid": 6, "test": 6}


def test_two_classes_are_needed():
    check_rows("ck_plus", [{"expression": "fear"}, {"expression": "anger"}])
    with pytest.raises(InputError, match=r"all 2 pictures of ck_plus are of one class \(fear\); two are needed"):
        check_rows("ck_plus", [{"expression": "fear"}, {"expression": "fear"}])
    with pytest.raises(InputError, match="no usable picture of ck_plus was found; it expects folders anger"):
        check_rows("ck_plus", [])
    with pytest.raises(InputError, match=r"set aside: 3 empty file, 1 picture is too large"):
        check_summary("ferplus", {"rows": 0, "classes": {}, "set_aside": {"empty file": 3, "picture is too large": 1}})


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


def test_a_limit_takes_as_many_of_each_class_and_split():
    rows = rows_of_two_classes()
    for row in rows:
        row["source_path"] += row["split"]
    kept = limit_per_class(rows, 30)
    assert set(Counter((row["expression"], row["split"]) for row in kept).values()) == {30}
    assert kept == [row for row in rows if row in kept]  # in the order of the source
    assert limit_per_class(rows, None) == rows
    assert limit_per_class(rows, 200) == rows


def test_a_limit_is_the_same_in_any_order_grows_and_is_unbiased():
    rows = [row for row in rows_of_two_classes() if row["split"] == "train"]
    kept = {row["source_path"] for row in limit_per_class(rows, 50)}
    assert {row["source_path"] for row in limit_per_class(rows[::-1], 50)} == kept
    assert {row["source_path"] for row in limit_per_class(rows, 20)} < kept
    numbers = np.array([int(path.split("/")[1]) for path in kept])
    # the mean of 100 draws from 0..199 has a standard deviation below 5.8
    assert abs(numbers.mean() - 99.5) < 3 * 5.8
    assert {path.split("/")[1] for path in kept if path.startswith("anger")} != {
        path.split("/")[1] for path in kept if path.startswith("fear")
    }


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
    walk = os.walk

    def backwards(top, **options):
        for folder, folders, files in walk(top, **options):
            folders.reverse()
            yield folder, folders, files[::-1]

    monkeypatch.setattr(ingest.os, "walk", backwards)
    assert source_fingerprint(tiny_ck_plus) == before
    assert source_fingerprint(None) == "none"


def test_every_picture_of_ck_plus_can_be_read(real_ck_plus):
    taken, aside = catalog_partition("ck_plus", real_ck_plus, ck_plus.scan(real_ck_plus).rows)
    assert (len(taken), len(aside)) == (981, 0)
    assert set(taken["height"].to_pylist()) == set(taken["width"].to_pylist()) == {48}
    assert len(set(taken["sample_id"].to_pylist())) == 981
