import numpy as np
import pytest

from fer_core import gate, precision
from fer_core.evaluation.bootstrap import paired_difference
from fer_core.evaluation.mcnemar import mcnemar
from fer_core.gate.classes import RESAMPLES
from fer_core.options.gate import GateOptions

SUBJECTS = np.repeat([f"S{number:02d}" for number in range(20)], 10)
TRUTH = np.array(["anger", "fear", "fear", "happiness", "happiness"] * 40)


def right_on(share, seed):
    return np.random.default_rng(seed).random(len(TRUTH)) < share


def decide(correct_N, champion_N, truth_N, subject_N):
    return gate.decide(gate.Compared(correct_N, champion_N, truth_N, subject_N), GateOptions(), {})


def test_without_a_champion_the_first_is_compared_with_guessing():
    decision = decide(right_on(0.9, 0), None, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("first", True)
    assert decision.difference.value == pytest.approx(right_on(0.9, 0).mean() - 0.4)
    assert "always guessing the commonest class" in decision.reason


def test_without_a_champion_a_bad_model_is_not_promoted():
    decision = decide(right_on(0.1, 0), None, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("regressed", False)
    assert decision.difference.value < 0


def test_as_good_as_guessing_is_not_enough_for_the_first():
    decision = decide(TRUTH == "fear", None, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote, decision.difference.value) == ("within noise", False, 0)


def test_a_first_need_not_be_proven_better_than_guessing():
    right = TRUTH == "fear"
    right[:3] = True
    decision = decide(right, None, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("first", True)
    assert decision.difference.low <= 0 < decision.difference.value


def test_one_subject_cannot_say_that_a_first_is_no_better_than_guessing():
    decision = decide(np.zeros(200, bool), None, TRUTH, np.full(200, "S00"))
    assert (decision.verdict, decision.promote, decision.share_not_better) == ("first", True, 1)
    assert "; one subject says nothing of others, so a first model need not be better" in decision.reason
    assert "one subject" not in decide(np.ones(200, bool), None, TRUTH, SUBJECTS).reason


def test_better_on_every_subject_is_improved():
    champion = np.tile([True] * 5 + [False] * 5, 20)
    candidate = np.tile([True] * 8 + [False] * 2, 20)
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("improved", True)
    assert decision.difference.value == pytest.approx(0.3)
    assert decision.difference.low > 0
    assert (decision.num_rows, decision.num_subjects) == (200, 20)


def test_worse_on_every_subject_is_regressed():
    champion = np.tile([True] * 8 + [False] * 2, 20)
    candidate = np.tile([True] * 5 + [False] * 5, 20)
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("regressed", False)
    assert decision.difference.high < 0


def test_right_on_the_same_rows_is_the_same():
    decision = decide(right_on(0.7, 0), right_on(0.7, 0), TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote, decision.difference.value) == ("same", False, 0)


def test_as_often_right_on_other_rows_is_within_noise():
    champion, candidate = np.tile([True, False], 100), np.tile([False, True], 100)
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    assert (decision.verdict, decision.promote) == ("within noise", False)


def test_a_gain_on_one_of_many_subjects_is_within_noise():
    champion = np.tile([True] * 5 + [False] * 5, 20)
    candidate = champion.copy()
    candidate[:10] = True
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    assert decision.difference.value > 0
    assert (decision.verdict, decision.promote) == ("within noise", False)


def test_subjects_are_resampled_and_not_rows():
    """Two hundred rows of two people prove less than of twenty."""
    champion = np.array([True, False] * 100)
    candidate = np.concatenate([np.ones(100, bool), champion[100:]])
    few = np.repeat(["S00", "S01"], 100)
    assert decide(candidate, champion, TRUTH, few).verdict == "within noise"
    assert decide(candidate, champion, TRUTH, np.arange(200).astype(str)).verdict == "improved"


def test_one_subject_never_replaces_a_champion():
    alone = np.full(200, "S00")
    decision = decide(np.ones(200, bool), np.zeros(200, bool), TRUTH, alone)
    assert (decision.verdict, decision.promote) == ("within noise", False)
    assert (decision.difference.low, decision.difference.high) == (-1, 1)


@pytest.mark.parametrize(("num_subjects", "verdict"), [(5, "within noise"), (6, "improved")])
def test_few_subjects_never_replace_a_champion(num_subjects, verdict):
    """That all of five are better happens by chance in 3 % of the cases."""
    champion = np.tile([True] * 5 + [False] * 5, 20)
    decision = decide(np.ones(200, bool), champion, TRUTH, np.arange(200) % num_subjects)
    assert decision.difference.low > 0
    assert (decision.verdict, decision.promote) == (verdict, verdict == "improved")
    assert ("fewer than 6 subjects prove no gain" in decision.reason) == (verdict == "within noise")


def test_the_interval_is_the_paired_bootstraps():
    champion, candidate = right_on(0.6, 1), right_on(0.7, 2)
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    assert decision.difference == paired_difference(champion, candidate, SUBJECTS, 0, RESAMPLES).interval
    assert decision == decide(candidate, champion, TRUTH, SUBJECTS)


def test_the_reason_has_the_numbers():
    champion = np.tile([True] * 5 + [False] * 5, 20)
    candidate = np.tile([True] * 8 + [False] * 2, 20)
    reason = decide(candidate, champion, TRUTH, SUBJECTS).reason
    assert reason.startswith("accuracy 0.800 against 0.500 of the champion on the same 200 rows")
    assert "difference +0.300, 95 % interval +0.300 to +0.300 over 20 subjects" in reason


def test_the_shares_and_the_exact_test_are_of_the_same_rows():
    champion, candidate = right_on(0.6, 1), right_on(0.7, 2)
    decision = decide(candidate, champion, TRUTH, SUBJECTS)
    share = paired_difference(champion, candidate, SUBJECTS, 0, RESAMPLES).share_not_better
    assert decision.share_not_better == share
    assert decision.mcnemar == mcnemar(champion, candidate)
    assert (decision.accuracy, decision.rival_accuracy) == (candidate.mean(), champion.mean())
    assert decision.mcnemar.num_gained - decision.mcnemar.num_lost == round(200 * decision.difference.value)


def test_the_digest_of_test_rows_is_free_of_their_order():
    names, truth = np.array(["a", "b", "c"]), np.array(["fear", "anger", "fear"])
    digest = gate.test_rows_digest(names, truth)
    order = np.array([2, 0, 1])
    assert gate.test_rows_digest(names[order], truth[order]) == digest
    assert gate.test_rows_digest(names, truth[order]) != digest
    assert gate.test_rows_digest(names[:2], truth[:2]) != digest
    assert gate.test_rows_digest(np.array(["a", "b", "d"]), truth) != digest


def test_a_precision_that_is_asked_for_is_used():
    assert precision.trains_in_bfloat16("bfloat16")
    assert not precision.trains_in_bfloat16("float32")


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_auto_asks_the_processor_where_there_is_no_gpu(monkeypatch, avx512, amx):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert precision.trains_in_bfloat16("auto") is (avx512 or amx)


@pytest.mark.parametrize("native", [True, False])
def test_auto_asks_the_gpu_and_takes_no_emulation(monkeypatch, native):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation or native)
    assert precision.trains_in_bfloat16("auto") is native
