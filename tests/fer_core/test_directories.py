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
    Directory,
    damaged_files,
    digest_of,
    file_sha256,
    read_manifest,
    read_shard,
    read_tables,
    write_atomically,
    write_bytes,
    write_json,
    write_table,
)
from fer_core.errors import InputError
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


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


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


def test_pictures_are_stored_plain(tmp_path):
    write_table(tmp_path / "a", sample_table())
    columns = pq.read_metadata(tmp_path / "a").row_group(0).to_dict()["columns"]
    image = next(column for column in columns if column["path_in_schema"] == "image")
    assert image["compression"] == "UNCOMPRESSED"
    assert not image["has_dictionary_page"]
    assert sample_table()["image"][7].as_py() in (tmp_path / "a").read_bytes()


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
    (made.path / "part-00001.parquet").unlink()
    assert not made.finished()
    assert damaged_files(made.path) == ["part-00001.parquet"]
    with pytest.raises(InputError, match=r"part-00001\.parquet is missing or damaged"):
        read_shard(made.path, "part-00001.parquet")


def test_a_cut_file_is_an_error_that_names_it_and_the_way_out(tmp_path):
    made = finished(tmp_path)
    file = made.path / "part-00001.parquet"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"part-00001\.parquet is damaged; delete it and run"):
        made.finished()
    file.unlink()
    assert not made.finished()


def test_a_flipped_bit_is_found_by_whoever_reads_the_shard(tmp_path):
    made = finished(tmp_path)
    flip_a_byte(made.path / "part-00002.parquet")
    assert made.finished()  # goes by size, as it is asked often
    assert damaged_files(made.path, deep=False) == []
    assert damaged_files(made.path) == ["part-00002.parquet"]
    assert read_shard(made.path, "part-00001.parquet")["number"].to_pylist() == [4, 5, 6, 7]
    with pytest.raises(InputError, match=r"part-00002\.parquet is missing or damaged; delete it"):
        read_tables(made.path, "part-")


def test_tables_are_read_in_order_and_by_column(tmp_path):
    made = finished(tmp_path)
    whole = read_tables(made.path, "part-")
    assert whole["number"].to_pylist() == list(range(12))
    assert read_tables(made.path, "part-", ["word"]).column_names == ["word"]
    assert len(read_tables(made.path, "aside-")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not readable JSON"), ('{"schema_version": 0}', "another version"), ("{}", "another version")],
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
