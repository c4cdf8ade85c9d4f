"""What the adapters' tests ask of a scan."""

from pathlib import Path

import pyarrow as pa

from fer_core.datasets.base import Adapter, Scan
from fer_core.datasets.folders import files_below, is_picture, key_of
from fer_core.pictures import decode, picture_problem
from fer_core.records import SAMPLE_SCHEMA


def by_path(scan: Scan) -> dict[str, dict]:
    return {row["source_path"]: row for row in scan.rows}


def reasons(scan: Scan) -> dict[str, str]:
    """Source path -> reason; each is set aside once."""
    found = {record.source_path: record.reason for record in scan.rejected}
    assert len(found) == len(scan.rejected)
    return found


def check(adapter: Adapter, source: Path, options=None) -> Scan:
    """The scan, after checks that hold for every folder of pictures.

    Paths are unique, every picture file is a row or is set aside, pictures decode, and rows fit the schema.
    """
    scan = adapter.scan(source, options)
    assert len(by_path(scan)) == len(scan.rows) > 0
    pictures = {key_of(source, path) for path in files_below(source) if is_picture(path)}
    assert pictures <= by_path(scan).keys() | reasons(scan).keys()
    assert not by_path(scan).keys() & {record.source_path for record in scan.rejected} - _twice(scan)
    made = [adapter.picture(source, row) for row in scan.rows]
    assert all(picture_problem(picture.image) is None and decode(picture.image) is not None for picture in made)
    rows = [{**row, **picture.known} for row, picture in zip(scan.rows, made, strict=True)]
    assert all(row.keys() <= set(SAMPLE_SCHEMA.names) for row in rows)
    assert len(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)) == len(rows)
    return scan


def _twice(scan: Scan) -> set[str]:
    return {record.source_path for record in scan.rejected if record.reason == "labelled twice"}
