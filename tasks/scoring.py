"""Pictures, or landmarks of faces -> what a registered model says of them, and of pairs of pictures."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.config import ScoreOptions
from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.files import file_sha256
from fer_core.landmarks.scoring import read_asked_faces, write_landmark_shard
from fer_core.pair_scoring import ASIDE, PAIRS, pictures_of, read_pairs, threshold_for, write_decisions
from fer_core.scoring import (
    Picture,
    Scorer,
    digest_of_pictures,
    list_pictures,
    read_digests,
    shard_files,
    summary_of,
    write_score_shard,
)
from infra.progress import Ticker, logger
from tasks.made import Made, make
from tasks.registered import RegisteredModel

SHARD = 512
"""Pictures or faces; a kill loses at most so many."""


@task(cache_policy=NO_CACHE)
def score_folder(options: ScoreOptions, model: RegisteredModel) -> Made:
    """Score every picture below the source, or those of the pairs; what the model can say nothing of is set aside."""
    names = list_pictures(options.folder) if options.pairs is None else pictures_of(read_pairs(options.pairs))
    pictures = _looked_through(options.folder, names)
    digest, write = digest_of_pictures(pictures), partial(_write_pictures, options.folder)
    return _scored(options, model, pictures, {"pictures": digest}, write)


@task(cache_policy=NO_CACHE)
def score_faces(options: ScoreOptions, model: RegisteredModel) -> Made:
    """Score every face of a file of landmarks; what the model can say nothing of is set aside."""
    assert options.landmarks is not None
    faces = read_asked_faces(options.landmarks)
    return _scored(options, model, faces, {"landmarks": file_sha256(options.landmarks)}, write_landmark_shard)


def _write_pictures(
    source: Path, folder: Path, number: int, own: Sequence[Picture], scorer: Scorer, progress: Callable[[int], None]
) -> None:
    write_score_shard(folder, number, source, own, scorer, progress)


def _scored(
    options: ScoreOptions, model: RegisteredModel, asked: Sequence[Any], of: dict[str, str], write: Callable[..., None]
) -> Made:
    """The directory of what a model says of all that is asked, whose digest is `of`, a shard at a time by `write`."""
    directory = Directory(
        options.home / "scores",
        model.name,
        kind="scores",
        config={"model_name": model.name, "model_version": model.version, "shard": SHARD},
        inputs={**model.content, **of},
        code=code_digest("fer_core.scoring", "fer_core.landmarks.scoring"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        scorer = Scorer(model.name, model.version, model.predictor())
        numbers = range(max(1, -(-len(asked) // SHARD)))
        ticker = Ticker("score", len(asked), "faces" if options.landmarks else "images")
        for number in numbers:
            before = number * SHARD
            own = asked[before : before + SHARD]
            write(directory.path, number, own, scorer, lambda done, before=before: ticker(before + done))
        files = [name for number in numbers for name in shard_files(number)]
        return files, {"classes": _classes(scorer), **summary_of(directory.path, len(numbers))}

    made = make("score", directory, build)
    aside = ", ".join(f"{count} {reason}" for reason, count in made.summary["set_aside"].items())
    logger.info("%-9s %d rows; set aside: %s", made.stage, made.summary["rows"], aside or "none")
    return made


def _looked_through(source: Path, names: list[str]) -> list[Picture]:
    """The pictures with the digests of their contents."""
    ticker, pictures = Ticker("look", len(names), "files"), []
    for picture in read_digests(source, names):
        pictures.append(picture)
        ticker(len(pictures))
    return pictures


def _classes(scorer: Scorer) -> list[str]:
    """The order of the probabilities; none where the model says no expression."""
    return [] if scorer.predictor.decides_by == "distance" else list(scorer.predictor.classes)


@task(cache_policy=NO_CACHE)
def choose_threshold(options: ScoreOptions, model: RegisteredModel) -> float:
    """The threshold for the asked false accept rate, from the version's own evaluation.

    Raises:
        InputError: the model is not a verification model, or was tested on too few pairs to tell such a rate.
    """
    if model.decides_by != "distance":
        raise InputError(
            f"{model.title} ({model.description.method}) says expressions, not whether two pictures show one person; "
            "name a model of --method verification"
        )
    return threshold_for(model.evaluation(), options.far, model.title)


@task(cache_policy=NO_CACHE)
def decide_pairs(options: ScoreOptions, model: RegisteredModel, scores: Made, threshold: float) -> Made:
    """Decide of every pair whether its scored pictures show one person."""
    assert options.pairs is not None
    pairs = read_pairs(options.pairs)
    directory = Directory(
        options.home / "scores",
        f"{model.name}-pairs",
        kind="scores",
        config={"far": options.far, "threshold": threshold},
        inputs={"scores": scores.content, "pairs": file_sha256(options.pairs)},
        code=code_digest("fer_core.pair_scoring"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        return (PAIRS, ASIDE), write_decisions(directory.path, pairs, scores.path, threshold)

    made = make("pairs", directory, build)
    same, rows = made.summary["same_person"], made.summary["rows"]
    logger.info("%-9s %d of %d are of one person at FAR %g", made.stage, same, rows, options.far)
    return made
