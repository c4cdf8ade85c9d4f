"""The options of the experiment command, and those of its cells."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import CliPositionalArg

from fer_core import datasets
from fer_core.errors import InputError
from fer_core.experiments.settings import Asked, Settings, settings_of
from fer_core.experiments.spec import SMOKE_TESTED_FROM, Experiment, Values, read_experiment
from fer_core.experiments.vocabulary import SAID_ELSEWHERE
from fer_core.options.base import merged
from fer_core.options.home import HomeOptions
from fer_core.options.stages import CropOptions, DatasetOptions, EvaluateOptions
from fer_core.options.text import option_names, suggestion

_OF_CELLS = [name for name in option_names(EvaluateOptions) if name not in SAID_ELSEWHERE]


class ExperimentOptions(HomeOptions):
    """A matrix of runs, printed beside the published table."""

    name: CliPositionalArg[str] = Field(description="such as mul_dml/table3, or a YAML file of your own")
    data: dict[str, Path] = Field(default_factory=dict, description="DATASET=FOLDER, once for each data set you have")
    smoke: bool = Field(False, description="the two-minute size, on drawn faces")
    rows: tuple[str, ...] = Field((), description="only these rows")
    columns: tuple[str, ...] = Field((), description="only these columns")
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = Field((0,), description="each cell is run with each")
    set_: dict[str, str] = Field(
        default_factory=dict,
        alias="set",
        description="OPTION=VALUE over all cells, a nested one dotted: epochs=2, mul_dml.slice_size=64",
    )
    cost_per_hour: float | None = Field(
        None, ge=0, description="money an hour of training, of one network; unset: no costs are shown"
    )
    parallel: int = Field(1, ge=1, le=1024, description="networks that are trained at once, as tasks of Ray")
    dry_run: bool = Field(False, description="say which cells would be run with which options, and run none")

    @field_validator("data")
    @classmethod
    def _data_sets_are_known(cls, data: dict[str, Path]) -> dict[str, Path]:
        unknown = [name for name in data if name not in datasets.REGISTRY]
        if unknown:
            raise ValueError(f"there is no data set {', '.join(unknown)}; choose from {', '.join(datasets.REGISTRY)}")
        return data

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed given twice is the same run twice")
        return seeds

    @field_validator("set_")
    @classmethod
    def _options_are_of_cells(cls, values: dict[str, str]) -> dict[str, str]:
        for name, text in values.items():
            path = _path_of(name)
            if path[0] in SAID_ELSEWHERE:
                raise ValueError(f"{name} is not a cell's own option: {SAID_ELSEWHERE[path[0]]}")
            if not any(known == ".".join(path) or known.startswith(".".join(path) + ".") for known in _OF_CELLS):
                raise ValueError(f"--set {name}: there is no such option; {suggestion('.'.join(path), _OF_CELLS)}")
            try:
                yaml.safe_load(text)
            except yaml.YAMLError:
                raise ValueError(f"{name}={text}: the value is not YAML") from None
        return values

    @model_validator(mode="after")
    def _names_an_experiment(self) -> Self:
        cells_of(self, self.experiment)
        return self

    @property
    def experiment(self) -> Experiment:
        """The rows and columns that are to be run; the file is read anew each time.

        Raises:
            InputError: see spec.read_experiment.
        """
        return read_experiment(self.name).of_size(self.smoke, self.rows, self.columns)

    @property
    def over_all(self) -> Values:
        """What --set lays over every cell's options."""
        values: Values = {}
        for name, text in self.set_.items():
            *path, last = _path_of(name)
            nested: Values = {last: yaml.safe_load(text)}
            for part in reversed(path):
                nested = {part: nested}
            values = merged(values, nested)
        return values

    @property
    def asked(self) -> Asked:
        """What is said of the command line in the report."""
        return Asked(self.seeds, self.smoke, self.rows, self.columns, self.set_, self.cost_per_hour)


@dataclass(frozen=True)
class CellPlan:
    """One cell to run.

    Attributes:
        row, column: names.
        options: of its runs, one for each seed; empty where data are missing.
        tested: options of the other data set that is tested on, or None.
        missing: the data set that the user has not named, or None.
        settings: what of its options is told beside the results, see settings.settings_of.
    """

    row: str
    column: str
    options: tuple[EvaluateOptions, ...]
    tested: CropOptions | None = None
    missing: str | None = None
    settings: Settings = field(default_factory=dict)


def _path_of(name: str) -> list[str]:
    return name.replace("-", "_").split(".")


def cells_of(options: ExperimentOptions, experiment: Experiment) -> list[CellPlan]:
    """All cells of an experiment, row by row.

    Raises:
        InputError: a cell's options are impossible; the message names cell and option.
    """
    plans = [_cell(options, experiment, row, column) for row in experiment.rows for column in experiment.columns]
    settings = settings_of([plan.options[0] if plan.options else None for plan in plans])
    return [replace(plan, settings=own) for plan, own in zip(plans, settings, strict=True)]


def _cell(options: ExperimentOptions, experiment: Experiment, row: str, column: str) -> CellPlan:
    own = experiment.columns[column]
    wanted = [] if options.smoke else [name for name in (own.data, own.test) if name is not None]
    for name in wanted:
        if name not in options.data and datasets.REGISTRY[name].needs_source:
            return CellPlan(row, column, (), missing=name)
    values = merged(experiment.options_of(row, column, options.smoke), options.over_all)
    where = f"{options.name}, {row}, {column}"
    plans = tuple(_checked(EvaluateOptions, where, options, {**values, "seed": seed}) for seed in options.seeds)
    if own.test is None:
        return CellPlan(row, column, plans)
    if plans[0].folds:
        raise InputError(f"{where}: folds are of the data set itself, and this column tests on {own.test}")
    return CellPlan(row, column, plans, _tested(options, where, plans[0], own.test))


def _tested(options: ExperimentOptions, where: str, trained: EvaluateOptions, dataset: str) -> CropOptions:
    """The other data set, read and cropped as the one that is trained on; of drawn faces other people."""
    names = (*DatasetOptions.model_fields, "per_class", "landmarks", "face", "no_face")
    values = {name: getattr(trained, name) for name in names}
    values |= {"dataset": dataset, "face_size": trained.crop_size, "rotations": (0.0,)}
    if options.smoke:
        drawn = values["synthetic"].model_copy(update={"first_seed": SMOKE_TESTED_FROM})
        values |= {"dataset": "synthetic", "synthetic": drawn}
    return _checked(CropOptions, where, options, values)


def _checked(kind: Any, where: str, options: ExperimentOptions, values: Values) -> Any:
    home = {"home": options.home, "verbose": options.verbose, "source": options.data.get(values["dataset"])}
    try:
        return kind.model_validate({**home, **values})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        option = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{where}: there is no option {option}; {suggestion(option, _OF_CELLS)}") from None
        said = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{where}: {option + ': ' if option else ''}{said}") from None
