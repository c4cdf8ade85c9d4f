"""The options of the gate."""

from typing import Literal

from pydantic import Field, field_validator

from fer_core.options.base import Frozen


class GateOptions(Frozen):
    """What a candidate has to pass beside being better than the champion."""

    floors: dict[str, float] = Field(
        default_factory=dict,
        description="METRIC=NUMBER, such as accuracy=0.6, once for each: what the candidate must reach by itself",
    )
    class_margin: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="the loss of recall that is bearable in a class: what surely lost, perhaps more than that, is "
        "refused; classes that have too few rows, or too wide an interval, to tell are named; ours",
    )
    untold_classes: Literal["pass", "refuse"] = Field(
        "pass",
        description="a candidate of which it cannot be told of every class whether it lost more recall than "
        "--class-margin; refuse asks for strict non-inferiority: every class is shown to hold its recall",
    )
    max_slowdown: float = Field(
        1.5,
        gt=0,
        description="seconds an image, at most so many times the champion's; the lower end of the interval decides, as "
        "timings vary by a third on a busy machine; ours",
    )
    max_growth: float = Field(
        2.0,
        gt=0,
        description="bytes of the network's file, at most so many times the champion's: a larger backbone is a choice, "
        "not an improvement; ours",
    )

    @field_validator("floors")
    @classmethod
    def _floors_name_metrics(cls, floors: dict[str, float]) -> dict[str, float]:
        if "" in floors:
            raise ValueError("name the metric: METRIC=NUMBER, such as accuracy=0.6")
        return floors
