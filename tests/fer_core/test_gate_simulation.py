"""How often the gate is wrong, and how often it sees what is there: rows of people who are hard or easy together."""

from collections import Counter

import numpy as np
import pytest

from fer_core import gate
from fer_core.options.gate import GateOptions

NUM_TRIALS = 150
NUM_PEOPLE, NUM_EACH, CLASSES = 30, 40, ("anger", "fear", "happiness")


def drawn(rng, gain, lost_class=None, kept=0.5):
    """Two models on the same rows. People differ in how easy they are, and in which model suits them.

    Args:
        gain: of the candidate's expected accuracy.
        lost_class: a class that the candidate finds less often than it would.
        kept: the share of its rows that it still finds.
    """
    subject = np.repeat(np.arange(NUM_PEOPLE), NUM_EACH)
    truth = np.array(CLASSES)[rng.integers(len(CLASSES), size=len(subject))]
    ease, liking = rng.uniform(0.5, 0.8, NUM_PEOPLE), rng.normal(0, 0.05, NUM_PEOPLE)
    champion = rng.random(len(subject)) < (ease - liking)[subject]
    chance = (ease + liking + gain)[subject] * np.where(truth == lost_class, kept, 1)
    return gate.Compared(rng.random(len(subject)) < chance, champion, truth, subject)


def trials(seed, untold_classes="pass", **how):
    rng = np.random.default_rng(seed)
    options = GateOptions(untold_classes=untold_classes)
    return [gate.decide(drawn(rng, **how), options, {}) for _ in range(NUM_TRIALS)]


def test_without_a_difference_hardly_anything_is_promoted_or_refused_for_sure():
    """Of 150 trials at 2.5 % each, more than 10 come about once in 500 times."""
    made = trials(0, gain=0)
    verdicts = Counter(decision.verdict for decision in made)
    assert verdicts["improved"] <= 10
    assert verdicts["regressed"] <= 10
    failed = sum("failed" in {one.outcome for one in decision.classes} for decision in made)
    assert failed <= 10, "the classes share one error"


def test_a_real_gain_is_found():
    made = trials(1, gain=0.08)
    assert np.mean([decision.promote for decision in made]) > 0.8


def test_a_class_that_collapses_is_found_though_accuracy_rises():
    made = trials(2, gain=0.2, lost_class="fear")
    risen = [decision for decision in made if decision.verdict == "improved"]
    assert len(risen) > 20
    assert np.mean([decision.promote for decision in risen]) < 0.02
    assert {one.outcome for decision in risen for one in decision.classes if one.name == "fear"} == {"failed"}


def test_a_loss_beyond_the_margin_may_stay_untold_and_is_refused_where_that_is_asked_for():
    """Fear loses 7 points, the margin is 5: some intervals are too wide to tell, and `pass` lets them through."""
    how = {"gain": 0.1, "lost_class": "fear", "kept": 0.77}
    let_through = np.mean([decision.promote for decision in trials(4, **how)])
    strict = [decision.promote for decision in trials(4, "refuse", **how)]
    assert let_through > 0.1
    assert np.mean(strict) < 0.025


def test_a_real_gain_of_every_class_is_found_by_the_strict_rule_too():
    made = trials(5, "refuse", gain=0.15)
    assert np.mean([decision.promote for decision in made]) > 0.8


@pytest.mark.parametrize("how", [{"gain": 0}, {"gain": 0.08}])
def test_the_exact_test_and_the_bootstrap_agree_about_the_direction(how):
    for decision in trials(3, **how)[:30]:
        gained_more = decision.mcnemar.num_gained > decision.mcnemar.num_lost
        assert gained_more == (decision.difference.value > 0)
