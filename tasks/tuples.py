"""Face crops -> five-tuples, similarity triplets, or questions that people answer with such."""

from collections.abc import Iterable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from fer_core.code_digest import code_digest
from fer_core.directories import Directory
from fer_core.files import file_sha256
from fer_core.folds import Part
from fer_core.landmarks.questions import QUESTIONS, write_questions
from fer_core.landmarks.triplets import catalog_of
from fer_core.options.stages import PrepareOptions
from fer_core.tuple_shards import (
    read_samples,
    shard_name,
    write_five_tuples,
    write_human_triplets,
    write_triplets,
)
from infra.progress import Ticker, logger
from tasks.made import Made, make


@task(cache_policy=NO_CACHE)
def write_tuples(
    options: PrepareOptions,
    faces: Made,
    part: Part = Part(),  # noqa: B008  a constant
    repair: bool = False,
) -> Made:
    """Draw the tuples of every epoch from the training samples, a shard an epoch."""
    epochs = options.tuple_epochs if options.tuples == "five" else 1
    directory = Directory(
        options.home / "tuples",
        f"{options.dataset}-{options.tuples}",
        kind="tuples",
        config={
            "tuples": options.tuples,
            "epochs": epochs,
            "num_triplets": options.num_triplets,
            "seed": options.seed,
            "part": part.told,
        },
        inputs={"faces": faces.content, **_of_people(options, faces)},
        code=code_digest("fer_core.tuple_shards", "fer_core.landmarks.questions"),
    )

    def build() -> tuple[Iterable[str], dict[str, Any]]:
        if options.votes is not None:
            summary = write_human_triplets(directory.path, faces.path, options.votes, part, options.seed)
            return [shard_name(0)], summary
        if options.tuples == "questions":
            return [QUESTIONS], write_questions(directory.path, faces.path, part, options.seed)
        samples = read_samples(faces.path, part, options.seed)
        if options.tuples == "similarity":
            return [shard_name(0)], write_triplets(directory.path, samples, options.num_triplets, options.seed)
        ticker = Ticker("tuples", epochs, "epochs")
        summaries = []
        for epoch in range(epochs):
            summaries.append(write_five_tuples(directory.path, samples, epoch, options.seed))
            ticker(epoch + 1)
        return [shard_name(epoch) for epoch in range(epochs)], {"epochs": summaries, **summaries[0]}

    made = make("tuples", directory, build, repair)
    used = ", ".join(f"{name} {share:.1%}" for name, share in made.summary.get("used", {}).items())
    logger.info(
        "%-9s %d of %d samples%s",
        made.stage,
        made.summary["tuples"],
        made.summary["samples"],
        used and f"; used: {used}",
    )
    return made


def _of_people(options: PrepareOptions, faces: Made) -> dict[str, str]:
    """What people's triplets are made of too: their votes, and the catalog, by which it is seen whose they are."""
    if options.votes is None:
        return {}
    return {"votes": file_sha256(options.votes), "catalog": catalog_of(faces.path)}
