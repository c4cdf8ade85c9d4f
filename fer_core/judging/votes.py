"""Five answers a question as the file that `prepare --tuples human --votes` reads, and how far people agree."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_core.files import write_bytes
from fer_core.judging.questions import Question, pictures_of
from fer_core.tuple_shards import VOTES
from fer_core.tuples import agreement, human_triplets

Votes = Sequence[tuple[Question, int, int]]
"""Questions with the answers for a and those for b."""
NO_SPLIT = "all"


def write_votes(file: Path, votes: Votes) -> None:
    """Write a csv with the columns VOTES and split, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*VOTES, "split"])
    writer.writerows([*question.faces, for_a, for_b, question.split] for question, for_a, for_b in votes)
    write_bytes(file, text.getvalue().encode())


def agreement_of(votes: Votes) -> dict[str, dict[int, int]]:
    """Table I of the landmark VAE: split -> difference of votes (5, 3, 1) -> questions; {} where there are none.

    Questions that name no split are all of one, NO_SPLIT.
    """
    if not votes:
        return {}
    paths = pictures_of([question for question, _, _ in votes])
    place_of = {path: place for place, path in enumerate(paths)}
    split_of = {question.reference: question.split or NO_SPLIT for question, _, _ in votes}
    splits = list(dict.fromkeys(split_of.values()))
    rows = [[*(place_of[path] for path in question.faces), for_a, for_b] for question, for_a, for_b in votes]
    return agreement(human_triplets(np.array(rows)), [split_of.get(path, splits[0]) for path in paths])
