"""How each kind of method is tested."""

import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.csv

from fer_core.assessment import expression_figures
from fer_core.assessment.base import Assessed, Case, Progress
from fer_core.assessment.expressions import measure_expressions, predictions_table, view_table
from fer_core.assessment.landmarks import with_landmarks
from fer_core.assessment.verification import assess_verification
from fer_core.label_audit import audit_table
from fer_core.levels import embedding_column

LABEL_AUDIT = "label_audit.csv"


def assess_expressions(case: Case, progress: Progress) -> Assessed:
    """Classification, clusters, retrieval and, where the model says it, the view."""
    found = measure_expressions(case, progress)
    evaluation, predictor = found.evaluation, case.predictor
    by = "subjects" if evaluation.resampled_by == "subject" else "pictures (the data set names no subjects)"
    return Assessed(
        metrics=evaluation.metrics | found.views,
        predictions=predictions_table(found, case),
        embeddings=pa.table({"sample_id": found.test.sample_id, "embedding": embedding_column(found.test.embedding)}),
        facts=[
            ("training faces", len(predictor.level.sample_id)),
            ("test faces", len(found.test)),
            ("classes", ", ".join(predictor.classes)),
            ("sub-classes", len(predictor.level.group_G)),
            ("decides by", predictor.decides_by),
        ],
        notes=[
            f"Intervals are 95 % by a bootstrap over {evaluation.num_subjects} {by}.",
            "No epoch, threshold or other choice was made on the test part; K = 11 is fixed.",
        ],
        draw=lambda: expression_figures.draw(found, case),
        files=lambda: {LABEL_AUDIT: _label_audit(case)},
        tables=view_table(found, case),
    )


def _label_audit(case: Case) -> bytes:
    """The training faces whose neighbours carry another label, worst first, as csv."""
    written = io.BytesIO()
    names, classes = case.predictor.level.sample_id, case.predictor.classes
    pyarrow.csv.write_csv(audit_table(case.label_audit, names, classes), written)
    return written.getvalue()


def assess_landmarks(case: Case, progress: Progress) -> Assessed:
    """As expressions, with a linear SVM, similarity triplets, and the faces that the decoder draws."""
    return with_landmarks(assess_expressions(case, progress), case)


PROTOCOLS: dict[str, Callable[[Case, Progress], Assessed]] = {
    "expressions": assess_expressions,
    "landmarks": assess_landmarks,
    "pairs": assess_verification,
}
"""By methods.Method.protocol."""
