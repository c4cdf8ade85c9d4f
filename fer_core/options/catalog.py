"""The options of what is read: source folder -> catalog."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, create_model, model_validator

from fer_core import datasets
from fer_core.datasets.base import Form
from fer_core.datasets.folders import refuse_inside, require_folder
from fer_core.ingest.corrections import read_corrections
from fer_core.options.base import Frozen, at_most_one, fields_of, one_of
from fer_core.options.home import HomeOptions

DatasetOptions: Any = create_model(
    "DatasetOptions",
    __base__=Frozen,
    **fields_of({name: adapter.options for name, adapter in datasets.REGISTRY.items() if adapter.options}),
)


class CatalogOptions(HomeOptions, DatasetOptions):
    """Source folder -> catalog."""

    dataset: Annotated[str, one_of(datasets.REGISTRY)] = Field(
        "synthetic", description=f"one of {', '.join(datasets.REGISTRY)}"
    )
    source: Path | None = Field(None, description="the data set's folder; synthetic needs none")
    per_class: int | None = Field(None, ge=1, description="take at most this many pictures of each class and split")
    corrections: Path | None = Field(
        None,
        description="csv with corrected (an expression, or remove) and sample_id or source_path, as evaluate writes it "
        "in label_audit.csv: labels put right; the data set's own stay beside them",
    )

    @model_validator(mode="after")
    def _source_is_given(self) -> Self:
        if self.adapter.needs_source and self.source is None:
            raise ValueError(f"--source is missing: {self.dataset} expects {self.adapter.layout}")
        if self.adapter.needs_source and self.source is not None:
            require_folder(self.source, self.adapter.layout)
            refuse_inside("--home", self.home, self.source)
        return self

    @model_validator(mode="after")
    def _corrections_can_be_read(self) -> Self:
        read_corrections(self.corrections)
        return self

    @property
    def adapter(self) -> datasets.Adapter:
        """The data set's adapter."""
        return datasets.REGISTRY[self.dataset]

    @property
    def own(self) -> Frozen | None:
        """The data set's own options, or None where it has none."""
        return getattr(self, self.dataset) if self.adapter.options else None

    @property
    def form(self) -> Form:
        """What suits the pictures of the source."""
        return self.adapter.form(self.source, self.own)


class ProofOptions(Frozen):
    """Proving what stands already against its manifest."""

    verify: bool = Field(False, description="compare every file with its manifest and name the damage; exit code 1")
    repair: bool = Field(False, description="as --verify, then make again what is damaged, and only that")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        at_most_one(self, "verify", "repair", "dry_run")
        return self


class IngestOptions(CatalogOptions, ProofOptions):
    """The ingest command."""

    dry_run: bool = Field(
        False,
        description="say what would be taken and set aside, counts, and near-duplicates across splits; with --forget "
        "what would be removed; write nothing",
    )
    forget: tuple[SecretStr, ...] = Field(
        (),
        description="people who withdraw their consent, each SUBJECT or DATASET:SUBJECT: remove their rows and "
        "pictures from the home, leave them out from now on, and list the models to retrain",
    )

    @model_validator(mode="before")
    @classmethod
    def _who_is_forgotten_is_no_source(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Before a source is asked for, as there is none."""
        others = given.keys() - {"home", "config", "json", "verbose", "forget", "dry_run"}
        if given.get("forget") and others:
            names = ", ".join("--" + name.replace("_", "-") for name in sorted(others))
            raise ValueError(f"--forget goes by what the home holds; leave {names} out")
        return given
