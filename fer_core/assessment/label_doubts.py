"""The label audit of a model's training faces as files: a table and a page to decide by."""

import io

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv

from fer_core.assessment.base import Case
from fer_core.directories import read_columns
from fer_core.ingest.corrections import NO_LABEL
from fer_core.label_audit.doubts import LABEL_AUDIT, LabelAudit, audit_table
from fer_core.label_audit.page import MOST_SHOWN, AuditPage, Suspect, render_audit
from fer_core.pictures import small_picture

AUDIT_PAGE = "label_audit.html"


def write_audit(case: Case, audit: LabelAudit) -> dict[str, bytes]:
    """File name -> content: the training faces whose neighbours carry another label, worst first."""
    sample_id, classes = case.predictor.level.sample_id, case.predictor.classes
    columns = ["sample_id", "source_path", "expression_original", "expression"]
    known = read_columns(case.trained.directory, "part-", columns)
    place_of = {name: place for place, name in enumerate(known["sample_id"].to_pylist())}
    known = known.take([place_of[name] for name in sample_id.tolist()])
    said = pc.coalesce(known["expression_original"], known["expression"], NO_LABEL)  # an estimated one stands elsewhere
    table = audit_table(audit, sample_id, classes, known["source_path"].to_pylist(), said.to_pylist())
    written = io.BytesIO()
    pyarrow.csv.write_csv(table, written)
    suspects = suspects_of(case, table.to_pylist()[:MOST_SHOWN])
    page = AuditPage(case.trained.directory.name, suspects, len(audit), classes)
    return {LABEL_AUDIT: written.getvalue(), AUDIT_PAGE: render_audit(page).encode()}


def suspects_of(case: Case, rows: list[dict[str, object]]) -> list[Suspect]:
    """Rows of the table, each with its face and its neighbour's."""
    if not rows:
        return []
    faces = case.trained
    row_of = {name: row for row, name in enumerate(faces.sample_id.tolist()) if faces.rotation[row] == 0}
    places = [row_of[str(row[column])] for row in rows for column in ("sample_id", "neighbour_id")]
    sources = [small_picture(image) for image in faces.images(np.array(places))]
    told = ("sample_id", "source_path", "label", "trained", "proposed", "share")
    return [
        Suspect(**{name: row[name] for name in told}, face=face, neighbour=neighbour)  # type: ignore[arg-type]
        for row, face, neighbour in zip(rows, sources[::2], sources[1::2], strict=True)
    ]
