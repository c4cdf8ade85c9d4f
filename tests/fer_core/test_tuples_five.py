import itertools
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from fer_core.errors import InputError
from fer_core.tuples import build_five_tuples, used_fraction

NUM_SEEDS = 3


def partners(remaining, labels, anchor):
    """Candidates of pose+, pose-, id+, id- among `remaining`, in its order."""
    e, p, s = labels
    return (
        [j for j in remaining if e[j] == e[anchor] and p[j] != p[anchor]],
        [j for j in remaining if e[j] != e[anchor] and p[j] == p[anchor]],
        [j for j in remaining if e[j] == e[anchor] and s[j] != s[anchor]],
        [j for j in remaining if e[j] != e[anchor] and s[j] == s[anchor]],
    )


def five_of(anchor, remaining, labels):
    """The anchor's tuple, or None: the first pairs of distinct partners, all combinations tried in order."""
    pose_plus, pose_minus, id_plus, id_minus = partners(remaining, labels, anchor)
    positives = next((pair for pair in itertools.product(pose_plus, id_plus) if pair[0] != pair[1]), None)
    negatives = next((pair for pair in itertools.product(pose_minus, id_minus) if pair[0] != pair[1]), None)
    if positives is None or negatives is None:
        return None
    return [anchor, positives[0], negatives[0], positives[1], negatives[1]]


def scan_five_tuples(labels, seed):
    """Algorithm 1 as it is printed."""
    remaining = np.random.default_rng(seed).permutation(len(labels[0])).tolist()
    tuples = []
    for anchor in list(remaining):
        five = five_of(anchor, remaining, labels) if anchor in remaining else None
        if five:
            tuples.append(five)
            remaining = [sample for sample in remaining if sample not in five]
    return tuples, remaining


def skewed(rng, num_levels, num_samples, share):
    return np.where(rng.random(num_samples) < share, 0, rng.integers(num_levels, size=num_samples))


