"""Figures of values: convergence, distances, weights, poses, verification, results."""

import numpy as np
import pytest
from test_figures import decoded, shows

from fer_core import figures
from fer_core.evaluation.verification import verification
from fer_core.figures.panels import curve, line_looks, num_columns, series_looks
from fer_core.figures.poses import _percents
from fer_core.figures.roc import _told
from fer_core.vocabulary import EIGHT

BLUE, VERMILION, GREEN = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)
NAN = float("nan")


@pytest.fixture
def axes():
    _, (only,) = figures.canvas.new_figure(4, 3)
    return only


@pytest.mark.parametrize("num", [1, 3, 4, 5, 7, 8, 9])
def test_panels_fill_as_few_lines_as_hold_them_evenly(num):
    found = num_columns(num, 4)
    assert 1 <= found <= 4
    assert -(-num // found) == -(-num // 4)
    assert found == 1 or -(-num // (found - 1)) > -(-num // found), "a narrower picture has as few lines"


def test_looks_are_distinct_and_never_the_grey_of_the_others():
    grey = figures.canvas.style_of(["neutral"])[0][0]
    assert len(set(series_looks(49))) == 49
    lines = [(look["color"], look["linestyle"]) for look in line_looks(28)]
    assert len(set(lines)) == 28
    assert grey not in {colour for colour, _ in [*series_looks(49), *lines]}


def test_a_curve_has_gaps_and_dots_for_lone_values(axes):
    curve(axes, np.array([5.0, NAN, 3.0, 2.0, np.inf, 1.0]), color="k")
    line, lone = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [5, NAN, 3, 2, NAN, 1])
    assert lone.get_xdata().tolist() == [1, 6]
    assert lone.get_ydata().tolist() == [5, 1]


def test_a_long_curve_is_smoothed(axes):
    noise = np.random.default_rng(0).normal(size=1000)
    curve(axes, noise, color="k", linestyle="--")
    pale, smooth = axes.lines
    assert pale.get_alpha() < 0.5
    assert smooth.get_ydata()[100:].std() < 0.4 * pale.get_ydata().std()
    assert smooth.get_linestyle() == "--"


def test_convergence_has_a_plot_for_each_threshold():
    def run(threshold, loss, validation=True):
        values = np.linspace(1, 0.1, 30)
        return figures.LossRun(threshold, loss, values, 1.3 * values if validation else None)

    one = decoded(figures.threshold_convergence([run(0.2, "traditional")]))
    three = decoded(figures.threshold_convergence([run(t, n) for t in (0.2, 0.4, 0.8) for n in ("trad", "dual")]))
    assert three.shape[1] > 1.5 * one.shape[1]
    assert shows(one, BLUE)
    assert not shows(one, VERMILION)
    assert shows(three, VERMILION)
    five = decoded(figures.threshold_convergence([run(t / 10, "dual", False) for t in range(1, 6)]))
    assert five.shape[0] > 1.8 * three.shape[0]


def test_systems_over_k_have_a_panel_a_measure_and_a_look_each():
    both = {"a": {1: 0.2, 2: 0.5}, "b": {1: 0.3}}
    one = decoded(figures.systems_over_k({"F1": both}, marked=11))
    two = decoded(figures.systems_over_k({"Recall@K": both, "Acc@K": {"a": {1: 0.2}}}))
    assert two.shape[1] > 1.5 * one.shape[1]
    assert shows(one, BLUE)
    assert shows(one, VERMILION)
    assert not shows(decoded(figures.systems_over_k({"F1": {"a": {1: 0.2}}})), VERMILION)
    for wrong in ({}, {"F1": {}}):
        with pytest.raises(ValueError, match="Nothing over K"):
            figures.systems_over_k(wrong)


def test_convergence_of_one_epoch_and_of_nothing_finite():
    one = figures.LossRun(0.2, "dual", np.array([0.5]), np.array([NAN]))
    assert shows(decoded(figures.threshold_convergence([one])), BLUE)
    for wrong in ([], [figures.LossRun(0.2, "dual", np.zeros(0))]):
        with pytest.raises(ValueError, match="an epoch in each"):
            figures.threshold_convergence(wrong)


def test_interclass_distances_are_those_of_all_pairs():
    """Against the slow loop: the same values, each ordered pair as likely as any other."""
    rng = np.random.default_rng(0)
    label = np.array([7, -2, 7, 7, 3, -2, 7])
    emb = rng.normal(size=(7, 3)).astype(np.float32)
    pairs = [(i, j) for i in range(7) for j in range(7) if label[i] != label[j]]
    possible = np.array([np.linalg.norm(emb[i].astype(float) - emb[j]) for i, j in pairs])
    found = figures.interclass_distances(emb, label, 30_000, seed=1)
    distinct = np.unique(possible)
    nearest = np.abs(found[:, None] - distinct).argmin(axis=1)
    np.testing.assert_allclose(found, distinct[nearest], rtol=1e-12)
    share = np.bincount(nearest, minlength=len(distinct)) / len(found)
    np.testing.assert_allclose(share, 1 / len(distinct), atol=0.015)  # 7 standard deviations
    np.testing.assert_array_equal(found, figures.interclass_distances(emb, label, 30_000, seed=1))
    assert (found != figures.interclass_distances(emb, label, 30_000, seed=2)).any()


def test_interclass_distances_refuse():
    emb, label = np.zeros((4, 2)), np.array([0, 0, 1, 1])
    assert figures.interclass_distances(emb, label, 3, seed=0).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="1 classes"):
        figures.interclass_distances(emb, np.zeros(4, int), 3, seed=0)
    with pytest.raises(ValueError, match="0 pairs"):
        figures.interclass_distances(emb, label, 0, seed=0)
    for wrong in (np.full((4, 2), NAN), np.zeros((3, 2)), np.zeros(4)):
        with pytest.raises(ValueError, match="Finite embeddings"):
            figures.interclass_distances(wrong, label, 3, seed=0)


