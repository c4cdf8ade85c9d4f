import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fer_core.directories import (
    MANIFEST,
    SCHEMA_VERSION,
    Directory,
    damaged,
    damaged_files,
    read_columns,
    read_manifest,
    read_shard,
    read_tables,
    shards_of,
)
from fer_core.errors import InputError
from fer_core.files import digest_of, file_sha256, has_size, write_atomically, write_bytes, write_json, write_table
from fer_core.records import SAMPLE_SCHEMA, SET_ASIDE_SCHEMA

ROOT = Path(__file__).parents[2]


def sample_table() -> pa.Table:
    rng = np.random.default_rng(0)
    rows = [
        {
            "sample_id": f"{number:016x}",
            "expression": ("fear", "anger")[number % 2],
            "landmarks": rng.normal(size=9).tolist(),
            "image": rng.bytes(900),
        }
        for number in range(200)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)


def directory(root, **changed) -> Directory:
    parts = {"kind": "catalog", "config": {"size": 48}, "inputs": {"source": "a1"}, "code": "c1"}
    return Directory(root, "faces", **{**parts, **changed})


def finished(root) -> Directory:
    made = directory(root)
    made.start()
    for number in range(3):
        rows = pa.table({"number": np.arange(number * 4, number * 4 + 4), "word": ["a", "b", "a", "c"]})
        write_table(made.path / f"part-{number:05d}.parquet", rows)
    write_table(made.path / "aside-00000.parquet", SET_ASIDE_SCHEMA.empty_table())
    made.finish([path.name for path in made.path.glob("*.parquet")], {"rows": 12})
    return made


