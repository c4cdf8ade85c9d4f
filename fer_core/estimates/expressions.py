"""What faces express, where the data set does not say: a side file of a faces directory, marked as estimated.

A registered expression model says it, so that a method which only uses expressions on its way to something else, as
`verification` does, can be trained on faces without annotated emotion.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fer_core.directories import read_tables
from fer_core.files import write_table
from fer_core.shards import decode_colour

EXPRESSIONS = "expressions.parquet"
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("expression", pa.string()),  # null where the model is less sure than was asked for
        ("probability", pa.float32()),  # of the most probable expression
        ("expression_by", pa.string()),
    ]
)
AT_ONCE = 256
"""Crops that the model is given together."""

Labeller = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Face crops uint8 (B, S, S, 3) -> the most probable expression of each (B,), strings, and its probability (B,)."""


def write_expressions(
    folder: Path,
    label: Labeller,
    by: str,
    least_probability: float,
    margin: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, int]:
    """Label the upright crops of a faces folder whose expression is unknown; how many got each expression.

    Writes `folder`/expressions.parquet by SCHEMA, unless it stands already.

    Args:
        label: the model.
        by: what `expression_by` says of its labels.
        least_probability: below it the expression stays null.
        margin: pixels round each crop, in a virtual form.
        progress: called with how many faces are done.
    """
    if not (folder / EXPRESSIONS).exists():
        parts, done = [SCHEMA.empty_table()], 0
        for names, crops_BWWC in _unknown(folder):
            inner = slice(margin, -margin or None)
            expression_B, probability_B = label(crops_BWWC[:, inner, inner])
            is_sure = probability_B >= least_probability
            labels = [name if sure else None for name, sure in zip(expression_B.tolist(), is_sure, strict=True)]
            columns = [names, labels, probability_B.astype(np.float32), [by] * len(names)]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
            parts.append(pa.Table.from_arrays(arrays, schema=SCHEMA))
            done += len(names)
            progress(done)
        write_table(folder / EXPRESSIONS, pa.concat_tables(parts).combine_chunks())
    found = pq.read_table(folder / EXPRESSIONS, columns=["expression"])["expression"].drop_null()
    return dict(sorted(Counter(found.to_pylist()).items()))


def count_unknown(folder: Path) -> int:
    """How many upright crops of a faces folder have no expression."""
    return sum(len(table) for table in _tables(folder, ["sample_id"]))


def _unknown(folder: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Sample ids and crops (B, W, W, 3) of the upright rows without an expression; a shard is in memory."""
    for table in _tables(folder, ["sample_id", "image"]):
        for start in range(0, len(table), AT_ONCE):
            rows = table.slice(start, AT_ONCE)
            yield rows["sample_id"].to_pylist(), np.stack([decode_colour(image.as_py()) for image in rows["image"]])


def _tables(folder: Path, columns: list[str]) -> Iterator[pa.Table]:
    for file in sorted(folder.glob("part-*.parquet")):
        table = pq.read_table(file, columns=[*columns, "expression", "rotation"])
        yield table.filter(pc.field("expression").is_null() & (pc.field("rotation") == 0))


def read_expressions(faces: Path) -> dict[str, str]:
    """sample_id -> estimated expression; empty where none were estimated.

    Raises:
        InputError: the file is damaged.
    """
    if not (faces / EXPRESSIONS).exists():
        return {}
    table = read_tables(faces, EXPRESSIONS, ["sample_id", "expression"])
    named = zip(table["sample_id"].to_pylist(), table["expression"].to_pylist(), strict=True)
    return {sample: expression for sample, expression in named if expression is not None}
