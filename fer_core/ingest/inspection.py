"""What a source holds, before anything is written: counts, what would be set aside, near-duplicates across splits."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.datasets.base import Record, Rejected
from fer_core.ingest.near_duplicates import SIDE, find_near_duplicates, signature
from fer_core.ingest.overlay import NOTHING, Overlay
from fer_core.ingest.scanning import escaped, read_record
from fer_core.pose import known_view

AT_ONCE = 256
"""Pictures in memory."""
EXAMPLES = 3
"""Records named for each reason."""


def inspect(
    dataset: str,
    source: Path | None,
    records: Iterable[Record],
    progress: Callable[[int], None],
    overlay: Overlay = NOTHING,
) -> dict[str, Any]:
    """Read every picture and count; nothing is written. Keeps a thumbnail and the names, about 1 kB a picture.

    Args:
        progress: called with the number of pictures read so far.
        overlay: whose pictures are left out, and which labels are put right.

    Returns:
        rows, set_aside (reason -> count), set_aside_examples (reason -> up to EXAMPLES records), classes, splits,
        subjects (number, or None where there are none), counts (a list of expression, subject, pose and how many) and
        near_duplicates.
    """
    cells: Counter[tuple[Any, Any, Any]] = Counter()
    splits: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    thumbs = bytearray()
    known: list[dict[str, Any]] = []
    for record in _read_all(dataset, source, records, overlay):
        if isinstance(record, Rejected):
            aside[record.reason] += 1
            told = examples.setdefault(record.reason, [])
            if len(told) < EXAMPLES:
                told.append(escaped(f"{record.source_path}: {record.detail}"))
            continue
        row, thumb = record
        view = known_view(row.get("pose_bin"), row.get("pose_yaw"))
        cells[row.get("expression"), row.get("subject_id"), view] += 1
        splits[row.get("split") or "none"] += 1
        thumbs += thumb
        known.append({name: row.get(name) for name in ("source_path", "expression", "split", "source_sha256")})
        progress(len(known))
    subjects = {subject for _, subject, _ in cells} - {None}
    thumb_NP = np.frombuffer(thumbs, np.uint8).reshape(len(known), SIDE * SIDE)
    duplicates = find_near_duplicates(thumb_NP, known, [row["source_sha256"] for row in known])
    return {
        "rows": len(known),
        "set_aside": dict(sorted(aside.items())),
        "set_aside_examples": examples,
        "classes": _sums(cells, 0),
        "splits": dict(sorted(splits.items())),
        "subjects": len(subjects) or None,
        "poses": _sums(cells, 2),
        "counts": [
            {"expression": expression, "subject": subject, "pose": pose, "rows": rows}
            for (expression, subject, pose), rows in sorted(cells.items(), key=lambda cell: tuple(map(str, cell[0])))
        ],
        "near_duplicates": asdict(duplicates),
    }


def _read_all(
    dataset: str, source: Path | None, records: Iterable[Record], overlay: Overlay
) -> Iterator[tuple[dict[str, Any], bytes] | Rejected]:
    """Read the pictures on all cores, a few at a time, in order; what is kept of each is its row and its signature."""

    def read(record: Record) -> tuple[dict[str, Any], bytes] | Rejected:
        made = record if isinstance(record, Rejected) else read_record(dataset, source, record, overlay)
        if isinstance(made, Rejected):
            return made
        return {**made.row, "image": None}, signature(made.image).tobytes()

    waiting = iter(records)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(islice(waiting, AT_ONCE)):
            yield from pool.map(read, some)


def _sums(cells: Counter[tuple[Any, Any, Any]], factor: int) -> dict[str, int]:
    """Rows by one factor; rows of which it is unknown count nowhere."""
    sums: Counter[str] = Counter()
    for cell, rows in cells.items():
        if cell[factor] is not None:
            sums[str(cell[factor])] += rows
    return dict(sorted(sums.items()))
