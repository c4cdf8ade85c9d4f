"""The file of votes, and the table of agreement over its splits."""

import csv
from pathlib import Path

from fer_core.judging.questions import Question
from fer_core.judging.votes import NO_SPLIT, agreement_of, write_votes

VOTES = [
    (Question("r, 1", "a1", "b1", "train"), 5, 0),
    (Question("a1", "r, 1", "b1", "train"), 2, 3),
    (Question("r2", "a2", "b2", "test"), 1, 4),
    (Question("a2", "r2", "b2", "test"), 0, 5),
]


def test_the_file_holds_a_line_a_question(tmp_path: Path) -> None:
    write_votes(tmp_path / "votes.csv", VOTES)
    with (tmp_path / "votes.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["reference", "a", "b", "votes_a", "votes_b", "split"]
    assert lines[1:] == [[*question[:3], str(for_a), str(for_b), question.split] for question, for_a, for_b in VOTES]


def test_questions_count_in_the_split_of_their_reference() -> None:
    assert agreement_of(VOTES) == {"train": {5: 1, 3: 0, 1: 1}, "test": {5: 1, 3: 1, 1: 0}}
    nameless = [(question._replace(split=""), for_a, for_b) for question, for_a, for_b in VOTES]
    assert agreement_of(nameless) == {NO_SPLIT: {5: 2, 3: 1, 1: 1}}
    assert agreement_of([]) == {}
