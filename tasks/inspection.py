"""Looking without writing: what a source holds, and whether what stands is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.directories import MANIFEST, damaged_files, folder_at, read_manifest
from fer_core.errors import InputError
from fer_core.ingest.inspection import inspect
from fer_core.options.stages import CatalogOptions, CropOptions
from infra.progress import Ticker, logger
from tasks.data import catalog_directory, check_corrected_paths, faces_directory, overlay_of, records_of
from tasks.registered import labeller_of


@dataclass(frozen=True)
class Proof:
    """A directory compared with its manifest: how many files it has, and which of them are missing or damaged."""

    path: Path
    files: int
    damaged: list[str]


@task(cache_policy=NO_CACHE)
def inspect_source(options: CatalogOptions) -> dict[str, Any]:
    """Read every picture of the source and write nothing: the counts, what would be set aside, near-duplicates."""
    overlay = overlay_of(options)
    check_corrected_paths(options, overlay)
    source = None if options.source is None else options.source.absolute()
    total = sum(isinstance(record, dict) for record in records_of(options))
    progress = Ticker("dry run", total, "pictures")
    return inspect(options.dataset, source, records_of(options), progress, overlay)


@task(cache_policy=NO_CACHE)
def prove_catalog(options: CatalogOptions) -> Proof:
    """Compare every file of the catalog with its manifest."""
    return _prove(catalog_directory(options).path)


@task(cache_policy=NO_CACHE)
def prove_faces(options: CropOptions) -> list[Proof]:
    """Compare every file of the catalog, of its face crops, and of what was made from them, with their manifests.

    That is their tuples, and their copies sorted by class, here and at `--stream`. Where something is is known by the
    manifest of what it is made from: if that is damaged, nothing is said of it.
    """
    catalog = _prove(catalog_directory(options).path)
    if MANIFEST in catalog.damaged:
        return [catalog]
    faces = _prove(faces_directory(options, read_manifest(catalog.path).content, labeller_of(options)).path)
    if MANIFEST in faces.damaged:
        return [catalog, faces]
    content = read_manifest(faces.path).content
    made = [path for folder in ("tuples", "streams") for path in _made_from(options.home / folder, content)]
    if options.stream is not None:
        copies = [folder_at(options.stream) / path.name for path in made if path.parent.name == "streams"]
        made += [path for path in copies if path.exists()]
    return [catalog, faces, *(prove(path) for path in made)]


def _made_from(folder: Path, content: str) -> list[Path]:
    """The finished directories in a folder of the home that are made from faces with this content digest."""
    finished = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return [path for path in finished if _inputs_of(path).get("faces") == content]


def _inputs_of(path: Path) -> dict[str, str]:
    try:
        return read_manifest(path).inputs
    except InputError:
        return {}


def prove(path: Path) -> Proof:
    """Compare every file of a directory with its manifest, and name what is damaged; an unreadable manifest is."""
    try:
        damaged, files = damaged_files(path), len(read_manifest(path).shards)
    except InputError:
        damaged, files = [MANIFEST], 0
    logger.info("%-9s %s: %d files, %d damaged", "verify", path.name, files, len(damaged))
    for name in damaged:
        logger.warning("%-9s damaged or missing: %s", "verify", path / name)
    return Proof(path, files, damaged)


def _prove(path: Path) -> Proof:
    if not (path / MANIFEST).exists():
        raise InputError(
            f"there is nothing to verify: {path} has not been made, or is unfinished, or its source has changed since; "
            "run without --verify"
        )
    return prove(path)
