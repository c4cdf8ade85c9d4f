import itertools

import numpy as np
import pyarrow as pa
import pytest

from fer_core.errors import InputError
from fer_core.tuples import count_rules, label_triplets
from fer_core.tuples.cover import covering_triplets

EXPRESSIONS = ("anger", "disgust", "sadness", "happiness", "surprise", "fear")


def posed(num_people=3):
    """BU-3DFE: a neutral picture of each person, and six expressions in degrees 1 to 4."""
    expression, degree = ["neutral"] * num_people, [0.0] * num_people
    for name, of in itertools.product(EXPRESSIONS, range(1, 5)):
        expression += [name] * num_people
        degree += [of / 4] * num_people
    return np.array(expression), np.array(degree)


def every_triplet(expression, degree):
    """What each rule of the paper says, of all triples of samples."""
    rules = {"expression": set(), "degree": set(), "neutral": set()}
    for a, b, c in itertools.permutations(range(len(expression)), 3):
        if expression[a] == expression[b] != expression[c]:
            rules["expression"].add((a, b, c))
        elif expression[a] == expression[b] == expression[c]:
            if abs(degree[a] - degree[b]) + 1e-6 < abs(degree[a] - degree[c]):
                rules["degree"].add((a, b, c))
        elif expression[b] == "neutral" and len({expression[a], expression[b], expression[c]}) == 3:
            rules["neutral"].add((a, b, c))
    return rules


def as_set(triplets):
    found = set(map(tuple, triplets.tolist()))
    assert len(found) == len(triplets), "a triplet comes twice"
    return found


def assert_nothing_is_contradicted(triplets):
    found = as_set(triplets)
    assert not found & {(a, c, b) for a, b, c in found}


SMALL = [
    (["joy", "joy", "fear"], [0.5, 1.0, 1.0]),
    (["joy"] * 4 + ["fear"] * 3 + ["neutral"] * 2, [0.75, 0.25, 1.0, 0.5, 0.3, 0.1, 0.2, 0.0, 0.0]),
    (["neutral"] * 3 + ["joy", "fear", "anger"], [0.0, 0.0, 0.5, 1.0, 0.5, 0.2]),
    (["joy"] * 5 + ["fear"] * 4, [0.1, 0.2, None, 0.3, 0.9, None, None, None, 0.4]),
    (["fear"] * 9 + ["joy"], [0.5] * 8 + [1.0, 0.2]),
]


@pytest.mark.parametrize(("expression", "degree"), SMALL)
def test_asked_for_all_there_are_it_gives_exactly_those_of_the_rules(expression, degree):
    known = [np.nan if of is None else of for of in degree]
    rules = every_triplet(expression, known)
    everything = set().union(*rules.values())
    triplets = label_triplets(expression, degree, len(everything), seed=0)
    assert as_set(triplets) == everything
    assert count_rules(triplets, expression) == {name: len(found) for name, found in rules.items()}
    assert_nothing_is_contradicted(triplets)
    with pytest.raises(InputError, match=f"only {len(everything)} were found"):
        label_triplets(expression, degree, len(everything) + 1, seed=0)


@pytest.mark.parametrize("num_triplets", [25, 26, 200, 1000, 8000])
def test_rules_have_equal_shares_and_every_sample_is_shown(num_triplets):
    expression, degree = posed()
    triplets = label_triplets(expression, degree, num_triplets, seed=0)
    assert triplets.shape == (num_triplets, 3)
    assert triplets.dtype == np.int64
    assert set(triplets.ravel()) == set(range(len(expression)))
    assert_nothing_is_contradicted(triplets)
    counts = count_rules(triplets, expression)
    assert sum(counts.values()) == num_triplets
    if num_triplets > 150:
        assert max(counts.values()) - min(counts.values()) <= 1
    rules = every_triplet(expression, degree)
    assert as_set(triplets) <= set().union(*rules.values())


def test_within_a_rule_every_triplet_is_as_likely():
    expression, degree = posed(num_people=1)
    triplets = np.concatenate([label_triplets(expression, degree, 100, seed) for seed in range(400)])
    code = {tuple(triplet): 0 for triplet in triplets.tolist()}
    for triplet in triplets.tolist():
        code[tuple(triplet)] += 1
    for name, found in every_triplet(expression, degree).items():
        seen = np.array([code.get(triplet, 0) for triplet in found])
        if name != "expression":  # the triplets that show every sample have that rule
            expected = seen.mean()
            # draws without replacement vary less than a Poisson count, whose chi-square has the number as its mean
            assert np.sum((seen - expected) ** 2 / expected) < len(seen) + 5 * np.sqrt(2 * len(seen)), name
        assert (seen > 0).mean() > 0.9, name


def test_any_part_holds_all_rules():
    expression, degree = posed()
    counts = count_rules(label_triplets(expression, degree, 3000, seed=0)[:300], expression)
    assert min(counts.values()) > 60


