"""Pictures, or landmarks of faces -> what a registered model says of them, and of pairs of pictures."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.files import file_sha256
from fer_core.landmarks.scoring import read_asked_faces, write_landmark_shard
from fer_core.options.stages import ScoreOptions
from fer_core.scoring.asked_pictures import Files, PictureSource
from fer_core.scoring.faces import Listing, Scorer, shard_files, summary_of, write_score_shard
from fer_core.scoring.pairs import ASIDE, PAIRS, pictures_of, read_pairs, threshold_for, write_decisions
from fer_core.scoring.sources import lasting, open_source
from infra.progress import Ticker, logger
from tasks.made import Made, make
from tasks.registered import RegisteredModel

SHARD = 512
"""Pictures or faces; a kill loses at most so many."""


@task(cache_policy=NO_CACHE)
def score_source(home: Path, source: str, every: float | None, model: RegisteredModel) -> Made:
    """Score every picture of a source; what the model can say nothing of is set aside."""
    return _scored_pictures(home, open_source(source, every), model, {"source": lasting(source), "every": every})


@task(cache_policy=NO_CACHE)
def score_pairs(options: ScoreOptions, model: RegisteredModel) -> Made:
    """Score the pictures of the pairs, each once."""
    assert options.pairs is not None
    return _scored_pictures(
        options.home, Files(options.folder, partial(pictures_of, read_pairs(options.pairs))), model, {}
    )


def _scored_pictures(home: Path, source: PictureSource, model: RegisteredModel, told: dict[str, Any]) -> Made:
    listing = Listing(source.pictures(), SHARD, Ticker("look", None, "files"))

    def write(folder: Path, number: int, scorer: Scorer, progress: Callable[[int], None]) -> None:
        write_score_shard(folder, number, source, listing, scorer, progress)

    return _scored(home, model, len(listing), "images", {"pictures": listing.digest}, write, told)


@task(cache_policy=NO_CACHE)
def score_faces(options: ScoreOptions, model: RegisteredModel) -> Made:
    """Score every face of a file of landmarks; what the model can say nothing of is set aside."""
    assert options.landmarks is not None
    faces, digest = read_asked_faces(options.landmarks), file_sha256(options.landmarks)

    def write(folder: Path, number: int, scorer: Scorer, progress: Callable[[int], None]) -> None:
        write_landmark_shard(folder, number, faces[number * SHARD : (number + 1) * SHARD], scorer, progress)

    return _scored(options.home, model, len(faces), "faces", {"landmarks": digest}, write, {})


def _scored(
    home: Path,
    model: RegisteredModel,
    total: int,
    unit: str,
    of: dict[str, str],
    write: Callable[[Path, int, Scorer, Callable[[int], None]], None],
    told: dict[str, Any],
) -> Made:
    """The directory of what a model says of all that is asked.

    Args:
        of: the digest of what is asked.
        write: writes a shard by its number.
        told: what else the summary says.
    """
    directory = Directory(
        home / "scores",
        model.name,
        kind="scores",
        config={"model_name": model.name, "model_version": model.version, "shard": SHARD},
        inputs={**model.content, **of},
        code=code_digest("fer_core.scoring.faces", "fer_core.landmarks.scoring"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        scorer = Scorer(model.name, model.version, model.predictor())
        numbers = range(max(1, -(-total // SHARD)))
        ticker = Ticker("score", total, unit)
        for number in numbers:
            write(directory.path, number, scorer, _beginning_at(number * SHARD, ticker))
        files = [name for number in numbers for name in shard_files(number)]
        return files, {"classes": _classes(scorer), **told, **summary_of(directory.path, len(numbers))}

    made = make("score", directory, build)
    aside = ", ".join(f"{count} {reason}" for reason, count in made.summary["set_aside"].items())
    logger.info("%-9s %d rows; set aside: %s", made.stage, made.summary["rows"], aside or "none")
    for reason, examples in made.summary["set_aside_examples"].items():
        logger.info("%-9s %s, such as %s", made.stage, reason, ", ".join(examples))
    return made


def _beginning_at(before: int, ticker: Ticker) -> Callable[[int], None]:
    return lambda done: ticker(before + done)


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
        code=code_digest("fer_core.scoring.pairs"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        return (PAIRS, ASIDE), write_decisions(directory.path, pairs, scores.path, threshold)

    made = make("pairs", directory, build)
    same, rows = made.summary["same_person"], made.summary["rows"]
    logger.info("%-9s %d of %d are of one person at FAR %g", made.stage, same, rows, options.far)
    return made
