"""An experiment as its YAML file says it: rows and columns of runs, and the numbers published for them."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from fer_core import datasets
from fer_core.errors import InputError
from fer_core.experiments.vocabulary import METRICS, OF_A_CELL, OF_ALL_CELLS, SAID_ELSEWHERE
from fer_core.options.base import Frozen, merged
from fer_core.options.text import read_options, suggestion

FOLDER = Path(__file__).parent
Values = dict[str, Any]
SMOKE_TESTED_FROM = 10_000
"""First person of the drawn faces that stand for another data set in a smoke run."""
REAL_PICTURES_ONLY = ("folds", "landmarks", "identities", "test_people")
"""Options of a cell that a smoke run on drawn faces leaves out."""


class Column(Frozen):
    """One column: what is trained on, and what is tested on.

    Attributes:
        data: data set.
        test: another data set, all of which (its test part, where it has an official one) is tested on; None: the data
            set's own protocol.
        options: of this column's cells.
        metrics: to print instead of the experiment's.
    """

    data: str
    test: str | None = None
    options: Values = Field(default_factory=dict)
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    @field_validator("data", "test")
    @classmethod
    def _data_set_is_known(cls, name: str | None) -> str | None:
        if name is not None:
            _require_known([name], datasets.REGISTRY)
        return name

    @model_validator(mode="after")
    def _test_is_another(self) -> Self:
        if self.test == self.data:
            raise ValueError(f"`test` is for another data set than {self.data}, which is tested by its own protocol")
        return self


class Smoke(Frozen):
    """The two-minute size: the rows and columns that are run, None for all, and options laid over every cell."""

    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    options: Values = Field(default_factory=dict)


class Experiment(Frozen):
    """A matrix of runs.

    Attributes:
        title, question: what the report is headed with and answers.
        metrics: what is printed of each cell.
        unit: of the published numbers.
        base: options of all cells.
        columns, rows: by name, in the order they are printed; a row is its options.
        published: row -> column -> metric -> number, in `unit`; rows that are not in `rows` are others' systems.
        deviations: how these runs differ from the published protocol.
        figures: names, see figures of the experiment page.
        smoke: see Smoke.
    """

    title: str
    question: str
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    unit: Literal["percent", "fraction"]
    base: Values
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    rows: Annotated[dict[str, Values], Field(min_length=1)]
    published: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    deviations: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    smoke: Smoke = Smoke()

    @field_validator("smoke", mode="before")
    @classmethod
    def _options_beside_names(cls, values: Any) -> Any:
        """In the file the options stand beside `rows` and `columns`."""
        if not isinstance(values, dict) or "options" in values:
            return values
        names = {name: value for name, value in values.items() if name in ("rows", "columns")}
        return {**names, "options": {name: value for name, value in values.items() if name not in names}}

    @field_validator("figures")
    @classmethod
    def _figures_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _require_known(names, (*OF_A_CELL, *OF_ALL_CELLS))
        return names

    @model_validator(mode="before")
    @classmethod
    def _number_of_the_only_metric(cls, values: Any) -> Any:
        """A bare published number is of the column's only metric."""
        if not isinstance(values, dict) or not isinstance(values.get("published"), dict):
            return values
        published = {row: _by_metric(values, cells) for row, cells in values["published"].items()}
        return {**values, "published": published}

    @model_validator(mode="after")
    def _options_are_of_cells(self) -> Self:
        places = {"base": self.base, "smoke": self.smoke.options}
        places |= {f"rows: {name}": own for name, own in self.rows.items()}
        places |= {f"columns: {name}": own.options for name, own in self.columns.items()}
        for place, own in places.items():
            for name in own.keys() & SAID_ELSEWHERE.keys():
                raise ValueError(f"{place} has {name}, which is not a cell's own option: {SAID_ELSEWHERE[name]}")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for column in self.columns:
            _require_known(self.metrics_of(column), METRICS)
        for row, cells in self.published.items():
            for column, numbers in cells.items():
                if column not in self.columns:
                    raise ValueError(f"published: {row} has a column {column}, which is not among {[*self.columns]}")
                unknown = set(numbers) - set(self.metrics_of(column))
                if unknown:
                    raise ValueError(f"published: {row}, {column} has {sorted(unknown)}, which is not printed there")
        for kind, names in (("rows", self.smoke.rows), ("columns", self.smoke.columns)):
            unknown = set(names or ()) - set(getattr(self, kind))
            if unknown:
                raise ValueError(f"smoke: {kind} has no {sorted(unknown)}; choose from {[*getattr(self, kind)]}")
        return self

    def metrics_of(self, column: str) -> tuple[str, ...]:
        """What is printed of a column's cells."""
        return self.columns[column].metrics or self.metrics

    def of_size(self, smoke: bool, rows: tuple[str, ...] = (), columns: tuple[str, ...] = ()) -> "Experiment":
        """This experiment with the rows and columns that are to be run; those not named stay published only.

        Raises:
            InputError: a row or column is not one of its own.
        """
        chosen = {}
        for kind, given in (("rows", rows), ("columns", columns)):
            own = getattr(self, kind)
            for name in given:
                if name not in own:
                    raise InputError(f"--{kind} {name}: there is no such {kind[:-1]}; {suggestion(name, own)}")
            wanted = given or (getattr(self.smoke, kind) if smoke else None) or tuple(own)
            chosen[kind] = {name: value for name, value in own.items() if name in wanted}
        published = {
            row: {name: cell for name, cell in cells.items() if name in chosen["columns"]}
            for row, cells in self.published.items()
        }
        return self.model_copy(update={**chosen, "published": published})

    def options_of(self, row: str, column: str, smoke: bool) -> Values:
        """The options of a cell: base, column, row and, of a smoke run, those of `smoke`; what is later goes before."""
        own = merged(merged(self.base, self.columns[column].options), self.rows[row])
        if not smoke:
            return merged(own, {"dataset": self.columns[column].data})
        kept = {name: value for name, value in own.items() if name not in REAL_PICTURES_ONLY}
        return merged(merged(kept, self.smoke.options), {"dataset": "synthetic"})


