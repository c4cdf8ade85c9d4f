"""The loss on validation rows, after each epoch."""

import torch
from torch import nn

from fer_core.inputs import Inputs
from fer_core.methods.base import Method, Objective
from fer_core.reading import FaceTable
from fer_core.targets import UNKNOWN, Counts, Targets
from fer_core.training.keeping import Means
from fer_core.training.plan import TrainingPlan

MOST_BATCHES = 50


class Validation:
    """Batches of the validation rows, drawn as the training's are; the same in every epoch.

    Nothing is measured where the plan does not ask for it. Sub-classes are not known of validation rows, so there the
    first label of their class stands in.

    Args:
        counts: of the rows that are trained on.

    Raises:
        ValueError: the method cannot draw batches of the validation rows.
    """

    def __init__(self, plan: TrainingPlan, method: Method, faces: FaceTable, inputs: Inputs, counts: Counts) -> None:
        self.rows = faces.rows_of("valid", upright=True)
        self.rows = self.rows[faces.label[self.rows] != UNKNOWN]
        self.wanted = (plan.validation or method.picks_by_validation) and method.learns and len(self.rows) > 0
        self.inputs, self.seed = inputs, plan.seed
        if self.wanted:
            self.known = faces.training_rows(self.rows)
            self.sampler = method.validation_sampler(self.known, plan.recipe.batch_size, plan.seed)

    @torch.no_grad()
    def measured(self, network: nn.Module, objective: Objective, progress: float) -> dict[str, float]:
        """Mean terms and their sum, as valid_NAME and valid_loss; empty where nothing is to be measured."""
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
        return {f"valid_{name}": value for name, value in means.values().items()}