def label_sets():
    """Few and many levels of each factor, even and with most samples in one level."""
    rng = np.random.default_rng(0)
    for num_samples in (5, 6, 8, 12, 20, 35, 60, 110, 200):
        for levels in itertools.product((2, 3, max(2, num_samples // 2)), repeat=3):
            for shares in ((0, 0, 0), (0.8, 0, 0), (0, 0.8, 0), (0, 0, 0.9), (0.5, 0.5, 0.5)):
                yield tuple(skewed(rng, level, num_samples, share) for level, share in zip(levels, shares, strict=True))


LABEL_SETS = list(label_sets())
"""1,215 sets of labels; about a third have no tuple."""


def grid(num_people=70, num_expressions=7, num_poses=5, num_sessions=2):
    """KDEF: every person in every expression, pose and session once."""
    cells = itertools.product(range(num_people), range(num_expressions), range(num_poses), range(num_sessions))
    person, expression, pose, _ = np.array(list(cells)).T
    return expression, pose, person


def random_labels(num_samples, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(levels, size=num_samples) for levels in (7, 5, max(2, num_samples // 40)))


def test_tuples_are_those_of_the_slow_scan():
    num_made = 0
    for number, labels in enumerate(LABEL_SETS):
        expected, _ = scan_five_tuples(labels, seed=number)
        if expected:
            made = build_five_tuples(*labels, seed=number)
            assert made.tolist() == expected, number
            num_made += 1
        else:
            with pytest.raises(InputError, match="no five-tuple can be made"):
                build_five_tuples(*labels, seed=number)
    assert 700 < num_made < len(LABEL_SETS) - 100


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_roles_hold_and_no_sample_is_used_twice(seed):
    expression, pose, identity = random_labels(5_000)
    tuples = build_five_tuples(expression, pose, identity, seed)
    assert tuples.dtype == np.int64
    assert tuples.shape[1] == 5
    assert len(np.unique(tuples)) == tuples.size
    anchor, pose_plus, pose_minus, id_plus, id_minus = tuples.T
    for positive in (pose_plus, id_plus):
        assert (expression[positive] == expression[anchor]).all()
    for negative in (pose_minus, id_minus):
        assert (expression[negative] != expression[anchor]).all()
    assert (pose[pose_plus] != pose[anchor]).all()
    assert (pose[pose_minus] == pose[anchor]).all()
    assert (identity[id_plus] != identity[anchor]).all()
    assert (identity[id_minus] == identity[anchor]).all()


def test_no_tuple_can_be_made_of_what_is_left():
    for number, labels in enumerate(LABEL_SETS[::7]):
        try:
            tuples = build_five_tuples(*labels, seed=0)
        except InputError:
            continue
        left = sorted(set(range(len(labels[0]))) - set(tuples.ravel().tolist()))
        for anchor in left:
            assert five_of(anchor, left, labels) is None, number


def test_where_the_first_pose_partner_is_the_only_identity_partner_the_second_is_taken():
    expression, pose, identity = [0, 0, 0, 1, 1], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0]
    seen = set()
    for seed in range(60):
        order = np.random.default_rng(seed).permutation(5).tolist()
        if order[0] == 0:
            tuples = build_five_tuples(expression, pose, identity, seed)
            assert tuples[0, [0, 1, 3]].tolist() == [0, 2, 1]
            seen.add(order.index(1) < order.index(2))
    assert seen == {True, False}


def test_the_seed_decides_alone():
    labels = random_labels(2_000)
    first = build_five_tuples(*labels, seed=0)
    np.random.seed(5)  # noqa: NPY002  global state must not matter
    np.testing.assert_array_equal(build_five_tuples(*labels, seed=0), first)
    assert not np.array_equal(build_five_tuples(*labels, seed=1)[:10], first[:10])


def test_labels_may_be_of_any_kind():
    expression, pose, identity = random_labels(500)
    expected = build_five_tuples(expression, pose, identity, seed=0)
    names = np.array(["anger", "fear", "joy", "calm", "disgust", "surprise", "sadness"])[expression]
    for of_expression, of_pose, of_identity in [
        (names, (pose - 2) * 45, [f"person {number}" for number in identity]),
        (names.astype(object), pa.array(pose), identity.tolist()),
        (pa.chunked_array([names[:100].tolist(), names[100:].tolist()]), pose.astype(np.uint8), identity * 10**12),
    ]:
        np.testing.assert_array_equal(build_five_tuples(of_expression, of_pose, of_identity, seed=0), expected)


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_a_grid_is_used_up_but_for_a_few(seed):
    labels = grid()
    tuples = build_five_tuples(*labels, seed)
    assert tuples.size / len(labels[0]) > 0.995
    fractions = used_fraction(tuples, labels[0])
    assert min(fractions.values()) > 0.98


def test_used_fraction():
    labels = ["joy", "joy", "joy", "fear", "fear", "anger"]
    assert used_fraction(np.array([[0, 1, 3, 2, 4]]), labels) == {"joy": 1.0, "fear": 1.0, "anger": 0.0}
    assert used_fraction(np.array([[0, 3]]), labels) == {"joy": 1 / 3, "fear": 0.5, "anger": 0.0}
    with pytest.raises(InputError, match="expression is missing in 1 of 2"):
        used_fraction(np.zeros((0, 5), np.int64), ["joy", None])


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("column", range(3))
def test_a_missing_label_is_refused_by_its_column(column, missing):
    labels = [list(map(float, of)) for of in random_labels(50)]
    labels[column][7] = missing
    name = ("expression", "pose", "identity")[column]
    with pytest.raises(InputError, match=f"{name} is missing in 1 of 50 samples"):
        build_five_tuples(*labels, seed=0)


def test_labels_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="expression 3, pose 3, identity 2"):
        build_five_tuples([0, 1, 1], [0, 0, 1], [0, 1], seed=0)


@pytest.mark.parametrize("column", range(3))
def test_a_constant_factor_is_named(column):
    labels = list(random_labels(50))
    labels[column] = np.full(50, 3)
    name = ("expression", "pose", "identity")[column]
    with pytest.raises(InputError, match=rf"there is only one {name} \(3\)"):
        build_five_tuples(*labels, seed=0)


EIGHT = np.arange(8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (([], [], []), "there are no samples"),
        ((EIGHT % 2, EIGHT // 2 % 2, EIGHT), r"8 of 8 samples have no id- \(another expression of the same identity\)"),
        ((EIGHT % 2, EIGHT, EIGHT // 2 % 2), r"8 of 8 samples have no pose- \(another expression in the same pose\)"),
        ((EIGHT, EIGHT // 2 % 2, EIGHT // 4), r"8 of 8 samples have no pose\+"),
        ((EIGHT % 2, [0, 1, 0, 1, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 2]), r"4 of 8 samples have no pose\+"),
        (([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 1]), "would be the same sample"),
    ],
)
def test_what_is_lacking_is_named(labels, message):
    with pytest.raises(InputError, match=message):
        build_five_tuples(*labels, seed=0)


def test_importing_the_package_does_not_bring_numba():
    code = "import sys, fer_core.tuples; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NUM = 200_000


def strangers(rng):
    """All but a few are one person in one pose and expression, with two others who are nobody's negatives."""
    expression, pose, identity = np.zeros((3, NUM), np.int64)
    pose[:2], identity[:2] = 1, 1
    expression[-500:], pose[-500:], identity[-500:] = rng.integers([[1], [2], [2]], [[4], [6], [9]], size=(3, 500))
    return expression, pose, identity


HARD_LEVELS = {
    "98 % one expression": lambda rng: (skewed(rng, 7, NUM, 0.98), 5, 3_000),
    "98 % one pose": lambda rng: (7, skewed(rng, 5, NUM, 0.98), 3_000),
    "98 % one identity": lambda rng: (7, 5, skewed(rng, 100, NUM, 0.98)),
    "98 % one of each": lambda rng: tuple(skewed(rng, levels, NUM, 0.98) for levels in (7, 5, 100)),
    "nearly each its own identity": lambda _: (7, 5, np.maximum(np.arange(NUM) - 4_000, 0)),
    "two pictures an identity": lambda _: (7, 5, np.arange(NUM) // 2),
    "two pictures a pose": lambda _: (7, np.arange(NUM) // 2, 3_000),
    "three pictures an expression": lambda _: (np.arange(NUM) // 3, 5, 10),
    "about 450 of each": lambda _: (450, 450, 450),
    "two strangers, both partners at once": lambda rng: strangers(rng),
    "half alone, half one identity": lambda rng: (7, 5, np.where(rng.random(NUM) < 0.5, 0, np.arange(NUM))),
}
"""Columns, or numbers of even levels, that make a search with no memory quadratic."""


@pytest.mark.slow
@pytest.mark.parametrize("case", HARD_LEVELS)
def test_skew_does_not_slow_the_walk(case):
    rng = np.random.default_rng(0)
    labels = [rng.integers(of, size=NUM) if isinstance(of, int) else of for of in HARD_LEVELS[case](rng)]
    build_five_tuples(*random_labels(500), seed=0)  # compiles
    start = time.process_time()
    tuples = build_five_tuples(*labels, seed=0)
    assert time.process_time() - start < 3  # a quadratic walk takes minutes
    assert len(np.unique(tuples)) == tuples.size
