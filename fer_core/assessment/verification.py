"""Testing a model that says whether two faces are one person's, and its figures."""

import numpy as np
import pyarrow as pa

from fer_core import figures
from fer_core.assessment.base import Assessed, Case, Drawn, Progress
from fer_core.assessment.pairs import IndexPairs, LeftOut, PairAssessment, assess_pairs, protocol_pairs, usual_pairs
from fer_core.directories import read_columns
from fer_core.embedding import embed_rows
from fer_core.levels import embedding_column
from fer_core.world import ALONE, World

MOST_SHOWN = 16


def embed_tested(case: Case, progress: Progress, world: World = ALONE) -> np.ndarray:
    """Embeddings (N, D) of the upright test rows, on every worker."""
    rows, predictor = case.tested.rows_of("test", upright=True), case.predictor
    network, inputs = predictor.network.to(world.device), predictor.description.inputs(case.tested, world.device)
    return embed_rows(network, inputs, rows, progress, world).embedding_ND


def tell_verification(case: Case, made: np.ndarray) -> Assessed:
    """Pairs of the data set's protocol whose people were not trained on, else pairs made of the test people.

    Args:
        made: what `embed_tested` gives.
    """
    faces, predictor = case.tested, case.predictor
    rows = faces.rows_of("test", upright=True)
    pairs, left_out = _pairs(case, rows)
    found = assess_pairs(made, faces.sample_id[rows], faces.group[rows], pairs, case.seed, case.resamples)
    which = "of the test people" if case.pairs is None else "of the data set's protocol"
    notes = [
        f"{len(pairs)} pairs {which} in {len(found.measured.folds)} folds, each fold's threshold chosen on the others.",
        "Nobody in a pair was trained on. Intervals are 95 % by a bootstrap over people, both of a pair.",
    ]
    if sum(left_out):
        notes.append(
            f"{left_out.same} pairs of one person and {left_out.different} of two are not tested here: somebody in "
            "them was trained on (of folds, another tests them), or a picture is missing."
        )
    return Assessed(
        metrics=found.metrics,
        predictions=found.table,
        embeddings=pa.table({"sample_id": faces.sample_id[rows], "embedding": embedding_column(made)}),
        facts=[
            ("training faces", len(predictor.level.sample_id)),
            ("people trained on", len(predictor.classes)),
            ("test faces", len(rows)),
            ("people tested", len(np.unique(faces.group[rows]))),
            ("pairs", len(pairs)),
        ],
        notes=notes,
        draw=lambda: _draw(found, pairs, rows, case),
    )


def _pairs(case: Case, rows: np.ndarray) -> tuple[IndexPairs, LeftOut]:
    faces = case.tested
    if case.pairs is not None:
        paths = read_columns(faces.directory, "part-", ["source_path"])["source_path"].to_numpy()
        return protocol_pairs(case.pairs, paths[faces.picture], rows)
    return usual_pairs(faces.identity[rows], case.seed), LeftOut(0, 0)


def _draw(found: PairAssessment, pairs: IndexPairs, rows: np.ndarray, case: Case) -> list[Drawn]:
    caption = "True accepts over false accepts of the test pairs."
    name = case.predictor.description.method
    drawn = [Drawn("roc", "ROC", caption, figures.roc_curves({name: found.measured}))]
    if len(case.predictor.description.history) > 1:
        caption = "Means over each epoch of training; patches and offline rotations included."
        curves = figures.training_curves(case.predictor.description.history)
        drawn.append(Drawn("training", "Training", caption, curves))
    return drawn + _mistakes(found, pairs, rows, case)


def _mistakes(found: PairAssessment, pairs: IndexPairs, rows: np.ndarray, case: Case) -> list[Drawn]:
    """The wrongly decided pairs that are farthest on the wrong side, of one person and of two in turn."""
    truth, decision = (np.array(found.table[name].to_pylist()) for name in ("truth", "decision"))
    distance = found.table["distance"].to_numpy()
    of_one = np.flatnonzero((truth == "same") & (decision == "different"))
    of_two = np.flatnonzero((truth == "different") & (decision == "same"))
    far, near = (
        of_one[np.argsort(-distance[of_one], kind="stable")],
        of_two[np.argsort(distance[of_two], kind="stable")],
    )
    half = MOST_SHOWN // 2
    shown = np.concatenate([far[:half], near[:half]])
    if not len(shown):
        return []
    images = [case.tested.images(rows[side[shown]]) for side in (pairs.first, pairs.second)]
    titles = [f"{truth[at]}, distance {distance[at]:.2f}" for at in shown]
    sheet = figures.pairs(list(zip(*images, strict=True)), titles)
    wrong = len(of_one) + len(of_two)
    caption = f"{len(shown)} of {wrong} wrongly decided pairs: the farthest of one person, the nearest of two."
    return [Drawn("mistakes", "Mistakes", caption, sheet)]