def flip_a_bit(file: Path, at: int | None = None, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1 << bit
    file.write_bytes(data)


def column_of(group, name: str):
    return next(group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == name)


def test_digest_of_is_the_sha256_of_canonical_json():
    assert digest_of({"b": [1, None], "a": "ä"}) == hashlib.sha256(b'{"a":"\\u00e4","b":[1,null]}').hexdigest()[:16]
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of(1) != digest_of(1.0) != digest_of("1.0")


def test_digest_of_takes_no_value_that_json_cannot_hold():
    with pytest.raises(ValueError, match="Out of range"):
        digest_of(float("nan"))


def test_the_same_table_gives_the_same_bytes_here_and_in_a_fresh_process(tmp_path):
    write_table(tmp_path / "a", sample_table())
    write_table(tmp_path / "b", sample_table())
    program = f"import {__name__} as test; test.write_table(test.Path(sys.argv[1]), test.sample_table())"
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {program}"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "c")], check=True, cwd=ROOT)
    first = (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").read_bytes() == first
    assert (tmp_path / "c").read_bytes() == first
    assert pq.read_table(tmp_path / "a").equals(sample_table())


def test_another_table_gives_other_bytes(tmp_path):
    write_table(tmp_path / "a", sample_table())
    write_table(tmp_path / "b", sample_table().slice(1))
    assert file_sha256(tmp_path / "a") != file_sha256(tmp_path / "b")


def test_a_file_of_a_size_stands_and_has_it(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    assert [has_size(tmp_path / "a", size) for size in (2, 3, 4)] == [False, True, False]
    assert not has_size(tmp_path / "b", 0)


def test_pictures_are_stored_plain(tmp_path):
    write_table(tmp_path / "a", sample_table())
    image = column_of(pq.read_metadata(tmp_path / "a").row_group(0), "image")
    assert image.compression == "UNCOMPRESSED"
    assert not image.has_dictionary_page
    assert sample_table()["image"][7].as_py() in (tmp_path / "a").read_bytes()


def test_pictures_are_one_page_whose_checksum_is_written(tmp_path):
    rows = [{"sample_id": str(number), "image": bytes([number % 256]) * 900} for number in range(5_000)]
    write_table(tmp_path / "a", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    with pq.ParquetFile(tmp_path / "a") as parquet:
        assert parquet.num_row_groups == 1
        column = column_of(parquet.metadata.row_group(0), "image")
        # each value has its length in 4 bytes; a page header and the definition levels take some dozens more
        assert 5_000 * 904 < column.total_compressed_size < 5_000 * 904 + 100
    flip_a_bit(tmp_path / "a", 1_000_000)
    assert len(pq.read_table(tmp_path / "a", columns=["sample_id"], page_checksum_verification=True)) == 5_000
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(tmp_path / "a", columns=["image"], page_checksum_verification=True)


def test_an_empty_table_keeps_its_schema(tmp_path):
    write_table(tmp_path / "a", SAMPLE_SCHEMA.empty_table())
    assert pq.read_table(tmp_path / "a").schema.equals(SAMPLE_SCHEMA)


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    file = tmp_path / "model.json"

    def fail_halfway(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(file, fail_halfway)
    assert list(tmp_path.iterdir()) == []
    write_bytes(file, b"old")
    with pytest.raises(RuntimeError, match="killed"):
        write_atomically(file, fail_halfway)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert file.read_bytes() == b"old"


def test_write_json_is_sorted_and_reads_back(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [None, "ä"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, "ä"], "b": 1}
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')


@pytest.mark.parametrize(
    "change", [{"config": {"size": 49}}, {"config": {"size": 48, "more": None}}, {"inputs": {"source": "a2"}}]
)
def test_the_place_changes_with_config_and_inputs(tmp_path, change):
    assert directory(tmp_path, **change).path != directory(tmp_path).path


def test_the_place_changes_with_the_code_and_with_nothing_else(tmp_path):
    assert directory(tmp_path, code="c2").digest != directory(tmp_path).digest
    assert directory(tmp_path / "elsewhere", kind="other").digest == directory(tmp_path).digest
    assert directory(tmp_path).path == tmp_path / f"faces-{directory(tmp_path).digest}"


def test_the_manifest_says_what_is_there(tmp_path):
    made = finished(tmp_path)
    assert made.finished()
    manifest = made.manifest()
    assert (manifest.kind, manifest.config, manifest.inputs, manifest.code) == (
        "catalog",
        {"size": 48},
        {"source": "a1"},
        "c1",
    )
    assert manifest.summary == {"rows": 12}
    assert list(manifest.shards) == ["aside-00000.parquet", *(f"part-{number:05d}.parquet" for number in range(3))]
    file = made.path / "part-00001.parquet"
    assert manifest.shards[file.name] == {"rows": 4, "bytes": file.stat().st_size, "sha256": file_sha256(file)}
    assert json.loads((made.path / MANIFEST).read_text())["content"] == manifest.content


def test_content_goes_by_the_shards_alone(tmp_path):
    one, other = finished(tmp_path / "a").manifest(), finished(tmp_path / "b").manifest()
    assert one.content == other.content
    elsewhere = finished(tmp_path / "c")
    write_table(elsewhere.path / "part-00002.parquet", pa.table({"number": [1]}))
    assert elsewhere.finish(one.shards, one.summary).content != one.content


def test_a_file_other_than_parquet_has_no_rows(tmp_path):
    made = directory(tmp_path)
    made.start()
    write_bytes(made.path / "model.safetensors", b"12")
    assert made.finish(["model.safetensors"], {}).shards["model.safetensors"]["rows"] is None


def test_an_unfinished_directory_goes_on_at_its_first_missing_shard(tmp_path):
    made = directory(tmp_path)
    assert not made.finished()
    made.start()
    write_bytes(made.path / "a", b"first")
    again = directory(tmp_path)
    again.start()
    assert (again.path / "a").read_bytes() == b"first"
    assert not again.finished()
    with pytest.raises(InputError, match="has no manifest"):
        read_manifest(again.path)
    write_bytes(again.path / "b", b"second")
    again.finish(["a", "b"], {})
    assert again.finished()
    assert (again.path / "a").read_bytes() == b"first"


def test_a_deleted_file_makes_the_directory_unfinished(tmp_path):
    made = finished(tmp_path)
    written = made.manifest().shards["part-00001.parquet"]["sha256"]
    (made.path / "part-00001.parquet").unlink()
    assert not made.finished()
    assert damaged_files(made.path) == ["part-00001.parquet"]
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
        read_shard(made.path / "part-00001.parquet", written)


def test_a_cut_file_is_an_error_that_names_it_and_the_way_out(tmp_path):
    made = finished(tmp_path)
    file = made.path / "part-00001.parquet"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged; run `ingest --repair`"):
        made.finished()
    file.unlink()
    assert not made.finished()


def test_a_flipped_bit_is_found_by_whoever_reads_the_shard(tmp_path):
    made = finished(tmp_path)
    flip_a_bit(made.path / "part-00002.parquet")
    assert made.finished()  # goes by size, as it is asked often
    assert damaged_files(made.path, deep=False) == []
    assert damaged_files(made.path) == ["part-00002.parquet"]
    sha256 = {name: shard["sha256"] for name, shard in made.manifest().shards.items()}
    intact = read_shard(made.path / "part-00001.parquet", sha256["part-00001.parquet"])
    assert intact["number"].to_pylist() == [4, 5, 6, 7]
    with pytest.raises(InputError, match=r"part-00002\.parquet is missing or damaged; run"):
        read_shard(made.path / "part-00002.parquet", sha256["part-00002.parquet"])
    with pytest.raises(InputError, match=r"part-00002\.parquet is missing or damaged; run"):
        read_tables(made.path, "part-")


def test_tables_are_read_in_order_and_by_column(tmp_path):
    made = finished(tmp_path)
    whole = read_tables(made.path, "part-")
    assert whole["number"].to_pylist() == list(range(12))
    assert read_tables(made.path, "part-", ["word"]).column_names == ["word"]
    assert len(read_tables(made.path, "aside-")) == 0


def test_columns_are_read_in_order_and_without_the_rest_of_the_file(tmp_path):
    made = finished(tmp_path)
    assert read_columns(made.path, "part-", ["word"])["word"].to_pylist() == ["a", "b", "a", "c"] * 3
    assert read_columns(made.path, "part-", ["number", "word"]).column_names == ["number", "word"]
    flip_a_bit(made.path / "part-00001.parquet", data_at(made.path / "part-00001.parquet", "number"))
    assert len(read_columns(made.path, "part-", ["word"])) == 12
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
        read_columns(made.path, "part-", ["number"])


def data_at(file: Path, name: str) -> int:
    """Where the last value of a column lies."""
    column = column_of(pq.read_metadata(file).row_group(0), name)
    return column.data_page_offset + column.total_compressed_size - 1


LABELS = ["sample_id", "expression", "rotation"]


def labelled(root) -> Directory:
    made = directory(root)
    made.start()
    rows = [
        {"sample_id": f"{number:016x}", "expression": ("fear", None, "anger")[number % 3], "rotation": 5.0 * number}
        for number in range(6)
    ]
    schema = pa.schema([SAMPLE_SCHEMA.field(name) for name in (*LABELS, "subject_id", "image")])
    write_table(made.path / "part-00000.parquet", pa.Table.from_pylist(rows, schema=schema))
    made.finish(["part-00000.parquet"], {})
    return made


def test_no_flipped_bit_anywhere_in_a_shard_changes_a_label_unseen(tmp_path):
    made = labelled(tmp_path)
    file = made.path / "part-00000.parquet"
    right, data, num_found = read_columns(made.path, "part-", LABELS), file.read_bytes(), 0
    places = range(0, len(data), 5)
    for at in places:
        flip_a_bit(file, at, bit=(3, 7)[at % 2])
        try:
            assert read_columns(made.path, "part-", LABELS).equals(right), at
        except InputError:
            num_found += 1
        file.write_bytes(data)
    assert 0.2 < num_found / len(places) < 0.9  # the other bits are of columns that were not read


@pytest.mark.parametrize(("at", "bit"), [(0, 7), (3, 3), (3, 7)])
def test_a_type_that_a_flipped_bit_has_changed_is_found(tmp_path, at, bit):
    """No checksum guards the footer; these bits would make text bytes."""
    made = labelled(tmp_path)
    file = made.path / "part-00000.parquet"
    footer = file.read_bytes().rindex(b"sample_id\x25\x00\x4c\x1c")
    flip_a_bit(file, footer + len(b"sample_id") + at, bit)
    with pytest.raises(InputError, match=r"part-00000\.parquet is missing or damaged"):
        read_columns(made.path, "part-", LABELS)


@pytest.mark.parametrize("cut", [1, 8, 40, 10**9])
def test_a_truncated_or_missing_shard_is_named_by_whoever_reads_its_columns(tmp_path, cut):
    made = finished(tmp_path)
    file = made.path / "part-00001.parquet"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
        read_columns(made.path, "part-", ["word"])
    file.unlink()
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
        read_columns(made.path, "part-", ["word"])


def test_a_shard_of_other_bytes_of_the_same_size_is_found(tmp_path):
    made = finished(tmp_path)
    file = made.path / "part-00001.parquet"
    for filler in (b"\0", b"PAR1"):
        file.write_bytes((filler * file.stat().st_size)[: file.stat().st_size])
        with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
            read_columns(made.path, "part-", ["word"])


def test_shards_are_named_by_their_prefix(tmp_path):
    made = finished(tmp_path)
    parts = shards_of(made.path, "part-")
    assert list(parts) == [f"part-{number:05d}.parquet" for number in range(3)]
    assert parts == {name: made.manifest().shards[name] for name in parts}
    assert shards_of(made.path, "index-") == {}


def test_the_error_of_a_damaged_file_names_it_and_both_ways_out(tmp_path):
    message = str(damaged(tmp_path / "x.parquet"))
    assert message.startswith(f"{tmp_path}/x.parquet is missing or damaged; run `ingest --repair`")
    assert "delete it and run the same command again" in message


def test_repair_drops_what_is_damaged_and_nothing_else(tmp_path):
    made = finished(tmp_path)
    assert made.drop_damaged() == []
    flip_a_bit(made.path / "part-00000.parquet")
    (made.path / "part-00002.parquet").unlink()
    assert made.drop_damaged() == ["part-00000.parquet", "part-00002.parquet"]
    assert sorted(path.name for path in made.path.iterdir()) == [
        "aside-00000.parquet",
        MANIFEST,
        "part-00001.parquet",
    ]
    assert not made.finished()


@pytest.mark.parametrize("text", ["{", "[1]", "{}", f'{{"schema_version": {SCHEMA_VERSION}}}', '"word"', "\x00"])
def test_repair_drops_everything_where_the_manifest_proves_nothing(tmp_path, text):
    made = finished(tmp_path)
    (made.path / "scan").mkdir()
    write_bytes(made.path / "scan" / "00000.parquet", b"1")
    (made.path / MANIFEST).write_text(text)
    assert "scan/00000.parquet" in made.drop_damaged()
    assert [path for path in made.path.rglob("*") if path.is_file()] == []
    assert not made.finished()


def test_repair_of_a_directory_that_is_unfinished_or_absent_drops_nothing(tmp_path):
    made = directory(tmp_path)
    assert made.drop_damaged() == []
    made.start()
    write_bytes(made.path / "part-00000.parquet", b"1")
    assert made.drop_damaged() == []
    assert (made.path / "part-00000.parquet").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable"),
        ("[]", "another version"),
        ("[1]", "is not readable"),
        ("\x00", "is not readable"),
        ('{"schema_version": 0}', "another version"),
        ("{}", "another version"),
        (f'{{"schema_version": {SCHEMA_VERSION}}}', "is not readable"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_what_to_do(tmp_path, text, message):
    made = finished(tmp_path)
    (made.path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=message):
        made.finished()


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --home"):
        directory(tmp_path / "file").start()
