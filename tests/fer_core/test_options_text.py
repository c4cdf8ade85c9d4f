import shlex

import pytest
from pydantic import BaseModel

from fer_core.errors import InputError
from fer_core.options.home import PromoteOptions, RollbackOptions
from fer_core.options.stages import EvaluateOptions
from fer_core.options.text import as_arguments, dotted, option_names, pair_options, plain, read_options, suggestion
from flows.cli import parse


class Inner(BaseModel):
    slice_size: int = 1


class Outer(BaseModel):
    epochs: int = 1
    mul_dml: Inner = Inner()


def test_names_of_nested_options_are_dotted():
    assert option_names(Outer) == ["epochs", "mul_dml.slice_size"]
    assert option_names(Outer, "--") == ["--epochs", "--mul_dml.slice_size"]


def test_a_misspelt_name_gets_those_like_it_else_all():
    assert suggestion("epoch", ["epochs", "lr"]) == "did you mean epochs?"
    assert suggestion("zzz", ["epochs", "lr"]) == "choose from epochs, lr"


def test_options_are_written_as_on_the_command_line():
    values = {
        "epochs": 8,
        "lr": 0.0001,
        "rotations": [-5.0, 0.0],
        "validation": True,
        "virtual_rotations": False,
        "weights": "/a b/c",
        "mul_dml": {"thresholds": [0.2, 0.4]},
        "folds": None,
    }
    assert as_arguments(values) == [
        "--epochs 8",
        "--lr 0.0001",
        "--rotations=-5,0",
        "--validation",
        "--no-virtual-rotations",
        "--weights '/a b/c'",
        "--mul-dml.thresholds 0.2,0.4",
    ]


def test_numbers_lose_nothing_that_matters():
    assert [plain(value) for value in (0.1234567891, 3.0, (1.5, 2), "a", None)] == [
        "0.1234567891", "3", "1.5,2", "a", "None"
    ]  # fmt: skip


def test_flat_options():
    assert dotted({"a": 1, "b": {"c": {"d": 2}, "e": [3]}}) == {"a": 1, "b.c.d": 2, "b.e": [3]}


def test_options_that_say_what_is_run_are_told_without_those_of_the_command():
    given = RollbackOptions(to=3, verbose=True)
    assert given.told() == {"model_name": "fer", "to": 3, "reason": "", "dry_run": False}
    assert given.told(only_changed=True) == {"to": 3}


def test_arguments_are_read_as_the_options_they_are_of():
    own = EvaluateOptions(
        epochs=7,
        lr=3e-4,
        rotations=(-5, 0),
        validation=True,
        mul_dml={"thresholds": (0.2, 0.4)},
        synthetic={"takes": 2},
    )
    arguments = [part for text in as_arguments(own.told(only_changed=True)) for part in shlex.split(text)]
    assert parse("evaluate", EvaluateOptions, arguments, None) == own


def test_pairs_are_written_one_by_one_and_read_again():
    own = PromoteOptions(floors={"accuracy": 0.6, "map": 0.25})
    pairs = pair_options(PromoteOptions)
    texts = as_arguments(own.told(only_changed=True), pairs)
    assert (pairs, texts) == ({"floors"}, ["--floors accuracy=0.6", "--floors map=0.25"])
    arguments = [part for text in texts for part in shlex.split(text)]
    assert parse("promote", PromoteOptions, arguments, None) == own


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a: [1\n", "own is not YAML: .*line 1"), ("- a\n", "own must hold keys"), ("", "own must hold keys")],
)
def test_a_file_that_holds_no_options(text, sentence, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_options(tmp_path / "own.yaml", "own", "keys")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="own cannot be read: No such file"):
        read_options(tmp_path / "own.yaml", "own", "keys")
    (tmp_path / "own.yaml").write_text("a: 1\n")
    assert read_options(tmp_path / "own.yaml", "own", "keys") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"), [("2:8", "2:8"), ("1:30.5", "1:30.5"), ("0o17", "0o17"), ("17", 17), ("'2:8'", "2:8")]
)
def test_no_number_is_to_base_60(tmp_path, text, value):
    (tmp_path / "own.yaml").write_text(f"workers: {text}\n")
    assert read_options(tmp_path / "own.yaml", "own", "keys") == {"workers": value}
