"""The label audit as files, a table and a page to decide by: of a model's training faces, or of a cross-validation."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fer_core.assessment.base import Case
from fer_core.directories import read_columns
from fer_core.ingest.corrections import NO_LABEL
from fer_core.label_audit.doubts import LABEL_AUDIT, LabelAudit, audit_table, audit_unseen
from fer_core.label_audit.page import MOST_SHOWN, AuditPage, Suspect, render_audit
from fer_core.levels import Level
from fer_core.pictures import small_picture
from fer_core.reading import FaceTable
from fer_core.vocabulary import LABELS

AUDIT_PAGE = "label_audit.html"


@dataclass(frozen=True, eq=False)
class AuditedFold:
    """A fold of a cross-validation: whom its model was trained on, and the faces it was tested on.

    Attributes:
        classes: of the model.
        level: its training faces.
        sample_id: (Q,) of the tested faces.
        truth: (Q,) their classes by name.
        embedding_QD: theirs.
    """

    classes: tuple[str, ...]
    level: Level
    sample_id: np.ndarray
    truth: Sequence[str]
    embedding_QD: np.ndarray


class _Sources:
    """Of each picture of a directory of face crops: where it was, and what the data set says of it."""

    def __init__(self, directory: Path) -> None:
        self.known = read_columns(directory, "part-", ["sample_id", "source_path", "expression_original", "expression"])
        self.place_of = {name: place for place, name in enumerate(self.known["sample_id"].to_pylist())}

    def of(self, sample_id: np.ndarray) -> tuple[list[str | None], list[str]]:
        known = self.known.take([self.place_of[name] for name in sample_id.tolist()])
        said = pc.coalesce(known["expression_original"], known["expression"], NO_LABEL)  # an estimate stands elsewhere
        return known["source_path"].to_pylist(), said.to_pylist()


def write_audit(case: Case, audit: LabelAudit) -> dict[str, bytes]:
    """File name -> content: the training faces whose neighbours carry another label, worst first."""
    sample_id, classes = case.predictor.level.sample_id, case.predictor.classes
    table = audit_table(audit, sample_id, classes, *_Sources(case.trained.directory).of(sample_id))
    return _files(table, case.trained, classes, is_unseen=False)


def audit_of_folds(folds: Sequence[AuditedFold], directory: Path) -> pa.Table:
    """The faces whose neighbours among the training faces of their fold carry another label, the worst of all first.

    Each is judged by a model that has seen neither it nor, where subjects are known, its subject: a wrong label cannot
    have been learnt by heart. Distances of several networks cannot be compared, so of those with equal shares the
    first of each fold come first, then the second.

    Args:
        directory: of the face crops.
    """
    sources = _Sources(directory)
    tables = [_audit_of_fold(fold, sources) for fold in folds]
    found, place = pa.concat_tables(tables), np.concatenate([np.arange(len(table)) for table in tables])
    return found.take(np.lexsort((place, -found["share"].to_numpy())))


def write_audit_of_folds(table: pa.Table, folds: Sequence[AuditedFold], faces: FaceTable) -> dict[str, bytes]:
    """File name -> content, of the table of `audit_of_folds`.

    Args:
        faces: all of them, those without a label of their own too.
    """
    classes = tuple(name for name in LABELS if any(name in fold.classes for fold in folds))
    return _files(table, faces, classes, is_unseen=True)


def _audit_of_fold(fold: AuditedFold, sources: _Sources) -> pa.Table:
    label_Q = np.array([fold.classes.index(name) for name in fold.truth], dtype=np.int64)
    level, num_classes = fold.level, len(fold.classes)
    audit = audit_unseen(fold.embedding_QD, label_Q, level.embedding_ND, level.class_N, num_classes)
    known = sources.of(fold.sample_id)
    return audit_table(audit, fold.sample_id, fold.classes, *known, searched_id=level.sample_id)


def _files(table: pa.Table, faces: FaceTable, classes: tuple[str, ...], is_unseen: bool) -> dict[str, bytes]:
    written = io.BytesIO()
    pyarrow.csv.write_csv(table, written)
    suspects = _suspects_of(faces, table.slice(0, MOST_SHOWN).to_pylist())
    page = AuditPage(faces.directory.name, suspects, len(table), classes, is_unseen)
    return {LABEL_AUDIT: written.getvalue(), AUDIT_PAGE: render_audit(page).encode()}


def _suspects_of(faces: FaceTable, rows: list[dict[str, object]]) -> list[Suspect]:
    """Rows of the table, each with its face and its neighbour's."""
    if not rows:
        return []
    row_of = {name: row for row, name in enumerate(faces.sample_id.tolist()) if faces.rotation[row] == 0}
    places = [row_of[str(row[column])] for row in rows for column in ("sample_id", "neighbour_id")]
    sources = [small_picture(image) for image in faces.images(np.array(places))]
    told = ("sample_id", "source_path", "label", "trained", "proposed", "share")
    return [
        Suspect(**{name: row[name] for name in told}, face=face, neighbour=neighbour)  # type: ignore[arg-type]
        for row, face, neighbour in zip(rows, sources[::2], sources[1::2], strict=True)
    ]
