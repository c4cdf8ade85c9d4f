"""How each kind of method is tested."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa

from fer_core.assessment import expression_figures
from fer_core.assessment.base import Assessed, Case, CasePlan, Progress
from fer_core.assessment.expressions import Assessment, measure_expressions, predictions_table, view_table
from fer_core.assessment.groups import group_table
from fer_core.assessment.label_doubts import write_audit
from fer_core.assessment.landmarks import with_landmarks
from fer_core.assessment.verification import embed_tested, tell_verification
from fer_core.levels import embedding_column
from fer_core.world import ALONE, World


class Protocol(NamedTuple):
    """How a kind of method is tested.

    Attributes:
        measure: what takes long: embeddings, neighbours; on several workers, who each get all of it.
        tell: what it gives -> what a model did.
    """

    measure: Callable[[Case, Progress, World], Any]
    tell: Callable[[Case, Any], Assessed]

    def __call__(self, case: Case, progress: Progress) -> Assessed:
        """Both, in this process."""
        return self.tell(case, self.measure(case, progress, ALONE))


def tell_expressions(case: Case, found: Assessment) -> Assessed:
    """Classification, clusters, retrieval and, where the model says it, the view."""
    evaluation, predictor = found.evaluation, case.predictor
    by = "subjects" if evaluation.resampled_by == "subject" else "pictures (the data set names no subjects)"
    return Assessed(
        metrics=evaluation.metrics | found.views | found.groups.metrics,
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
        files=lambda: write_audit(case, found.label_audit),
        tables=[*view_table(found, case), *group_table(found.groups)],
    )


def tell_landmarks(case: Case, found: Assessment) -> Assessed:
    """As expressions, with a linear SVM, similarity triplets, and the faces that the decoder draws."""
    return with_landmarks(tell_expressions(case, found), case)


PROTOCOLS = {
    "expressions": Protocol(measure_expressions, tell_expressions),
    "landmarks": Protocol(measure_expressions, tell_landmarks),
    "pairs": Protocol(embed_tested, tell_verification),
}
"""By methods.Method.protocol."""


def protocol_of(case: Case) -> Protocol:
    """How the case's model is tested."""
    return PROTOCOLS[case.predictor.description.build_method().protocol]


def measured(world: World, plan: CasePlan) -> Any:
    """Protocol.measure for a worker, which makes the case itself."""
    case = plan.made()
    return protocol_of(case).measure(case, lambda *_: None, world)
