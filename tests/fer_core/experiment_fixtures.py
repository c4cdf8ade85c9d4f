"""A small experiment for the tests of experiments."""

import copy
from pathlib import Path
from typing import Any

import yaml

from fer_core.experiments.spec import Experiment

SMALL: dict[str, Any] = {
    "title": "Small",
    "question": "Which is better?",
    "metrics": ["accuracy"],
    "unit": "percent",
    "base": {"method": "cnn", "backbone": "resnet18", "epochs": 3, "face_size": 48},
    "columns": {"drawn": {"data": "synthetic"}, "CK+": {"data": "ck_plus"}},
    "rows": {"one": {}, "two": {"epochs": 5}},
    "published": {"one": {"CK+": 90}, "two": {"CK+": 80.5}, "Others": {"CK+": 70}},
    "smoke": {"columns": ["drawn"], "epochs": 1},
}


def values(**changed: Any) -> dict[str, Any]:
    """`SMALL` with other values; None leaves a key out."""
    both = copy.deepcopy(SMALL) | changed
    return {name: value for name, value in both.items() if value is not None}


def experiment(**changed: Any) -> Experiment:
    """`SMALL` with other values, as read."""
    return Experiment.model_validate(values(**changed))


def write(folder: Path, text: str | None = None, **changed: Any) -> Path:
    """`SMALL` with other values, or `text`, as a file."""
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(values(**changed), sort_keys=False) if text is None else text)
    return file
