"""Source folder -> catalog -> face crops, mapped by Dask over partitions."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core import ingest as ingesting
from fer_core.code_digest import code_digest
from fer_core.config import CatalogOptions, PrepareOptions
from fer_core.datasets.base import Scan
from fer_core.directories import Directory, read_manifest
from fer_core.faces import write_face_shard
from infra.dask_engine import map_partitions
from infra.progress import Ticker, logger
from infra.settings import Settings
from tasks.made import Made, make

ROWS_A_PARTITION = 512


def scan_source(options: CatalogOptions) -> Scan:
    """What the source holds, as far as names and label files tell.

    Raises:
        InputError: the folder is not what the data set expects.
    """
    scan = options.adapter.scan(options.source, options.own)
    return Scan(ingesting.limit_per_class(scan.rows, options.per_class), scan.rejected)


@task(cache_policy=NO_CACHE)
def write_catalog(options: CatalogOptions) -> Made:
    """Read every picture of the source once: one row each, what cannot be taken set aside with its reason."""
    own = options.own.model_dump(mode="json") if options.own else {}
    fingerprint = ingesting.source_fingerprint(options.source if options.adapter.needs_source else None)
    directory = Directory(
        options.home / "catalogs",
        options.dataset,
        kind="catalog",
        config={"dataset": options.dataset, "per_class": options.per_class, "rows": ROWS_A_PARTITION, **own},
        inputs={"source": fingerprint},
        code=code_digest("fer_core.ingest", "fer_core.datasets.base", options.adapter.scan.__module__),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        scan = scan_source(options)
        ingesting.check_rows(options.dataset, scan.rows)
        ingesting.write_scan_rejects(directory.path, scan.rejected)
        source = None if options.source is None else options.source.absolute()
        starts = range(0, len(scan.rows), ROWS_A_PARTITION)
        partitions = [
            (directory.path, number, options.dataset, source, scan.rows[start : start + ROWS_A_PARTITION])
            for number, start in enumerate(starts)
        ]
        _map("ingest", ingesting.write_catalog_shard, partitions, len(scan.rows))
        summary = ingesting.summary_of(directory.path)
        ingesting.check_summary(options.dataset, summary)
        return ingesting.files_of(directory.path), summary

    made = make("ingest", directory, build)
    _tell(made)
    return made


@task(cache_policy=NO_CACHE)
def write_faces(options: PrepareOptions, catalog: Made) -> Made:
    """Crop every picture by its landmarks; rows that may be trained on once per rotation."""
    directory = Directory(
        options.home / "faces",
        f"{options.dataset}-{options.crop_size}",
        kind="faces",
        config={"face_size": options.crop_size, "rotations": list(options.rotations)},
        inputs={"catalog": catalog.content},
        code=code_digest("fer_core.faces", options.adapter.scan.__module__),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        shards = [name for name in read_manifest(catalog.path).shards if name.startswith("part-")]
        partitions = [
            (catalog.path, name, directory.path, options.crop_size, options.rotations) for name in sorted(shards)
        ]
        _map("prepare", write_face_shard, partitions, catalog.summary["rows"])
        summary = ingesting.summary_of(directory.path)
        summary["set_aside"] = dict(Counter(catalog.summary["set_aside"]) + Counter(summary["set_aside"]))
        ingesting.check_summary(options.dataset, summary)
        return ingesting.files_of(directory.path), summary

    made = make("prepare", directory, build)
    _tell(made)
    return made


def _map(stage: str, function: Any, partitions: list[tuple[Any, ...]], total: int) -> None:
    address = Settings().dask_scheduler_address
    map_partitions(
        address, function, [_absolute(partition) for partition in partitions], Ticker(stage, total, "pictures")
    )


def _absolute(partition: tuple[Any, ...]) -> tuple[Any, ...]:
    """Workers have working folders of their own."""
    return tuple(part.absolute() if isinstance(part, Path) else part for part in partition)


def _tell(made: Made) -> None:
    aside = ", ".join(f"{count} {reason}" for reason, count in made.summary["set_aside"].items())
    logger.info("%-9s %d rows; set aside: %s", made.stage, made.summary["rows"], aside or "none")
