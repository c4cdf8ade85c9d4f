"""How many people are held out: what depends on it, and that every stage goes by it."""

from pathlib import Path
from typing import Any

import pytest

from fer_core.directories import Directory
from fer_core.folds import Part
from fer_core.options.stages import EvaluateOptions, PrepareOptions
from flows import stages
from tasks import data, evaluation, model, tuples
from tasks.made import Level, Made

NUMBER = Part(test_people=3)


@pytest.fixture
def faces(tmp_path: Path) -> Made:
    return Made("prepare", tmp_path, "c0", True, 0.0, {"crop_by": {"frame": 1}, "set_aside": {}, "rows": 1})


@pytest.fixture
def directories(monkeypatch: pytest.MonkeyPatch) -> list[Directory]:
    """The directories that the tasks would fill, in place of filling them."""
    asked: list[Directory] = []

    def note(stage: str, directory: Directory, *rest: Any) -> Made:
        asked.append(directory)
        summary = {"components": {}, "tuples": 0, "samples": 0}
        return Made(stage, directory.path, directory.path.name, False, 0.0, summary)

    for module in (model, evaluation, tuples):
        monkeypatch.setattr(module, "make", note)
    monkeypatch.setattr(evaluation, "_show_table", lambda made: None)
    return asked


def names_of(directories: list[Directory], options: EvaluateOptions, faces: Made) -> list[str]:
    """The names, with digests, of the run, its level and its evaluation for a level that stands."""
    part, fixed = options.hold_out, Level(faces, faces)
    directories.clear()
    model.train_run.fn(options, faces, part)
    model.write_level.fn(options, faces, faces, 1, part)
    evaluation.write_evaluation.fn(options, faces, fixed, part)
    prepared = PrepareOptions(tuples="five", test_people=options.test_people)
    tuples.write_tuples.fn(prepared, faces, prepared.hold_out)
    return [directory.path.name for directory in directories]


def test_what_is_made_of_the_training_people_is_made_anew(directories: list[Directory], faces: Made) -> None:
    first, same, other = (
        names_of(directories, EvaluateOptions(test_people=number), faces) for number in (None, None, 3)
    )
    assert len(first) == 4
    assert first == same
    assert not set(first) & set(other)


def test_the_pictures_and_their_crops_stay() -> None:
    found: list[Path] = []
    for number in (None, 3):
        options = EvaluateOptions(test_people=number)
        found += [data.catalog_directory(options).path, data.faces_directory(options, "c0").path]
    assert found[:2] == found[2:]


def test_every_stage_goes_by_the_options_unless_it_is_told_a_fold(monkeypatch: pytest.MonkeyPatch, faces: Made) -> None:
    parts: list[Part] = []
    for name, place in (("train_run", 2), ("write_level", 4), ("write_evaluation", 3), ("write_tuples", 2)):
        monkeypatch.setattr(stages, name, lambda *given, place=place, **more: parts.append(given[place]) or faces)
    options, level = EvaluateOptions(test_people=3, levels=2), Level(faces, faces)
    stages.train.fn(options, faces)
    stages.subdivide.fn(options, faces, faces)
    stages.evaluate.fn(options, faces, level)
    stages.draw_tuples.fn(PrepareOptions(tuples="five", test_people=3), faces)
    assert parts == [NUMBER] * 6
    parts.clear()
    stages.train.fn(options, faces, Part(0, 4))
    assert parts == [Part(0, 4)]
