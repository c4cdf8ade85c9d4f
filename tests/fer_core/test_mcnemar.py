from fractions import Fraction
from math import comb

import numpy as np
import pytest

from fer_core.evaluation.mcnemar import mcnemar


def rows(num_gained, num_lost, num_both=3, num_neither=2):
    first = [False] * num_gained + [True] * num_lost + [True] * num_both + [False] * num_neither
    second = [True] * num_gained + [False] * num_lost + [True] * num_both + [False] * num_neither
    return np.array(first), np.array(second)


def exactly(num_gained, num_lost):
    """Both tails of Binomial(gained + lost, 1/2), which are alike, as a fraction."""
    num, least = num_gained + num_lost, min(num_gained, num_lost)
    return min(Fraction(1), Fraction(2 * sum(comb(num, k) for k in range(least + 1)), 2**num))


@pytest.mark.parametrize("num_gained", [0, 1, 2, 5, 13, 40])
@pytest.mark.parametrize("num_lost", [0, 1, 3, 5, 21, 300])
def test_p_is_that_of_both_tails(num_gained, num_lost):
    found = mcnemar(*rows(num_gained, num_lost))
    assert (found.num_gained, found.num_lost) == (num_gained, num_lost)
    assert found.p_value == pytest.approx(float(exactly(num_gained, num_lost)), rel=1e-9)


def test_a_published_example():
    """Agresti, Categorical Data Analysis, table 10.1: 86 and 150 of 1600 changed their minds."""
    assert mcnemar(*rows(86, 150, 794, 570)).p_value == pytest.approx(3.716e-5, rel=1e-3)


def test_only_rows_that_differ_count():
    assert mcnemar(*rows(4, 11)).p_value == mcnemar(*rows(4, 11, 5000, 700)).p_value
    assert mcnemar(*rows(4, 11)).p_value == mcnemar(*rows(11, 4)).p_value
    assert mcnemar(*rows(0, 0)).p_value == 1


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="same rows"):
        mcnemar(np.array([True]), np.array([True, False]))
