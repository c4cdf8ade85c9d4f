"""The options of how training is run: by how many workers, where checkpoints go, how a step is computed."""

import re
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fer_core.credentials import OF_OBJECT_STORES, require_no_credentials
from fer_core.options.base import Frozen

MOST_WORKERS = 1024


class WorkerCount(NamedTuple):
    """How many workers a run may have: as many as there are free, from `least` to `most`. None: (0, 0)."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}:{self.most}"


def worker_count(written: str) -> WorkerCount:
    """Read W, or MIN:MAX.

    Raises:
        ValueError: it is neither, or no number of workers.
    """
    found = re.fullmatch(r"(\d+)(?::(\d+))?", written)
    if found is None:
        raise ValueError("write a number of workers, or MIN:MAX such as 2:8")
    least, most = int(found[1]), int(found[2] or found[1])
    if least > most or most > MOST_WORKERS or (least == 0 < most):
        raise ValueError(f"write MIN:MAX with 1 <= MIN <= MAX <= {MOST_WORKERS}, or 0 for none")
    return WorkerCount(least, most)


class EngineOptions(Frozen):
    """How training is run. What it computes does not depend on the workers, but for rounding and dropout's draws."""

    workers: Annotated[str, BeforeValidator(str), AfterValidator(lambda written: str(worker_count(written)))] = Field(
        "0", description="Ray workers, 0 trains in this process; MIN:MAX (2:8) as many as are free while it runs"
    )
    gpus_per_worker: float | None = Field(
        None, ge=0, le=1, description="unset: 1 where there are GPUs, else 0; below 1 workers share one"
    )
    storage: str | None = Field(
        None,
        description="URI of a folder, such as s3://bucket/checkpoints, that workers put checkpoints in; unset: home",
    )
    stall_seconds: int = Field(
        600, ge=10, description="a worker that is silent for so long is taken for lost, and training goes on without it"
    )
    micro_batch: int | None = Field(
        None,
        ge=2,
        description="rows that a worker puts through the network at once, to save memory; the loss stays that of the "
        "whole batch, batch norm's statistics become those of as many rows of each worker; unset: all its rows",
    )
    compiled: bool = Field(False, description="compile the network with torch.compile (needs a C++ compiler)")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where it is measured to be faster (benchmarks/precision.py)"
    )
    checkpoint_steps: int = Field(
        50,
        ge=1,
        description="a kill loses at most this many steps; over workers, those of checkpoints on their way too",
    )
    profile: bool = Field(False, description="print where a step's time goes; waits for the device to know it")

    @model_validator(mode="after")
    def _storage_holds_no_secret(self) -> Self:
        require_no_credentials(self.storage or "", "--storage", OF_OBJECT_STORES)
        return self

    @property
    def worker_count(self) -> WorkerCount:
        """How many workers the run may have."""
        return worker_count(self.workers)
