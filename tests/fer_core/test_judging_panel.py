"""Who is asked what: five answers to each question, nobody twice, and nothing waits for who has left."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.judging.answers import AnswerLog
from fer_core.judging.panel import LEASE_SECONDS, Asked, NotTakenError, Panel
from fer_core.judging.questions import Question

QUESTIONS = [Question(f"r{number}", f"a{number}", f"b{number}") for number in range(4)]


class Clock:
    """Stands still until it is put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def judge(number: int) -> str:
    return f"{number:032x}"


def panel_of(folder: Path, questions: list[Question] = QUESTIONS, clock: Clock | None = None, seed: int = 0) -> Panel:
    return Panel(questions, AnswerLog(folder / "answers.jsonl"), seed, now=clock or Clock())


def choose_a(panel: Panel, who: str, asked: Asked) -> Asked:
    assert asked.question is not None
    return panel.answer(who, asked.question, asked.token, "left" if asked.a_is_left else "right")


def answer_all(panel: Panel, who: str) -> list[int]:
    """Choose a of all that a judge is asked; the questions in their order."""
    asked, seen = panel.ask(who), []
    while asked.question is not None:
        assert asked.question not in seen
        seen.append(asked.question)
        asked = choose_a(panel, who, asked)
    return seen


def test_five_judges_at_once_answer_all_once_each(tmp_path: Path) -> None:
    questions = [Question(f"r{number}", f"a{number}", f"b{number}") for number in range(40)]
    panel = panel_of(tmp_path, questions)
    with ThreadPoolExecutor(5) as pool:
        seen = list(pool.map(lambda number: answer_all(panel, judge(number)), range(5)))
    assert [sorted(each) for each in seen] == [list(range(40))] * 5
    assert panel.votes() == [(question, 5, 0) for question in questions]
    assert panel.counts() == {"questions": 40, "complete": 40, "answers": 200, "judges": 5}
    answers = AnswerLog(tmp_path / "answers.jsonl").read()
    assert len({(answer.judge, answer.reference) for answer in answers}) == len(answers) == 200


def test_more_judges_than_are_needed_never_make_a_sixth_answer(tmp_path: Path) -> None:
    panel = panel_of(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: answer_all(panel, judge(number)), range(8)))
    # somebody may have found all of the last question handed out, and left; whoever looks again gets the rest
    for number in range(8):
        answer_all(panel, judge(number))
    assert panel.counts()["answers"] == 5 * len(QUESTIONS)
    late = panel.ask(judge(9))
    assert (late.question, late.is_waiting, late.complete, late.yours) == (None, False, 4, 0)


def test_a_question_is_handed_out_as_often_as_it_lacks_answers_until_somebody_stays_away(tmp_path: Path) -> None:
    clock = Clock()
    panel = panel_of(tmp_path, QUESTIONS[:1], clock)
    held = [panel.ask(judge(number)) for number in range(5)]
    assert [asked.question for asked in held] == [0] * 5
    sixth = panel.ask(judge(5))
    assert (sixth.question, sixth.is_waiting) == (None, True)
    clock.seconds = LEASE_SECONDS - 1
    assert panel.ask(judge(4)).token == held[4].token, "who reloads the page keeps the question"
    assert panel.ask(judge(5)).question is None
    clock.seconds = LEASE_SECONDS + 1
    sixth = panel.ask(judge(5))
    assert sixth.question == 0
    choose_a(panel, judge(5), sixth)
    for number in range(1, 4):
        choose_a(panel, judge(number), held[number])  # late, and still needed
    assert panel.counts() == {"questions": 1, "complete": 0, "answers": 4, "judges": 4}
    with pytest.raises(NotTakenError, match="others have answered"):
        choose_a(panel, judge(0), held[0])  # judge 4 is at it, who came back
    choose_a(panel, judge(4), held[4])
    assert panel.votes() == [(QUESTIONS[0], 5, 0)]
    assert panel.ask(judge(0)).question is None


def test_the_last_answer_can_be_taken_back_once_and_is_asked_again(tmp_path: Path) -> None:
    told = []
    panel = Panel(QUESTIONS, AnswerLog(tmp_path / "answers.jsonl"), 0, lambda panel: told.append(len(panel.votes())))
    for number in range(4):
        answer_all(panel, judge(number))
    first = panel.ask(judge(4))
    assert not first.can_undo
    with pytest.raises(NotTakenError, match="no answer to take back"):
        panel.undo(judge(4))
    second = choose_a(panel, judge(4), first)
    assert (second.can_undo, second.yours, second.complete) == (True, 1, 1)
    back = panel.undo(judge(4))
    assert (back.question, back.can_undo, back.yours, back.complete) == (first.question, False, 0, 0)
    assert back.a_is_left == first.a_is_left
    with pytest.raises(NotTakenError):
        panel.undo(judge(4))
    with pytest.raises(NotTakenError, match="not what you were asked last"):
        choose_a(panel, judge(4), second)
    panel.answer(judge(4), back.question or 0, back.token, "right" if back.a_is_left else "left")
    assert panel.votes() == [(QUESTIONS[first.question or 0], 4, 1)]
    assert told == [1, 0, 1]