def test_interclass_distributions():
    rng = np.random.default_rng(0)
    many = {0.15 + 0.1 * i: np.abs(rng.normal(1 + i / 10, 0.2, 2000)) for i in range(7)}
    assert shows(decoded(figures.interclass_distributions(many)), GREEN)
    assert not shows(decoded(figures.interclass_distributions({0.2: np.zeros(3)})), VERMILION)
    with pytest.raises(ValueError, match="No threshold"):
        figures.interclass_distributions({})
    for wrong in ([], [NAN], [-1.0]):
        with pytest.raises(ValueError, match=r"Threshold 0\.4"):
            figures.interclass_distributions({0.2: np.ones(3), 0.4: np.array(wrong)})


@pytest.mark.parametrize("num_batches", [1, 40, 1000])
def test_loss_weighting(num_batches):
    rng = np.random.default_rng(0)
    equal, dynamic, weights = (
        {name: rng.random(num_batches) for name in ("expression", "pose", "triplet")} for _ in range(3)
    )
    equal["pose"][num_batches // 3 : num_batches // 2] = NAN
    assert shows(decoded(figures.loss_weighting(equal, dynamic, weights)), GREEN)
    with pytest.raises(ValueError, match="same names"):
        figures.loss_weighting(equal, dynamic, {"pose": weights["pose"]})
    with pytest.raises(ValueError, match="one mini-batch"):
        figures.loss_weighting(equal, dynamic | {"pose": np.zeros(0)}, weights)
    with pytest.raises(ValueError, match="same names"):
        figures.loss_weighting({}, {}, {})


def test_pose_table():
    dark, pale = (8, 48, 107), (247, 251, 255)  # the ends of the colour map
    counts = np.array([[10, 0], [4, 1000]])
    right = decoded(figures.pose_table(counts, counts, ["fear", "anger"], [-45, 0]))
    wrong = decoded(figures.pose_table(np.zeros_like(counts), counts, ["fear", "anger"], [-45, 0]))
    dark_right, dark_wrong = ((np.abs(p.astype(int) - dark).max(axis=2) <= 2).sum() for p in (right, wrong))
    assert dark_right > 10 * dark_wrong
    assert shows(right, pale), "the cell without an image"
    assert _percents(np.array([1, 0, 2]), np.array([3, 0, 2])).tolist() == ["33 %", "–", "100 %"]
    large = np.full((8, 5), 40_000)
    decoded(figures.pose_table(large // 2, large, EIGHT, (-90, -45, 0, 45, 90)))


def test_pose_table_refuses():
    counts = np.ones((2, 3), int)
    with pytest.raises(ValueError, match="do not fit 2 classes and 2 yaws"):
        figures.pose_table(counts, counts, ["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="do not fit 0 classes"):
        figures.pose_table(np.zeros((0, 1), int), np.zeros((0, 1), int), [], [0])
    for wrong in (2 * counts, -counts):
        with pytest.raises(ValueError, match="more than images"):
            figures.pose_table(wrong, counts, ["a", "b"], [0, 1, 2])


def measured(num_same, num_different, shift=-2.0, seed=0):
    rng = np.random.default_rng(seed)
    same = np.arange(num_same + num_different) < num_same
    return verification(rng.normal(size=len(same)) + shift * same, same, np.arange(len(same)) % 2)


def test_roc_curves_tell_what_was_measured():
    many, few = measured(500, 2000), measured(500, 50)
    told = f"TAR@0.01 {100 * many.tar_at_far[1e-2]:.1f} %, TAR@0.001 {100 * many.tar_at_far[1e-3]:.1f} %"
    assert _told("Triplet", many) == f"Triplet: AUC {many.auc:.4f}, {told}"
    assert _told("few", few) == f"few: AUC {few.auc:.4f}, TAR@0.01 –, TAR@0.001 –"
    both = decoded(figures.roc_curves({"Triplet": many, "few": few}))
    assert shows(both, BLUE)
    assert shows(both, VERMILION)
    perfect = decoded(figures.roc_curves({"perfect": measured(20, 20, shift=-100)}))
    assert shows(perfect, BLUE)
    with pytest.raises(ValueError, match="No curve"):
        figures.roc_curves({})


def test_roc_curves_of_many():
    one = measured(50, 2000)
    assert decoded(figures.roc_curves({f"a long name {i}": one for i in range(14)})).shape[0] > 1000


@pytest.mark.parametrize(("num_rows", "num_columns", "num_cited"), [(1, 1, 0), (14, 8, 0), (5, 2, 14), (0, 2, 1)])
def test_results_chart(num_rows, num_columns, num_cited):
    rng = np.random.default_rng(0)
    ours = rng.uniform(0.6, 0.9, (num_rows, num_columns, 1)) + np.array([0, -0.02, 0.03])
    paper = rng.uniform(0.6, 0.9, (num_rows, num_columns))
    rows, columns, cited = ([f"name {i}" for i in range(n)] for n in (num_rows, num_columns, num_cited))
    picture = decoded(figures.results_chart(rows, columns, ours, paper, cited, rng.random((num_cited, num_columns))))
    assert shows(picture, VERMILION) == bool(num_rows)
    assert shows(picture, (0x66, 0x70, 0x85))


def test_results_chart_with_missing_values():
    """Each row lacks something else; the second column has nothing at all."""
    ours = np.full((4, 2, 3), NAN)
    paper = np.full((4, 2), NAN)
    ours[0, 0], ours[1, 0, 0], paper[0, 0], paper[2, 0] = (0.9, 0.8, 0.95), 0.7, 0.9, 0.6
    picture = decoded(figures.results_chart(list("abcd"), ["full", "empty"], ours, paper))
    assert shows(picture, BLUE)
    assert shows(picture, VERMILION)
    nothing = figures.results_chart(list("abcd"), ["full", "empty"], np.full_like(ours, NAN), np.full_like(paper, NAN))
    blue = [(np.abs(p.astype(int) - BLUE).max(axis=2) <= 3).sum() for p in (picture, decoded(nothing))]
    assert blue[0] > 1.2 * blue[1], "the legend alone is left"


def test_results_chart_refuses():
    ours, paper = np.zeros((1, 2, 3)), np.zeros((1, 2))
    for rows, columns, cited in (([], [], ()), (["a"], ["x"], ()), (["a"], ["x", "y"], ["b"])):
        with pytest.raises(ValueError, match="is needed"):
            figures.results_chart(rows, columns, ours, paper, cited)