def test_without_degrees_or_neutral_their_rules_are_left_out():
    expression, degree = posed()
    assert count_rules(label_triplets(expression, None, 900, 0), expression)["degree"] == 0
    assert count_rules(label_triplets(expression, np.full(len(degree), np.nan), 900, 0), expression)["degree"] == 0
    assert count_rules(label_triplets(expression, np.ones(len(degree)), 900, 0), expression)["degree"] == 0
    counts = count_rules(label_triplets(expression, degree, 900, 0, neutral="calm"), expression)
    assert counts == {"expression": 450, "degree": 450, "neutral": 0}


def test_integer_labels_and_parquet_columns():
    expression, degree = posed()
    numbers = np.unique(expression, return_inverse=True)[1]
    neutral = int(numbers[0])
    made = label_triplets(pa.chunked_array([numbers]), pa.array(degree), 600, seed=4, neutral=neutral)
    counts = count_rules(made, numbers)
    assert counts == {"expression": 200, "degree": 200, "neutral": 200}
    in_neutral = made[expression[made[:, 0]] != expression[made[:, 1]]][:, 1]
    assert set(expression[in_neutral]) == {"neutral"}


def test_degrees_that_differ_by_rounding_only_make_no_triplet():
    degree = np.array([0.1, 0.2, 0.3, 0.0, 0.0])  # 0.2 - 0.1 and 0.3 - 0.2 differ in their last bit
    expression = ["joy", "joy", "joy", "fear", "fear"]
    num_found = len(set().union(*every_triplet(expression, degree).values()))
    triplets = as_set(label_triplets(expression, degree, num_found, seed=0))
    assert not triplets & {(1, 0, 2), (1, 2, 0)}
    assert (0, 1, 2) in triplets


def test_the_seed_decides_alone():
    expression, degree = posed()
    first = label_triplets(expression, degree, 500, seed=0)
    np.random.seed(5)  # noqa: NPY002  global state must not matter
    np.testing.assert_array_equal(label_triplets(expression, degree, 500, seed=0), first)
    assert len(as_set(first) & as_set(label_triplets(expression, degree, 500, seed=1))) < 100


SIZES = [of for number in (2, 3, 4) for of in itertools.product((1, 2, 3, 4, 5, 9), repeat=number) if max(of) >= 2]


def fewest(sizes):
    """A bound on the number of triplets: three samples each, two at most of one expression; a single is a negative."""
    return max(-(-sum(sizes) // 3), -(-max(sizes) // 2), sum(size == 1 for size in sizes))


def test_every_sample_is_shown_by_as_few_triplets_as_can_be():
    num_more = 0
    for sizes in SIZES:
        code = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
        triplets = covering_triplets(code, np.random.default_rng(1))
        assert set(triplets.ravel()) == set(range(len(code))), sizes
        reference, positive, negative = triplets.T
        assert (code[reference] == code[positive]).all()
        assert (reference != positive).all()
        assert (code[reference] != code[negative]).all()
        num_more += len(triplets) > fewest(sizes)
        assert len(triplets) <= fewest(sizes) + 1, sizes
    assert num_more <= 6  # of 1,545: two expressions of one sample beside two of three


@pytest.mark.parametrize("sizes", [(300, 300, 300), (7, 5, 3), (1000, 500), (400, 301, 201, 101, 50), (12, 10, 8)])
def test_a_third_of_the_samples_is_enough(sizes):
    expression = np.repeat(np.arange(len(sizes)), sizes)
    num_triplets = -(-len(expression) // 3)
    triplets = label_triplets(expression, None, num_triplets, seed=0)
    assert set(triplets.ravel()) == set(range(len(expression)))
    with pytest.raises(InputError, match=f"cannot show every sample; ask for {num_triplets} or more"):
        label_triplets(expression, None, num_triplets - 1, seed=0)


def test_one_expression_of_nearly_all_needs_more():
    expression = ["joy"] * 98 + ["fear"] * 2
    assert len(label_triplets(expression, None, 49, seed=0)) == 49
    with pytest.raises(InputError, match="ask for 49 or more"):
        label_triplets(expression, None, 48, seed=0)


@pytest.mark.parametrize("expression", [[], ["joy"], ["joy"] * 5, ["joy", "fear", "neutral"]])
def test_labels_that_make_no_triplet_are_refused(expression):
    with pytest.raises(InputError, match="two expressions are needed, one of them with two samples"):
        label_triplets(expression, None, 10, seed=0)


def test_bad_columns_are_refused():
    with pytest.raises(InputError, match="expression is missing in 1 of 3"):
        label_triplets(["joy", None, "fear"], None, 10, seed=0)
    with pytest.raises(ValueError, match="expression 3, intensity 2"):
        label_triplets(["joy", "joy", "fear"], [0.1, 0.2], 10, seed=0)
