"""People's answers to questions, and the votes that they make."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_core.errors import InputError
from fer_core.files import digest_of
from fer_core.judging.answers import AnswerLog
from fer_core.judging.panel import Panel
from fer_core.judging.questions import Question, pictures_of, read_questions, require_pictures
from fer_core.judging.votes import agreement_of, write_votes
from fer_core.options.judge import JudgeOptions
from infra.progress import logger

FOLDER = "answers"
"""Below the home, where --answers names no other place."""


def answers_file(options: JudgeOptions, questions: list[Question]) -> Path:
    """The file of answers: the one that is named, or one in the home for exactly these questions."""
    name = digest_of([question.faces for question in questions])
    return options.answers or options.home / FOLDER / f"{name}.jsonl"


def votes_file(answers: Path) -> Path:
    """The votes, beside the answers."""
    return answers.with_name(f"{answers.stem}-votes.csv")


@contextmanager
def open_panel(options: JudgeOptions) -> Iterator[tuple[Panel, Path]]:
    """Who is asked what, with the file of votes, which is kept up to date; alone among processes.

    Raises:
        InputError: the questions, their pictures or the answers so far cannot be used, or another process asks them.
    """
    assert options.questions is not None
    assert options.source is not None
    questions = read_questions(options.questions)
    require_pictures(options.source, pictures_of(questions))
    answers = answers_file(options, questions)
    votes, log = votes_file(answers), AnswerLog(answers)
    with log.alone():
        panel = Panel(questions, log, options.seed, lambda changed: _keep(changed, votes))
        _keep(panel, votes)
        yield panel, votes


def export_votes(options: JudgeOptions) -> Panel:
    """Write the votes of the questions that have five answers; the answers may be coming in meanwhile.

    Raises:
        InputError: the questions or answers cannot be used, no question has five, or the file cannot be written.
    """
    assert options.questions is not None
    assert options.export is not None
    questions = read_questions(options.questions)
    answers = answers_file(options, questions)
    panel = Panel(questions, AnswerLog(answers), options.seed)
    if not panel.votes():
        raise InputError(f"no question has five answers in {answers} yet, so there are no votes to write")
    try:
        write_votes(options.export, panel.votes())
    except OSError as error:
        raise InputError(f"--export {options.export} cannot be written: {error.strerror}; choose another") from None
    return panel


def told_of(panel: Panel, votes: Path) -> dict[str, Any]:
    """How far the panel is and how far people agree, JSON values; `votes` is null while there are none."""
    complete = panel.votes()
    return {**panel.counts(), "agreement": agreement_of(complete), "votes": str(votes) if complete else None}


def _keep(panel: Panel, votes: Path) -> None:
    """Bring the file of votes up to date, and say how far it is; the answers stand whether or not this works."""
    complete, counts = panel.votes(), panel.counts()
    if not complete and not votes.exists():
        return
    split_counts = {split: "/".join(map(str, each.values())) for split, each in agreement_of(complete).items()}
    logger.info(
        "judge     %d of %d questions have five answers, by %d judges; 5:0/4:1/3:2 votes: %s",
        counts["complete"],
        counts["questions"],
        counts["judges"],
        ", ".join(f"{split} {each}" for split, each in split_counts.items()) or "none yet",
    )
    if counts["complete"] == counts["questions"]:
        logger.info("judge     that is all of them: Ctrl-C ends it and says what comes next")
    try:
        write_votes(votes, complete)
    except OSError as error:
        logger.warning("judge     %s cannot be written: %s; --export writes it elsewhere", votes, error.strerror)
