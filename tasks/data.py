"""Source folder -> catalog -> face crops, mapped by Dask over partitions."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.consent.withdrawals import WITHDRAWN, digest_of_withdrawals, read_withdrawals
from fer_core.datasets.base import Record
from fer_core.directories import Directory, folder_at, read_manifest, shards_of
from fer_core.estimates.expressions import count_unknown, write_expressions
from fer_core.estimates.identities import write_identities
from fer_core.faces.crop import write_face_shard
from fer_core.ingest import scanning
from fer_core.ingest.corrections import read_corrections
from fer_core.ingest.overlay import Overlay, count_corrected
from fer_core.options.stages import CatalogOptions, CropOptions
from fer_core.streaming import CLASS_SORTED, try_out, upload, write_class_sorted
from infra.dask_engine import map_partitions
from infra.progress import Ticker, logger
from infra.settings import Settings
from tasks.made import Made, make
from tasks.registered import RegisteredModel, labeller_of

ROWS_A_PARTITION, BYTES_A_PARTITION = 256, 2**26
"""What a worker reads, holds and writes at once, whichever is reached first; a kill loses no more than that."""


def records_of(options: CatalogOptions) -> Iterator[Record]:
    """What the source holds, as far as names and label files tell.

    Raises:
        InputError: the folder is not what the data set expects.
    """
    return scanning.limited(lambda: options.adapter.stream(options.source, options.own), options.per_class)


def overlay_of(options: CatalogOptions) -> Overlay:
    """Whose pictures are left out, and which labels are put right.

    Raises:
        InputError: the home's list of withdrawals, or the file of corrections, cannot be read.
    """
    return Overlay(read_withdrawals(options.home, options.dataset), read_corrections(options.corrections))


def check_corrected_paths(options: CatalogOptions, overlay: Overlay) -> None:
    """Compare the corrected source paths with all that the source holds, whatever is taken of it.

    Raises:
        InputError: one is not there.
    """
    records = options.adapter.stream(options.source, options.own)
    overlay.corrections.require_paths(record["source_path"] for record in records if isinstance(record, dict))


def catalog_directory(options: CatalogOptions) -> Directory:
    """Where the catalog of a source is, made or not."""
    own = options.own.model_dump(mode="json") if options.own else {}
    overlay = overlay_of(options)
    withdrawn = {WITHDRAWN: digest_of_withdrawals(overlay.withdrawals)} if overlay.withdrawals else {}
    corrected = {"corrections": overlay.corrections.digest} if options.corrections else {}
    fingerprint = scanning.source_fingerprint(options.source if options.adapter.needs_source else None)
    return Directory(
        options.home / "catalogs",
        options.dataset,
        kind="catalog",
        config={
            "dataset": options.dataset,
            "per_class": options.per_class,
            "partition": [ROWS_A_PARTITION, BYTES_A_PARTITION],
            **own,
            **withdrawn,
        },
        inputs={"source": fingerprint, **corrected},
        code=code_digest("fer_core.ingest.scanning", "fer_core.datasets.base", options.adapter.records.__module__),
    )


def faces_directory(options: CropOptions, catalog: str, labeller: RegisteredModel | None = None) -> Directory:
    """Where the face crops of a catalog with this content digest are, made or not.

    Args:
        labeller: the model that estimates expressions, where that is asked for.
    """
    cropping = options.cropping
    estimated = {} if labeller is None else {"expressions": labeller.title, "least": options.least_probability}
    labelled_by = {} if labeller is None else {f"expression_{part}": own for part, own in labeller.content.items()}
    code = ("fer_core.estimates.expressions", "fer_core.predictor") if labeller else ()
    return Directory(
        options.home / "faces",
        f"{options.dataset}-{options.crop_size}",
        kind="faces",
        config={
            **cropping._asdict(),
            "rotations": list(cropping.rotations),
            "margin": cropping.margin,
            "identities": options.identities,
            **estimated,
        },
        inputs={"catalog": catalog, **labelled_by},
        code=code_digest("fer_core.faces.crop", "fer_core.estimates.identities", *code),
    )


@task(cache_policy=NO_CACHE)
def write_catalog(options: CatalogOptions, repair: bool = False) -> Made:
    """Read every picture of the source once: one row each, what cannot be taken set aside with its reason."""
    directory, overlay = catalog_directory(options), overlay_of(options)

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        check_corrected_paths(options, overlay)
        source = None if options.source is None else options.source.absolute()
        partitions, rows = scanning.write_scan(
            directory.path, records_of(options), ROWS_A_PARTITION, BYTES_A_PARTITION, source
        )
        work = ((directory.path, number, options.dataset, source, overlay) for number in range(partitions))
        _map("ingest", scanning.write_catalog_shard, work, rows)
        shutil.rmtree(directory.path / scanning.SCAN)
        summary = scanning.summary_of(directory.path)
        scanning.check_summary(options.dataset, summary)
        summary["corrected"] = count_corrected(overlay.corrections, directory.path)
        return scanning.files_of(directory.path), summary

    made = make("ingest", directory, build, repair)
    _tell(made)
    return made


@task(cache_policy=NO_CACHE)
def write_faces(options: CropOptions, catalog: Made, repair: bool = False) -> Made:
    """Crop every picture by its landmarks; rows that may be trained on once per rotation.

    Where identities are to be estimated, the faces without a subject are clustered; where expressions are, those
    without one are shown to a registered model.
    """
    labeller = labeller_of(options)
    directory = faces_directory(options, catalog.content, labeller)
    if options.stream is not None:
        try_out(folder_at(options.stream))

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        shards = shards_of(catalog.path, "part-")
        work = (
            (catalog.path / name, shard["sha256"], directory.path, options.cropping) for name, shard in shards.items()
        )
        _map("prepare", write_face_shard, work, catalog.summary["rows"])
        summary = scanning.summary_of(directory.path)
        summary["set_aside"] = dict(Counter(catalog.summary["set_aside"]) + Counter(summary["set_aside"]))
        if options.identities == "estimated":
            summary["estimated_subjects"] = write_identities(directory.path, options.cropping.margin)
        scanning.check_faces(summary)
        if labeller is not None:
            summary["estimated_expressions"] = _label(options, directory.path, labeller)
        return scanning.files_of(directory.path), summary

    made = make("prepare", directory, build, repair)
    _tell(made)
    return made


def _label(options: CropOptions, folder: Path, model: RegisteredModel) -> dict[str, int]:
    """Let a model say the expressions that are unknown; how many faces got each."""
    ticker = Ticker("label", count_unknown(folder), "faces")
    label, margin = model.predictor().label_faces, options.cropping.margin
    return write_expressions(folder, label, f"model {model.title}", options.least_probability, margin, ticker)


@task(cache_policy=NO_CACHE)
def publish_faces(options: CropOptions, faces: Made, repair: bool = False) -> Made:
    """Copy the face crops, sorted by class, to where `--stream` says; what comes after reads them from there."""
    assert options.stream is not None
    directory = Directory(
        options.home / "streams",
        faces.path.name,
        kind="faces",
        config={**read_manifest(faces.path).config, "order": CLASS_SORTED},
        inputs={"faces": faces.content},
        code=code_digest("fer_core.streaming"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        ticker, done = Ticker("publish", faces.summary["rows"], "faces"), 0
        for rows in write_class_sorted(faces.path, directory.path):
            done += rows
            ticker(done)
        return scanning.files_of(directory.path), faces.summary

    made = make("publish", directory, build, repair)
    destination = folder_at(options.stream) / directory.path.name
    logger.info("%-9s to %s", made.stage, destination)
    upload(made.path, destination, look_inside=repair)
    return replace(made, path=destination)


def _map(stage: str, function: Any, partitions: Iterator[tuple[Any, ...]], total: int) -> None:
    address = Settings().dask_scheduler_address
    num_threads = torch.get_num_threads()
    try:
        map_partitions(address, function, (_absolute(part) for part in partitions), Ticker(stage, total, "pictures"))
    finally:
        torch.set_num_threads(num_threads)  # workers that are threads of this process take one each


def _absolute(partition: tuple[Any, ...]) -> tuple[Any, ...]:
    """Workers have working folders of their own."""
    return tuple(part.absolute() if isinstance(part, Path) else part for part in partition)


def _tell(made: Made) -> None:
    aside = ", ".join(f"{count} {reason}" for reason, count in made.summary["set_aside"].items())
    by = ", ".join(f"{count} {way}" for way, count in made.summary.get("crop_by", {}).items())
    logger.info("%-9s %d rows; set aside: %s", made.stage, made.summary["rows"], aside or "none")
    if by:
        logger.info("%-9s cropped by: %s", made.stage, by)
