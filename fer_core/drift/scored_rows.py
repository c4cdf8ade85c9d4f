"""What a model has scored since somebody last looked, for the tests of drift."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.directories import MANIFEST, Manifest, read_columns, read_manifest
from fer_core.drift.two_samples import Sample
from fer_core.scoring.faces import PREDICTIONS

LOOKED_AT = "looked-at.parquet"
ACTED = "acted"
"""A file that stands beside a finished look when what follows from it has been done; until then it counts as none."""
_FRAME = re.compile(r"#[0-9.]+s$")
_MARK_TOLERANCE = 1e-4
"""The same picture in another batch has the same embedding but for rounding."""


def finished(folder: Path, kind: str, model_name: str, model_version: int) -> Iterator[tuple[Path, Manifest]]:
    """The finished directories of a kind, of one version of a model, by name."""
    for file in sorted(folder.glob(f"[!.]*/{MANIFEST}")):
        manifest = read_manifest(file.parent)
        of_model = manifest.config.get("model_name"), manifest.config.get("model_version")
        if manifest.kind == kind and of_model == (model_name, model_version):
            yield file.parent, manifest


def read_scores(folders: Iterable[Path]) -> pa.Table:
    """source_path, expression and embedding of all rows of some score directories; each directory has rows.

    Raises:
        InputError: a file is missing or damaged.
    """
    columns = ["source_path", "expression", "embedding"]
    return pa.concat_tables(read_columns(folder, f"{PREDICTIONS}/part-", columns) for folder in folders)


def marks_of(rows: pa.Table) -> pa.Table:
    """What is remembered of rows that have been looked at: source_path and the mean of the embedding."""
    return pa.table({"source_path": rows["source_path"], "mean": embeddings_of(rows).mean(axis=1)})


def not_among(rows: pa.Table, looked_at: Iterable[Path]) -> pa.Table:
    """The rows that none of these finished looks has seen: another path, or another picture at the path."""
    seen: dict[str, list[float]] = {}
    for folder in looked_at:
        marks = pq.read_table(folder / LOOKED_AT)
        for path, mean in zip(marks["source_path"].to_pylist(), marks["mean"].to_pylist(), strict=True):
            seen.setdefault(path, []).append(mean)
    size_N = np.abs(embeddings_of(rows)).mean(axis=1)
    marks = zip(rows["source_path"].to_pylist(), marks_of(rows)["mean"].to_pylist(), size_N.tolist(), strict=True)
    is_new = [all(abs(mean - one) > _MARK_TOLERANCE * size for one in seen.get(path, ())) for path, mean, size in marks]
    return rows.filter(pa.array(is_new, pa.bool_()))


def embeddings_of(rows: pa.Table) -> np.ndarray:
    """Embeddings (N, D), float64."""
    return np.stack(rows["embedding"].to_numpy(zero_copy_only=False)).astype(np.float64)


def sample_of_scores(rows: pa.Table, group_by: Literal["picture", "folder"]) -> Sample:
    """Scored rows for a test of drift; all frames of a video are one group, or all pictures of a folder."""
    paths = rows["source_path"].to_pylist()
    groups = [str(Path(path).parent) if group_by == "folder" else _FRAME.sub("", path) for path in paths]
    return Sample(embeddings_of(rows), np.array(rows["expression"].to_pylist()), np.array(groups))


def sample_of_test_part(evaluation: Path) -> Sample | None:
    """What a model said of its test part, by people; None where the test is not of single pictures' expressions.

    Raises:
        InputError: a file is missing or damaged.
    """
    told = read_columns(evaluation, "predictions.parquet", ["sample_id", "subject", "decision"]).sort_by("sample_id")
    embedded = read_columns(evaluation, "embeddings.parquet", ["sample_id", "embedding"]).sort_by("sample_id")
    if told["sample_id"].to_pylist() != embedded["sample_id"].to_pylist():
        return None
    columns = (np.array(told[name].to_pylist()) for name in ("decision", "subject"))
    return Sample(embeddings_of(embedded), *columns)
