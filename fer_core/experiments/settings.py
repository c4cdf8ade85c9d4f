"""How the cells of an experiment were run: what was asked for, and with which recipe and options each was trained."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fer_core import methods
from fer_core.experiments.results import Cell
from fer_core.methods import Recipe
from fer_core.options.stages import DatasetOptions, EvaluateOptions, MethodOptions
from fer_core.options.text import as_arguments, dotted

_RECIPE = tuple(one.name for one in dataclasses.fields(Recipe))
_OF_PICTURES = ("backbone", "weights", "face_size", "patch")
_ALWAYS = ("method", *_OF_PICTURES, *_RECIPE, "rotations")
"""What is said of every cell; other options where a cell has them otherwise than by default."""
_ELSEWHERE = {"dataset", "source", "seed"}
Settings = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What the command line asked for, beside the experiment and the data.

    Attributes:
        seeds: each cell is run with each.
        smoke: whether it is the two-minute size.
        rows, columns: the chosen ones; empty for all.
        set: option -> value over all cells, as written.
        cost_per_hour: money an hour of training, or None.
    """

    seeds: tuple[int, ...] = (0,)
    smoke: bool = False
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    set: dict[str, str] = field(default_factory=dict)
    cost_per_hour: float | None = None

    @property
    def arguments(self) -> list[str]:
        """What was chosen, as one writes it on the command line; the seeds and the cost are told apart from it."""
        chosen = [("rows", self.rows), ("columns", self.columns)]
        several = [(name, value) for name, values in chosen for value in values]
        pairs = [*several, *(("set", f"{name}={value}") for name, value in self.set.items())]
        said = [text for name, value in pairs for text in as_arguments({name: value})]
        return [*(["--smoke"] if self.smoke else []), *said]


def settings_of(cells: Sequence[EvaluateOptions | None]) -> list[Settings]:
    """What each cell is run with, flat: the recipe and sizes, and each option that any cell has not by default.

    Options of methods and data sets that a cell does not use are no settings of it. None, a cell that is not run, has
    none.
    """
    changed = {name for own in cells if own is not None for name in dotted(own.told(only_changed=True))}
    named = [*_ALWAYS, *sorted(changed - {*_ALWAYS})]
    return [_chosen(named, _every(own)) if own is not None else {} for own in cells]


def _chosen(names: Sequence[str], values: Settings) -> Settings:
    return {name: values[name] for name in names if name in values}


def _every(options: EvaluateOptions) -> Settings:
    """All options of a cell with what was unset put in: the method's recipe and backbone, the data set's sizes."""
    unused = {*DatasetOptions.model_fields, *MethodOptions.model_fields} - {options.dataset, options.method}
    sizes = {"face_size": options.crop_size, "patch": options.patch_size}
    weights = "random" if options.weights is None else options.weights.name
    known = {**sizes, **vars(options.recipe), "backbone": options.backbone_name, "weights": weights}
    if methods.REGISTRY[options.method].inputs == "points":
        unused |= {*_OF_PICTURES}
    told = {name: value for name, value in {**options.told(), **known}.items() if name not in unused | _ELSEWHERE}
    without = methods.REGISTRY[options.method](options.method_options).unused
    idle = {f"{options.method}.{name}" for name in without}
    return {name: value for name, value in dotted(told).items() if name not in idle}


def divided(cells: Sequence[Cell]) -> list[tuple[str, Settings]]:
    """(of whom, settings): those common to all cells first, then what is common to a column, a row, or a cell's own.

    Cells without settings were not run and do not count.
    """
    run = [cell for cell in cells if cell.settings]
    common = _shared(run)
    of_column = {name: _shared([cell for cell in run if cell.column == name]) for name in _names(run, "column")}
    of_row = {name: _shared([cell for cell in run if cell.row == name]) for name in _names(run, "row")}
    found = [("all", common)]
    found += [(f"column {name}", _without(own, common)) for name, own in of_column.items()]
    found += [(f"row {name}", _without(own, common)) for name, own in of_row.items()]
    for cell in run:
        said = common.keys() | of_column[cell.column].keys() | of_row[cell.row].keys()
        found.append((f"{cell.row}, {cell.column}", _without(cell.settings, said)))
    return [(whose, settings) for whose, settings in found if settings]


def _names(cells: Sequence[Cell], kind: str) -> list[str]:
    return list(dict.fromkeys(getattr(cell, kind) for cell in cells))


def _shared(cells: Sequence[Cell]) -> Settings:
    """What all of them have with one value."""
    if not cells:
        return {}
    first, others = cells[0].settings, [cell.settings for cell in cells[1:]]
    return {name: value for name, value in first.items() if all(name in one and one[name] == value for one in others)}


def _without(settings: Settings, names: Any) -> Settings:
    return {name: value for name, value in settings.items() if name not in names}
