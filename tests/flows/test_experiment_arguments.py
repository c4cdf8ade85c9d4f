"""Pairs on the command line: NAME=VALUE, whatever stands in the value."""

import os
from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.experiments.options import ExperimentOptions
from flows.cli import parse


def read(*arguments: str) -> ExperimentOptions:
    found = parse("experiment", ExperimentOptions, ["sgm/recall", *arguments], None)
    assert isinstance(found, ExperimentOptions)
    return found


def test_a_value_keeps_its_commas_brackets_and_quotes() -> None:
    found = read("--set", "mul_dml.thresholds=[0.2, 0.4]", "--set=rotations=[-5,0]", "--set", 'weights="a=b"')
    assert found.set_ == {"mul_dml.thresholds": "[0.2, 0.4]", "rotations": "[-5,0]", "weights": '"a=b"'}
    assert found.over_all["mul_dml"] == {"thresholds": [0.2, 0.4]}


def test_a_folder_keeps_its_spaces_commas_and_equals_signs(tmp_path: Path) -> None:
    odd = tmp_path / "a, b=c {d}"
    (odd / "x").mkdir(parents=True)
    (odd / "x" / "y").touch()
    found = read("--data", f"kdef={odd}", "--data", f"jaffe={os.sep}tmp")
    assert found.data == {"kdef": odd, "jaffe": Path("/tmp")}


def test_an_empty_value_is_unset() -> None:
    assert read("--set", "epochs=").over_all == {"epochs": None}


@pytest.mark.parametrize("arguments", [("--set", "epochs"), ("--data", "kdef"), ("--set=epochs",), ("--set",)])
def test_what_is_no_pair_is_told(arguments: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="write it as NAME=VALUE"):
        read(*arguments)


def test_names_and_seeds_may_be_given_at_once_or_one_by_one() -> None:
    assert read("--rows", "SGM", "--seeds", "0,1").seeds == (0, 1)
    assert read("--rows", "SGM", "--rows", "Triplet", "--seeds", "0", "--seeds", "1").rows == ("SGM", "Triplet")