def test_an_answer_has_to_be_to_what_was_asked(tmp_path: Path) -> None:
    panel = panel_of(tmp_path)
    asked = panel.ask(judge(0))
    assert asked.question is not None
    panel.ask(judge(1))
    for who, question, token in (
        (judge(0), asked.question, "0" * 16),
        (judge(0), (asked.question + 1) % 4, asked.token),
        (judge(0), -1, asked.token),
        (judge(1), asked.question, asked.token),
        (judge(2), asked.question, asked.token),
    ):
        with pytest.raises(NotTakenError, match="not what you were asked last"):
            panel.answer(who, question, token, "left")
    choose_a(panel, judge(0), asked)
    with pytest.raises(NotTakenError):
        choose_a(panel, judge(0), asked)
    assert panel.counts()["answers"] == 1


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    first = panel_of(tmp_path)
    answer_all(first, judge(0))
    asked = choose_a(first, judge(1), first.ask(judge(1)))
    choose_a(first, judge(1), asked)
    first.undo(judge(1))
    again = panel_of(tmp_path)
    assert again.counts() == first.counts() == {"questions": 4, "complete": 0, "answers": 5, "judges": 2}
    assert again.ask(judge(0)).question is None
    asked = again.ask(judge(1))
    assert (asked.question, asked.yours, asked.can_undo) == (first.ask(judge(1)).question, 1, False)
    assert len(answer_all(again, judge(1))) == 3


def test_who_stands_left_and_the_order_are_drawn_for_each_judge(tmp_path: Path) -> None:
    questions = [Question(f"r{number}", f"a{number}", f"b{number}") for number in range(60)]
    log = AnswerLog(tmp_path / "answers.jsonl")

    def plan(who: int, seed: int) -> tuple[list[int], list[bool]]:
        panel, order, sides = Panel(questions, AnswerLog(tmp_path / f"{who}-{seed}.jsonl"), seed), [], []
        asked = panel.ask(judge(who))
        while asked.question is not None:
            order.append(asked.question)
            sides.append(asked.a_is_left)
            asked = choose_a(panel, judge(who), asked)
        return order, sides

    assert plan(1, 0) != plan(2, 0)
    (tmp_path / "1-0.jsonl").unlink()
    order, sides = plan(1, 0)
    assert order != list(range(60))
    (tmp_path / "1-0.jsonl").unlink()
    assert plan(1, 0) == (order, sides)
    assert plan(1, 1)[0] != order
    # whoever always takes the left one votes for both: 300 fair draws are within 4 deviations of a half
    panel = Panel(questions, log, 0)
    for number in range(5):
        asked = panel.ask(judge(number))
        while asked.question is not None:
            asked = panel.answer(judge(number), asked.question, asked.token, "left")
    assert abs(sum(for_a for _, for_a, _ in panel.votes()) - 150) < 4 * (300 / 4) ** 0.5


def test_questions_with_the_most_answers_come_first(tmp_path: Path) -> None:
    panel = panel_of(tmp_path)
    for number in range(4):
        who = judge(number)
        panel.ask(who)
        if number == 0:
            begun = panel.ask(who).question
            choose_a(panel, who, panel.ask(who))
    assert panel.ask(judge(9)).question == begun


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], None),
        (["other"], "line 2 answers a question that is not in --questions"),
        (["again"], "line 2 is one answer too many"),
        (["1", "2", "3", "4", "5"], "line 6 is one answer too many"),
        (["back", "again"], None),
    ],
)
def test_answers_that_do_not_fit_are_named(tmp_path: Path, more: list[str], message: str | None) -> None:
    panel = panel_of(tmp_path, QUESTIONS[:1])
    choose_a(panel, judge(0), panel.ask(judge(0)))
    file = tmp_path / "answers.jsonl"
    line = file.read_text()
    changes = {"other": ("r0", "r9"), "again": ("", ""), "back": ('"choice": "a"', '"choice": null')}
    added = [line.replace(*(changes.get(name) or (judge(0), judge(int(name))))) for name in more]
    file.write_text("".join([line, *added]))
    if message is None:
        assert panel_of(tmp_path, QUESTIONS[:1]).counts()["answers"] == 1
    else:
        with pytest.raises(InputError, match=message):
            panel_of(tmp_path, QUESTIONS[:1])
