"""Telling pairs of validation people apart, after each epoch: nobody of them has a label that could be learnt."""

from torch import nn

from fer_core.assessment.pairs import usual_pairs
from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.evaluation.verification import pair_distances, verification
from fer_core.inputs import Inputs
from fer_core.losses.numerics import NotFiniteError
from fer_core.methods.base import Objective
from fer_core.reading import FaceTable
from fer_core.targets import UNKNOWN


class PairValidation:
    """Pairs made of the validation people, the same in every epoch.

    Args:
        seed: of the pairs.

    Raises:
        InputError: the validation people are too few for pairs.
    """

    def __init__(self, faces: FaceTable, inputs: Inputs, seed: int) -> None:
        rows = faces.rows_of("valid", upright=True)
        self.rows, self.inputs = rows[faces.identity[rows] != UNKNOWN], inputs
        try:
            self.pairs = usual_pairs(faces.identity[self.rows], seed)
        except InputError as error:
            raise InputError(f"--validation: of the people kept for it, {error}; or leave it out") from error

    def measured(self, network: nn.Module, objective: Objective, progress: float) -> dict[str, float]:
        """valid_pair_accuracy and valid_auc, by distances alone: `objective` and `progress` are not looked at.

        Raises:
            NotFiniteError: an embedding.
        """
        made = embed_rows(network.eval(), self.inputs, self.rows, lambda *_: None).embedding_ND
        try:
            distance_P = pair_distances(made, self.pairs.first, self.pairs.second)
        except ValueError as error:
            raise NotFiniteError(f"validation pictures: {error}") from error
        found = verification(distance_P, self.pairs.same, self.pairs.fold)
        return {"valid_pair_accuracy": found.accuracy, "valid_auc": found.auc}
