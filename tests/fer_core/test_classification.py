import numpy as np
import pytest
from sklearn import metrics

from fer_core.evaluation.classification import confusion_matrix, scores


def draw(seed, truth_classes, predicted_classes):
    rng = np.random.default_rng(seed)
    return rng.choice(truth_classes, 50), rng.choice(predicted_classes, 50)


CASES = [([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 1, 3], [0, 1]), ([0, 1], [1, 4]), ([2], [2])]


@pytest.mark.parametrize(("truth_classes", "predicted_classes"), CASES)
def test_scores_are_those_of_scikit_learn(truth_classes, predicted_classes):
    truth, predicted = draw(0, truth_classes, predicted_classes)
    confusion = confusion_matrix(truth, predicted, 5)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, predicted, labels=range(5)))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, predicted, average="macro", zero_division=0
    )
    per_class = metrics.recall_score(truth, predicted, labels=np.unique(truth), average=None)
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "mean_class_accuracy": per_class.mean(),
    }
    assert scores(confusion) == pytest.approx(expected)


def test_many_weighted_matrices_at_once():
    confusions = np.stack([confusion_matrix(*draw(seed, *case), 5) for seed, case in enumerate(CASES)])
    together = scores(0.5 * confusions)
    for i, confusion in enumerate(confusions):
        assert {name: value[i] for name, value in together.items()} == pytest.approx(scores(confusion))


def test_confusion_matrix_refuses():
    with pytest.raises(ValueError, match="prediction holds a class"):
        confusion_matrix(np.array([0]), np.array([2]), 2)
    with pytest.raises(ValueError, match="two equal rows"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)
