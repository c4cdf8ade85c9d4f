from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from fer_core.embedding_table import Embedded
from fer_core.evaluation import (
    Interval,
    acc_at_k,
    kmeans_labels,
    knn_predict,
    map_at_r,
    measure,
    nmi,
    pair_f1,
    recall_at_k,
)
from fer_core.evaluation.average_precision import average_precisions
from fer_core.evaluation.bootstrap import SubjectBootstrap, share_interval

CLASSES = ("neutral", "happiness", "surprise", "sadness")


def table(prefix, num_images, seed, *, num_subjects=None, num_present=3, spread=1.0):
    rng = np.random.default_rng(seed)
    label = np.arange(num_images) % num_present
    sample_id = np.array([f"{prefix}{i}" for i in range(num_images)])
    subject = sample_id if num_subjects is None else np.array([f"p{i % num_subjects}" for i in range(num_images)])
    embedding = 3 * np.eye(4, 6)[label] + spread * rng.normal(size=(num_images, 6))
    return Embedded(sample_id, subject, label, embedding.astype(np.float32))


@pytest.fixture(scope="module")
def test_part():
    return table("t", 90, 0, num_subjects=15)


@pytest.fixture(scope="module")
def gallery():
    return table("g", 120, 1, num_present=4)


def test_values_are_those_of_scikit_learn_and_of_the_parts(test_part, gallery):
    found = measure(test_part, gallery, CLASSES, seed=0, resamples=200)
    knn = knn_predict(test_part.embedding, gallery.embedding, gallery.label, 11)
    cluster = kmeans_labels(test_part.embedding, 3, seed=0)
    truth = test_part.label
    expected = {
        "accuracy": (knn == truth).mean(),
        "knn_f1": f1_score(truth, knn, average="macro", zero_division=0),
        "mean_class_accuracy": recall_score(truth, knn, average="macro", labels=[0, 1, 2]),
        "nmi": nmi(truth, cluster),
        "cluster_f1": pair_f1(truth, cluster),
    }
    expected |= {f"accuracy_{CLASSES[c]}": (knn[truth == c] == c).mean() for c in range(3)}
    expected |= {f"recall_at_{k}": v for k, v in recall_at_k(test_part.embedding, truth, (1, 8, 32)).items()}
    expected |= {f"acc_at_{k}": v for k, v in acc_at_k(test_part.embedding, truth, (1, 8, 32)).items()}
    expected["map_at_r"] = map_at_r(test_part.embedding, truth)
    assert {name: found.metrics[name].value for name in expected} == pytest.approx(expected)
    np.testing.assert_array_equal(found.predicted, knn)
    assert found.confusion.sum() == 90
    assert found.confusion[3].sum() == 0
    assert found.knn_f1_over_k[11] == found.metrics["knn_f1"].value
    assert tuple(found.knn_f1_over_k) == (1, 3, 5, 7, 9, 11, 13, 15, 21, 31)


def test_the_names_and_the_intervals(test_part, gallery):
    found = measure(test_part, gallery, CLASSES, seed=0, resamples=200)
    decision = ["accuracy", "precision", "recall", "f1"]
    names = {*decision, *(f"knn_{name}" for name in decision), "mean_class_accuracy", "nmi", "cluster_f1", "map_at_r"}
    names |= {f"accuracy_{name}" for name in CLASSES[:3]}  # nobody in the test part is sad
    names |= {f"{kind}_at_{k}" for kind in ("recall", "acc") for k in (1, 2, 4, 8, 16, 32)}
    assert set(found.metrics) == names
    for interval in found.metrics.values():
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert found.metrics["accuracy"].low < found.metrics["accuracy"].high
    assert (found.num_subjects, found.resampled_by) == (15, "subject")
    assert found.metrics == measure(test_part, gallery, CLASSES, seed=0, resamples=200).metrics


def test_the_interval_of_a_class_resamples_its_people(test_part, gallery):
    found = measure(test_part, gallery, CLASSES, seed=4, resamples=200)
    own = test_part.label == 2
    expected = share_interval(found.predicted[own] == 2, test_part.subject[own], 4, 200)
    assert found.metrics["accuracy_surprise"] == expected
    assert expected != share_interval(found.predicted[own] == 2, test_part.sample_id[own], 4, 200)


