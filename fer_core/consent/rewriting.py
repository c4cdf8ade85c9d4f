"""Catalogs and face crops without some of their pictures: what ingest and prepare would make of a source without them.

A finished directory is not changed. What is left of it becomes a new one, under the name that these stages look for, so
that it is found and used again.
"""

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fer_core.consent.withdrawals import WITHDRAWN, WITHDREW, WITHHELD
from fer_core.datasets.base import Rejected
from fer_core.directories import Directory, Manifest, damaged, read_manifest, read_shard, read_tables
from fer_core.files import file_sha256, write_bytes, write_table
from fer_core.ingest.corrections import Corrections
from fer_core.ingest.overlay import count_corrected
from fer_core.ingest.scanning import set_aside_table, summary_of
from fer_core.records import SAMPLE_SCHEMA, SET_ASIDE_SCHEMA
from fer_core.shards import index_name, write_picture_shard

Write = Callable[[Path, str, pa.Table], None]


def rewrite_catalog(catalog: Path, samples: Collection[str], withdrawn: str) -> Directory:
    """A finished catalog whose rows of some sample ids are set aside as withdrawn.

    Args:
        withdrawn: digest_of_withdrawals of all whom it leaves out.

    Raises:
        InputError: a shard is missing or damaged.
    """
    manifest = read_manifest(catalog)
    made = _named_anew(catalog, manifest, {**manifest.config, WITHDRAWN: withdrawn}, manifest.inputs)
    with made.lock():
        if not made.finished():
            made.start()
            gone_of = _copy_without(catalog, made.path, manifest, samples, _write_catalog_shard)
            for part, gone in gone_of.items():
                aside = _aside_of(part)
                before = read_shard(catalog / aside, manifest.shards[aside]["sha256"])
                withdrew = set_aside_table([Rejected(WITHHELD, WITHDREW)] * len(gone))
                write_table(made.path / aside, _made_anew(pa.concat_tables([before, withdrew]), SET_ASIDE_SCHEMA))
            counted = count_corrected(Corrections(), made.path) if "corrected" in manifest.summary else None
            corrected = {} if counted is None else {"corrected": counted}
            made.finish(manifest.shards, {**manifest.summary, **summary_of(made.path), **corrected})
    return made


def rewrite_faces(faces: Path, samples: Collection[str], catalog: Path, rewritten: Directory) -> Directory:
    """Finished face crops without those of some sample ids.

    Args:
        catalog: what they were cropped from.
        rewritten: the same without these pictures.

    Raises:
        InputError: a shard is missing or damaged.
    """
    manifest, new_catalog = read_manifest(faces), rewritten.manifest()
    made = _named_anew(faces, manifest, manifest.config, {**manifest.inputs, "catalog": new_catalog.content})
    with made.lock():
        if not made.finished():
            made.start()
            _copy_without(faces, made.path, manifest, samples, write_picture_shard)
            known = read_tables(catalog, "part-", ["sample_id", "source_path"])
            paths = known.filter(_is_among(known["sample_id"], samples))["source_path"]
            for name in (name for name in manifest.shards if name.startswith("aside-")):
                aside = read_shard(faces / name, manifest.shards[name]["sha256"])
                kept = aside.filter(pc.invert(_is_among(aside["source_path"], paths.to_pylist())))
                write_table(made.path / name, _made_anew(kept, SET_ASIDE_SCHEMA))
            own = summary_of(made.path)
            aside = dict(Counter(new_catalog.summary["set_aside"]) + Counter(own["set_aside"]))
            made.finish(manifest.shards, {**manifest.summary, **own, "set_aside": aside})
    return made


def _named_anew(path: Path, manifest: Manifest, config: dict[str, object], inputs: dict[str, str]) -> Directory:
    name = path.name.rpartition("-")[0]
    return Directory(path.parent, name, kind=manifest.kind, config=config, inputs=inputs, code=manifest.code)


def _copy_without(
    old: Path, new: Path, manifest: Manifest, samples: Collection[str], write: Write
) -> dict[str, list[str]]:
    """Copy all files, parts without the rows of `samples`: the parts that had such, with the sample ids of these rows.

    The index beside a part is written with it.
    """
    gone_of: dict[str, list[str]] = {}
    for part in (name for name in manifest.shards if name.startswith("part-")):
        table = read_shard(old / part, manifest.shards[part]["sha256"])
        is_gone = _is_among(table["sample_id"], samples)
        if pc.any(is_gone).as_py():
            gone_of[part] = table.filter(is_gone)["sample_id"].to_pylist()
            write(new, part, _made_anew(table.filter(pc.invert(is_gone)), SAMPLE_SCHEMA))
    written = {*gone_of, *map(index_name, gone_of)}
    for name in manifest.shards.keys() - written:
        if file_sha256(old / name) != manifest.shards[name]["sha256"]:
            raise damaged(old / name)
        write_bytes(new / name, (old / name).read_bytes())
    return gone_of


def _made_anew(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table as a stage makes it: one that was read from a file and filtered is written as other bytes."""
    return pa.Table.from_pylist(table.to_pylist(), schema=schema)


def _is_among(column: pa.ChunkedArray, wanted: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(sorted(wanted), pa.string()))


def _write_catalog_shard(folder: Path, name: str, table: pa.Table) -> None:
    write_table(folder / name, table)


def _aside_of(part: str) -> str:
    return part.replace("part-", "aside-")
