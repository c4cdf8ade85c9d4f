"""Who is asked what: each question goes to five judges, each judge gets it once, and nobody waits for who has left."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from fer_core.errors import InputError
from fer_core.judging.answers import Answer, AnswerLog, Choice, Side
from fer_core.judging.questions import Question
from fer_core.tuples.human import NUM_ANSWERS

LEASE_SECONDS = 300.0
"""For so long a question is kept for a judge who does not answer."""


class Asked(NamedTuple):
    """What a judge is asked now.

    Attributes:
        question: its place among the questions; None: nothing at the moment.
        token: that the answer has to name.
        a_is_left: where the candidates stand.
        is_waiting: there is nothing only as long as others do not leave their questions unanswered.
        complete: questions that have five answers.
        yours: answers of this judge.
        can_undo: whether the judge's last answer can be taken back.
    """

    question: int | None
    token: str
    a_is_left: bool
    is_waiting: bool
    complete: int
    yours: int
    can_undo: bool


class NotTakenError(Exception):
    """An answer that is not taken; its text says why, to the judge."""


class _Lease(NamedTuple):
    question: int
    token: str
    until: float


class Panel:
    """Hands out questions and takes the answers; safe for several threads.

    A question is handed out to as many judges as it lacks answers, so that five are written and never more. A judge
    who stays away keeps the question for LEASE_SECONDS; later the answer is still taken where it is still needed.
    Questions with the most answers come first, else in an order of each judge's own, so that a panel that ends early
    has questions with five answers rather than all with a few. On which side a candidate stands is drawn for each
    judge and question, so that a liking for a side cancels out.

    Args:
        questions: all of them.
        log: the answers so far, to which more are written.
        seed: of orders and sides.
        changed: called, while nothing else happens, when a question has got its five answers, or lost one of them;
            it must not raise.
        now: seconds on a clock that never goes back.

    Raises:
        InputError: the log has answers to other questions, a judge's second answer to one, or a sixth.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        log: AnswerLog,
        seed: int,
        changed: Callable[["Panel"], None] = lambda panel: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.questions = questions
        self._log, self._seed, self._changed, self._now = log, seed, changed, now
        self._choices: list[dict[str, Choice]] = [{} for _ in questions]
        self._lease_of: dict[str, _Lease] = {}
        self._last_of: dict[str, int] = {}
        self._lock = threading.RLock()
        place_of = {question.faces: place for place, question in enumerate(questions)}
        for number, answer in enumerate(log.read(), start=1):
            self._replay(number, answer, place_of.get(answer.faces))

    def ask(self, judge: str) -> Asked:
        """What this judge is asked now: the same until it is answered or no longer needed.

        Args:
            judge: a random id, hexadecimal digits.
        """
        with self._lock:
            return self._ask(judge)

    def answer(self, judge: str, question: int, token: str, side: Side) -> Asked:
        """Take an answer, and say what is asked next; the answer is on the disk then.

        Raises:
            NotTakenError: the judge was not asked this, or others have answered meanwhile.
            OSError: the answer cannot be written; nothing has changed.
        """
        with self._lock:
            lease = self._lease_of.get(judge)
            if lease is None or (lease.question, lease.token) != (question, token):
                raise NotTakenError("this is not what you were asked last")
            if not self._is_needed(question, judge):
                raise NotTakenError("others have answered this question meanwhile")
            is_a = (side == "left") == self._a_is_left(judge, question)
            self._write(judge, question, "a" if is_a else "b", side)
            del self._lease_of[judge]
            self._last_of[judge] = question
            return self._ask(judge)

    def undo(self, judge: str) -> Asked:
        """Take back the judge's last answer since this process began, once, and ask it again.

        Raises:
            NotTakenError: there is none.
            OSError: it cannot be written; nothing has changed.
        """
        with self._lock:
            question = self._last_of.get(judge)
            if question is None:
                raise NotTakenError("there is no answer to take back")
            self._write(judge, question, None, None)
            del self._last_of[judge]
            self._lease_of[judge] = self._lease(question)
            return self._ask(judge)

    def votes(self) -> list[tuple[Question, int, int]]:
        """The questions that have five answers, with those for a and those for b."""
        with self._lock:
            return [
                (question, list(choices.values()).count("a"), list(choices.values()).count("b"))
                for question, choices in zip(self.questions, self._choices, strict=True)
                if len(choices) == NUM_ANSWERS
            ]

    def counts(self) -> dict[str, int]:
        """How many questions there are, how many of them are complete, and how many answers by how many judges."""
        with self._lock:
            return {
                "questions": len(self.questions),
                "complete": self._num_complete(),
                "answers": sum(map(len, self._choices)),
                "judges": len({judge for choices in self._choices for judge in choices}),
            }

    def _replay(self, number: int, answer: Answer, place: int | None) -> None:
        if place is None:
            raise InputError(
                f"--answers line {number} answers a question that is not in --questions; these answers belong to other "
                "questions: give others a file of their own"
            )
        choices = self._choices[place]
        if answer.choice is None:
            choices.pop(answer.judge, None)
        elif answer.judge in choices or len(choices) == NUM_ANSWERS:
            raise InputError(f"--answers line {number} is one answer too many to its question; take the line out")
        else:
            choices[answer.judge] = answer.choice

    def _ask(self, judge: str) -> Asked:
        lease = self._lease_of.get(judge)
        if lease is None or not self._is_needed(lease.question, judge):
            question = self._next(judge)
            lease = None if question is None else self._lease(question)
        else:
            lease = lease._replace(until=self._now() + LEASE_SECONDS)
        self._lease_of.pop(judge, None)
        if lease is not None:
            self._lease_of[judge] = lease
        yours = sum(judge in choices for choices in self._choices)
        return Asked(
            question=None if lease is None else lease.question,
            token="" if lease is None else lease.token,
            a_is_left=lease is not None and self._a_is_left(judge, lease.question),
            is_waiting=lease is None and any(self._lacks(choices, judge) for choices in self._choices),
            complete=self._num_complete(),
            yours=yours,
            can_undo=judge in self._last_of,
        )

    def _next(self, judge: str) -> int | None:
        held = self._held_by_others(judge)
        open_to = [
            place
            for place, choices in enumerate(self._choices)
            if self._lacks(choices, judge) and len(choices) + held[place] < NUM_ANSWERS
        ]
        order = self._random(judge).permutation(len(self.questions))
        return min(open_to, key=lambda place: (-len(self._choices[place]), order[place]), default=None)

    def _is_needed(self, question: int, judge: str) -> bool:
        choices = self._choices[question]
        return self._lacks(choices, judge) and len(choices) + self._held_by_others(judge)[question] < NUM_ANSWERS

    def _lacks(self, choices: dict[str, Choice], judge: str) -> bool:
        return judge not in choices and len(choices) < NUM_ANSWERS

    def _held_by_others(self, judge: str) -> Counter[int]:
        """Of each question, how many other judges have it before them."""
        now = self._now()
        return Counter(
            lease.question for other, lease in self._lease_of.items() if other != judge and lease.until > now
        )

    def _lease(self, question: int) -> _Lease:
        return _Lease(question, secrets.token_hex(8), self._now() + LEASE_SECONDS)

    def _random(self, judge: str, *more: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, int(judge, 16), *more])

    def _a_is_left(self, judge: str, question: int) -> bool:
        return bool(self._random(judge, 1, question).random() < 0.5)

    def _num_complete(self) -> int:
        return sum(len(choices) == NUM_ANSWERS for choices in self._choices)

    def _write(self, judge: str, question: int, choice: Choice | None, side: Side | None) -> None:
        choices, before = self._choices[question], self._num_complete()
        time_now = datetime.now(UTC).isoformat(timespec="seconds")
        self._log.append(Answer(time_now, judge, *self.questions[question].faces, choice, side))
        if choice is None:
            del choices[judge]
        else:
            choices[judge] = choice
        if self._num_complete() != before:
            self._changed(self)