def _require_known(names: Collection[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no {', '.join(unknown)}; choose from {', '.join(known)}")


def _by_metric(values: Values, cells: Any) -> Any:
    """A row's published numbers by metric; what is no mapping is left to be refused."""
    if not isinstance(cells, dict):
        return {} if cells is None else cells
    named: Values = {}
    for column, cell in cells.items():
        columns = values.get("columns")
        own = columns.get(column) if isinstance(columns, dict) else None
        metrics = (own.get("metrics") if isinstance(own, dict) else None) or values.get("metrics")
        if isinstance(metrics, list) and len(metrics) == 1 and not isinstance(cell, dict):
            named[column] = {str(metrics[0]): cell}
        else:
            named[column] = cell
    return named


def names() -> list[str]:
    """The experiments that come with this project, such as mul_dml/table3."""
    return sorted(file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.glob("*/*.yaml"))


def short_name(name: str) -> str:
    """An experiment's name, or that of its file, as the name of a folder."""
    own = name if name in names() else Path(name).stem
    return re.sub(r"[^A-Za-z0-9_.+]+", "-", own).strip("-.")[:100] or "experiment"


def read_experiment(name: str) -> Experiment:
    """An experiment of this project by name, or of a YAML file.

    Raises:
        InputError: there is neither, or it is not as an experiment must be; the message names the key.
    """
    file = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"there is no experiment {name}; choose one of {', '.join(names())}, or name a YAML file")
    values = read_options(file, str(file), "keys such as `title: ...`; fer_core/experiments/README.md names them")
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(
            f"{file}: {where + ': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
        ) from None
