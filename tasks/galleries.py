"""Faces looked through by a registered model's embeddings: the nearest ones, and groups of them."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.directories import Directory, Manifest, read_manifest
from fer_core.errors import InputError
from fer_core.files import file_sha256
from fer_core.galleries.album import ALBUM, PAGE, write_album
from fer_core.galleries.gallery import Crops, Gallery, no_crops, scored_crops, scored_gallery, training_gallery
from fer_core.galleries.retrieval import NEAREST, SHEET, write_nearest
from fer_core.galleries.training_faces import TrainingFaces
from fer_core.options.gallery import AlbumOptions, RetrieveOptions
from fer_core.predictor import Predictor
from fer_core.scoring.asked_pictures import PictureSource
from fer_core.scoring.faces import Listing
from fer_core.scoring.sources import open_source
from infra.progress import Ticker, logger
from tasks.made import Made, make
from tasks.registered import RegisteredModel
from tasks.scoring import SHARD


@task(cache_policy=NO_CACHE)
def find_nearest(options: RetrieveOptions, model: RegisteredModel, scores: Path | None) -> Made:
    """Find the faces nearest to the query's among scored ones, or among those that the model was trained on.

    Raises:
        InputError: the query cannot be read or holds no face, or the scores are another model's.
    """
    directory = Directory(
        options.home / "scores",
        f"{model.name}-nearest",
        kind="nearest",
        config={"k": options.k},
        inputs={**_inputs(model, scores), "query": file_sha256(options.query)},
        code=code_digest("fer_core.galleries.retrieval"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        predictor = model.predictor()
        gallery = _gallery(model, predictor, scores)
        return (NEAREST, SHEET), write_nearest(directory.path, predictor, options.query, gallery, options.k)

    return make("retrieve", directory, build)


@task(cache_policy=NO_CACHE)
def make_album(options: AlbumOptions, model: RegisteredModel, scores: Path | None) -> Made:
    """Group scored faces, or those that the model was trained on, and show each group.

    Raises:
        InputError: the scores are another model's, or cannot be grouped so.
    """
    directory = Directory(
        options.home / "scores",
        f"{model.name}-album",
        kind="album",
        config={"groups": options.groups, "k": options.k},
        inputs=_inputs(model, scores),
        code=code_digest("fer_core.galleries.album", "fer_core.galleries.gallery"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        gallery = _gallery(model, model.predictor(), scores)
        title = f"{gallery.what.capitalize()} by {model.title}"
        return (ALBUM, PAGE), write_album(directory.path, title, gallery, options.groups, options.k)

    return make("album", directory, build)


def _inputs(model: RegisteredModel, scores: Path | None) -> dict[str, str]:
    """The digests of what is looked through, and whether it can be shown."""
    if scores is None:
        directory = model.faces()
        return {**model.content, "faces": "gone" if directory is None else read_manifest(directory).content}
    manifest = read_manifest(scores)
    if manifest.kind != "scores" or not manifest.inputs.items() >= model.content.items():
        raise InputError(f"{scores} was not scored by {model.title}; name its model by --version, or score again")
    is_gone = _source_of(manifest) is None
    return {**model.content, "scores": manifest.content, "pictures": "gone" if is_gone else "there"}


def _gallery(model: RegisteredModel, predictor: Predictor, scores: Path | None) -> Gallery:
    if scores is not None:
        return scored_gallery(scores, _crops(predictor, read_manifest(scores)))
    directory = model.faces()
    if directory is None:
        logger.info("gallery   the faces that %s was trained on are gone and cannot be shown", model.title)
    return training_gallery(predictor, None if directory is None else TrainingFaces(directory, predictor.level))


def _crops(predictor: Predictor, scores: Manifest) -> Crops:
    """Looks up scored pictures where they came from, if they are still what they were."""
    source = _source_of(scores)
    if source is not None:
        listing = Listing(source.pictures(), SHARD, Ticker("look", None, "files"))
        if listing.digest == scores.inputs["pictures"]:
            return scored_crops(predictor, source, listing)
    logger.info("gallery   the scored pictures are gone, or have changed, and cannot be shown")
    return no_crops


def _source_of(scores: Manifest) -> PictureSource | None:
    """Where scored pictures came from; None where that is not known, as of pairs, or no longer there."""
    with contextlib.suppress(KeyError, InputError):
        return open_source(scores.summary["source"], scores.summary["every"])
    return None
