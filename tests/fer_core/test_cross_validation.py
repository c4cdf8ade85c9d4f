import pytest

from fer_core.evaluation.cross_validation import cross_validation


def test_means_and_deviations_of_what_all_folds_have():
    folds = [
        {"accuracy": 0.8, "nmi": 0.5, "recall_at_32": 1.0},
        {"accuracy": 0.6, "nmi": 0.5},
        {"accuracy": 0.7, "nmi": 0.5},
    ]
    found = cross_validation(folds)
    assert found == pytest.approx({"accuracy": 0.7, "accuracy_std": 0.1, "nmi": 0.5, "nmi_std": 0.0})
