import pytest
from pydantic import ValidationError

from fer_core.errors import InputError
from fer_core.options.stages import PromoteOptions, RetrainOptions
from flows.cli import parse


def parsed(*arguments, options_class=PromoteOptions):
    return parse("promote", options_class, list(arguments), None)


@pytest.mark.parametrize("options_class", [PromoteOptions, RetrainOptions])
def test_floors_are_given_one_by_one(options_class):
    made = parsed("--floors", "accuracy=0.6", "--floors=tar_at_far_0.01=0.5", options_class=options_class)
    assert made.floors == {"accuracy": 0.6, "tar_at_far_0.01": 0.5}
    assert parsed(options_class=options_class).floors == {}


def test_limits_are_given_as_numbers():
    made = parsed("--class-margin", "0.1", "--max-slowdown", "3", "--max-growth", "1")
    assert (made.class_margin, made.max_slowdown, made.max_growth) == (0.1, 3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--floors", "accuracy=high"], "--floors.accuracy 'high': Input should be a valid number"),
        (["--floors", "accuracy"], "--floors accuracy: write it as NAME=VALUE"),
        (["--floors", "=0.5"], "name the metric"),
        (["--class-margin", "0"], "--class-margin '0': Input should be greater than 0"),
        (["--class-margin", "1"], "less than 1"),
        (["--untold-classes", "fail"], "--untold-classes 'fail': Input should be 'pass' or 'refuse'"),
        (["--max-slowdown", "0"], "--max-slowdown"),
        (["--max-growth", "-1"], "--max-growth"),
    ],
)
def test_what_cannot_be_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        parsed(*arguments)


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValidationError, match="finite"):
        PromoteOptions(floors={"accuracy": float("nan")})
