"""`cnn`: the baseline of both sgm and mul_dml, a softmax classifier; its embedding is the backbone's features."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fer_core.methods.base import Head, Method, Objective, Outputs, Recipe
from fer_core.options.base import Frozen
from fer_core.targets import Counts, Targets


class CnnOptions(Frozen):
    """The baseline has no fields of its own."""


class CnnHead(Head):
    """Dropout and a linear classifier on the features."""

    def __init__(self, num_features: int, num_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(num_features, num_labels)

    def forward(self, features_BF: Tensor) -> Outputs:
        """(B, F) -> embedding = features, logits."""
        return Outputs(features_BF, self.classifier(self.dropout(features_BF)))


class SoftmaxCrossEntropy(Objective):
    """Of the labels, alone."""

    def forward(self, outputs: Outputs, targets: Targets, progress: float) -> dict[str, Tensor]:
        """{cross_entropy}, the mean over the batch."""
        assert outputs.logits_BC is not None
        return {"cross_entropy": cross_entropy(outputs.logits_BC, targets.label_B)}


class Cnn(Method):
    """Softmax cross-entropy alone, trained as mul_dml is."""

    Options = CnnOptions
    paper = Recipe(epochs=70, batch_size=96, lr=5e-6)
    from_scratch = Recipe(epochs=8, batch_size=96, lr=1e-3, one_cycle=True, weight_decay=0.05)

    def head(self, num_features: int, counts: Counts) -> Head:
        """Dropout and classifier."""
        return CnnHead(num_features, counts.labels)

    def objective(self, counts: Counts) -> Objective:
        """Softmax cross-entropy."""
        return SoftmaxCrossEntropy()
