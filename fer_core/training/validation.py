"""The loss on validation rows, after each epoch."""

import numpy as np
import torch
from torch import nn

from fer_core.errors import InputError
from fer_core.inputs import Inputs
from fer_core.losses.numerics import NotFiniteError
from fer_core.methods.base import Method, Objective
from fer_core.reading import FaceTable
from fer_core.targets import UNKNOWN, Targets
from fer_core.training.keeping import Means
from fer_core.training.plan import TrainingPlan

MOST_BATCHES = 50


class Validation:
    """Batches of the validation rows, drawn as the training's are; the same in every epoch.

    Nothing is measured where the plan does not ask for it. Sub-classes are not known of validation rows, so there the
    first label of their class stands in.

    Args:
        class_of_label: of each label that is trained on.

    Raises:
        InputError: the model is picked by validation rows and there is none, or no batch can be drawn of them.
    """

    def __init__(
        self, plan: TrainingPlan, method: Method, faces: FaceTable, inputs: Inputs, class_of_label: list[int]
    ) -> None:
        rows = faces.rows_of("valid", upright=True, unlabelled=True)
        first_label = {one: class_of_label.index(one) for one in class_of_label}
        label_N = np.array([first_label.get(one, UNKNOWN) for one in faces.label[rows].tolist()], dtype=np.int64)
        kept = (label_N != UNKNOWN) | (faces.unlabelled is not None)
        self.rows, label_N = rows[kept], label_N[kept]
        if method.picks_by_validation and not len(self.rows):
            raise InputError("the model is picked by validation rows, and none is of a class that is trained on")
        self.wanted = (plan.validation or method.picks_by_validation) and method.learns and len(self.rows) > 0
        self.inputs, self.seed = inputs, plan.seed
        if self.wanted:
            self.known = faces.training_rows(self.rows, label_N)
            try:
                self.sampler = method.validation_sampler(self.known, plan.recipe.batch_size, plan.seed)
            except ValueError as error:
                raise InputError(f"the validation rows give no batch: {error}") from error

    @torch.no_grad()
    def measured(self, network: nn.Module, objective: Objective, progress: float) -> dict[str, float]:
        """Mean terms and their sum, as valid_NAME and valid_loss; empty where nothing is to be measured.

        Raises:
            NotFiniteError: the loss, or what goes into it.
        """
        if not self.wanted:
            return {}
        network.eval()
        objective.eval()
        means = Means()
        for step in range(min(self.sampler.steps_per_epoch, MOST_BATCHES)):
            torch.manual_seed(self.seed * 1_000_003 + step)
            drawn = self.sampler.batch(0, step)
            inputs = self.inputs.plain(self.rows[drawn])
            outputs = network(inputs)
            targets = Targets.of(self.known.targets(drawn).stacked().to(inputs.device))
            terms = objective(outputs, targets, min(progress, 1.0))
            means.add({"loss": torch.stack(list(terms.values())).sum(), **terms})
        values = means.values()
        if not np.isfinite(values["loss"]):
            raise NotFiniteError(f"the loss on validation rows is {values['loss']}")
        return {f"valid_{name}": value for name, value in values.items()}