def test_the_cluster_f1_of_a_resample_does_not_pair_an_image_with_its_copy(gallery):
    test = table("t", 12, 3, spread=4.0)
    found = measure(test, gallery, CLASSES, seed=7, resamples=30).metrics["cluster_f1"]
    cluster = kmeans_labels(test.embedding, 3, seed=7)
    draws = []
    for times in np.concatenate(list(SubjectBootstrap(test.subject, 7, 30)._weights())):
        image = np.repeat(np.searchsorted(np.unique(test.subject), test.subject).argsort(), times)
        pairs = [(i, j) for i, j in combinations(image, 2) if i != j]
        in_class = [test.label[i] == test.label[j] for i, j in pairs]
        in_cluster = [cluster[i] == cluster[j] for i, j in pairs]
        draws.append(2 * np.sum(np.logical_and(in_class, in_cluster)) / (sum(in_class) + sum(in_cluster)))
    low, high = np.quantile(draws, (0.025, 0.975))
    assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)))


def test_probabilities_decide_where_there_are_any(test_part, gallery):
    wrong = np.eye(4, dtype=np.float32)[(test_part.label + 1) % 4]
    found = measure(replace(test_part, probability=wrong), gallery, CLASSES, seed=0, resamples=50)
    assert found.metrics["accuracy"] == Interval(0.0, 0.0, 0.0)
    assert found.metrics["knn_accuracy"].value > 0.8
    assert found.confusion[0, 1] == 30


def test_without_people_images_are_resampled(gallery):
    found = measure(table("t", 40, 2), gallery, CLASSES, seed=0, resamples=50)
    assert (found.num_subjects, found.resampled_by) == (40, "image")


def test_tiny_sets():
    found = measure(table("t", 3, 0), table("g", 4, 1, num_present=4), CLASSES, seed=0, resamples=20)
    assert [name for name in found.metrics if "_at_" in name] == ["recall_at_1", "recall_at_2", "acc_at_1", "acc_at_2"]
    assert tuple(found.knn_f1_over_k) == (1, 3)
    single = measure(table("t", 1, 0), table("g", 1, 1), CLASSES, seed=0, resamples=20)
    assert single.metrics["nmi"] == Interval(1.0, 0.0, 1.0)


def test_map_at_r_resamples_the_images_that_have_others_of_their_class(gallery):
    test = table("t", 41, 3, num_subjects=8)
    alone = replace(test, label=np.where(np.arange(41) == 40, 3, test.label))
    found = measure(alone, gallery, CLASSES, seed=0, resamples=300).metrics["map_at_r"]
    precision = average_precisions(alone.embedding, alone.label)
    assert np.isnan(precision[40])
    draws = []
    for weight in np.concatenate(list(SubjectBootstrap(alone.subject, 0, 300).weights())):
        draws.append((weight[:40] * precision[:40]).sum() / weight[:40].sum())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))))
    assert found.value == pytest.approx(precision[:40].mean())


def test_a_collapsed_model_is_measured(gallery):
    flat = replace(gallery, sample_id=np.char.add("x", gallery.sample_id), embedding=np.zeros((120, 6), np.float32))
    found = measure(flat, replace(gallery, embedding=flat.embedding), CLASSES, seed=0, resamples=20)
    assert found.metrics["nmi"].value == 0
    assert found.metrics["accuracy"].value == 0.25


def test_refusals(test_part, gallery):
    with pytest.raises(ValueError, match="also in the gallery, the first is t0"):
        measure(test_part, test_part, CLASSES, seed=0)
    with pytest.raises(ValueError, match="gallery part has label 3, but there are 3"):
        measure(test_part, gallery, CLASSES[:3], seed=0)
    none = np.array([], str)
    empty = Embedded(none, none, np.array([], int), np.zeros((0, 6), np.float32))
    with pytest.raises(ValueError, match="test part is empty"):
        measure(empty, gallery, CLASSES, seed=0)
    with pytest.raises(ValueError, match="5 columns for 4"):
        measure(replace(test_part, probability=np.zeros((90, 5), np.float32)), gallery, CLASSES, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.zeros(4, int)}, "label has shape"),
        ({"label": np.array([0, 1, -1])}, "integers from 0 on"),
        ({"label": np.zeros(3)}, "integers from 0 on"),
        ({"subject": np.arange(3)}, "arrays of strings"),
        ({"embedding": np.full((3, 6), np.nan, np.float32)}, "embedding holds a NaN"),
        ({"embedding": np.zeros((3, 6))}, "embedding is float64"),
        ({"probability": np.zeros((2, 4), np.float32)}, "probability is float32"),
    ],
)
def test_the_table_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        replace(table("t", 3, 0), **change)
