"""Looking through faces: which are nearest to a picture's, and which belong together."""

from pathlib import Path
from typing import Any

from prefect import flow

from fer_core.galleries.album import ALBUM, PAGE
from fer_core.galleries.retrieval import NEAREST, SHEET
from fer_core.options.gallery import AlbumOptions, GalleryOptions, RetrieveOptions
from flows.deployed import with_secrets
from flows.summary import Summary
from tasks.galleries import find_nearest, make_album
from tasks.made import Made
from tasks.registered import RegisteredModel, find_model
from tasks.scoring import score_source


@flow(name="retrieve-command")
@with_secrets
def retrieve(options: RetrieveOptions) -> dict[str, Any]:
    """Picture -> the nearest faces of a gallery, as a table and a sheet."""
    model = find_model(options.home, options.model_name, options.version)
    scores = _scored(options, model)
    nearest = find_nearest(options, model, scores[-1].path if scores else options.gallery)
    files = {"table": nearest.path / NEAREST, "sheet": nearest.path / SHEET}
    return Summary().looked_through(model.name, model.version, [*scores, nearest], files).values


@flow(name="album-command")
@with_secrets
def album(options: AlbumOptions) -> dict[str, Any]:
    """Pictures -> groups with medoids, as a table and a page."""
    model = find_model(options.home, options.model_name, options.version)
    scores = _scored(options, model)
    made = make_album(options, model, scores[-1].path if scores else options.gallery)
    files: dict[str, Path] = {"table": made.path / ALBUM, "report": made.path / PAGE}
    return Summary().looked_through(model.name, model.version, [*scores, made], files).values


def _scored(options: GalleryOptions, model: RegisteredModel) -> list[Made]:
    """The source's scores, where there is one."""
    if options.source is None:
        return []
    return [score_source(options.home, options.source, options.every, model)]
