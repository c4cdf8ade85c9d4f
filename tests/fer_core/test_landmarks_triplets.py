import numpy as np
import pytest

from fer_core.errors import InputError
from fer_core.landmarks.triplets import NUM_TRIPLETS, part_triplets
from fer_core.tuples import count_rules

EXPRESSIONS = ["neutral", *(name for name in ("anger", "fear", "happiness") for _ in range(4))]
DEGREES = np.array([0.0, *[0.25, 0.5, 0.75, 1.0] * 3])


def rows(num_people):
    """A people of 13 samples each, eight of ten to train."""
    expression_N, degree_N = EXPRESSIONS * num_people, np.tile(DEGREES, num_people)
    part_N = np.repeat([("train", "valid", "test")[max(0, person % 10 - 7)] for person in range(num_people)], 13)
    return expression_N, degree_N, part_N


def test_the_printed_numbers_and_every_sample_in_one():
    expression_N, degree_N, part_N = rows(60)
    made = part_triplets(expression_N, degree_N, part_N, seed=0)
    assert {part: len(triplets) for part, triplets in made.items()} == NUM_TRIPLETS
    assert NUM_TRIPLETS == {"train": 8000, "valid": 1000, "test": 1000}
    for part, triplets_T3 in made.items():
        assert np.array_equal(np.unique(triplets_T3), np.flatnonzero(part_N == part))
        assert min(count_rules(triplets_T3, expression_N).values()) > 100


def test_rules_hold_in_rows_of_the_whole_table():
    expression_N, degree_N, part_N = rows(20)
    for triplets_T3 in part_triplets(expression_N, degree_N, part_N, 1, {"valid": 200, "test": 200}).values():
        for reference, positive, negative in triplets_T3.tolist():
            own, near, far = (expression_N[i] for i in (reference, positive, negative))
            if own == near == far:
                assert abs(degree_N[positive] - degree_N[reference]) < abs(degree_N[negative] - degree_N[reference])
            else:
                assert near in (own, "neutral")
                assert far not in (own, near)


def test_a_function_of_the_seed_with_other_draws_a_part():
    expression_N, degree_N, part_N = rows(20)
    wanted = {"valid": 100, "test": 100}
    first = part_triplets(expression_N, degree_N, part_N, 1, wanted)
    again = part_triplets(expression_N, degree_N, part_N, 1, wanted)
    other = part_triplets(expression_N, degree_N, part_N, 2, wanted)
    assert np.array_equal(first["valid"], again["valid"])
    assert not np.array_equal(first["valid"], other["valid"])
    place = {part: np.searchsorted(np.flatnonzero(part_N == part), first[part]) for part in wanted}
    assert not np.array_equal(place["valid"], place["test"])


def test_too_few_samples_for_a_part():
    expression_N, degree_N, part_N = rows(10)
    with pytest.raises(InputError, match="cannot show every sample"):
        part_triplets(expression_N, degree_N, part_N, 0, {"train": 5})
    with pytest.raises(InputError, match="ask for fewer"):
        part_triplets(expression_N, degree_N, part_N, 0, {"test": 100_000})
