"""The command's parts: where answers and votes are, what is exported, and what is said of it."""

from pathlib import Path

import pytest

from fer_core.errors import InputError
from fer_core.judging.panel import Panel
from fer_core.options.judge import JudgeOptions
from flows import judged
from flows.judging import judge
from tasks.judging import open_panel, told_of


@pytest.fixture
def options(tmp_path: Path) -> JudgeOptions:
    for name in "rabcd":
        (tmp_path / f"{name}.png").touch()
    (tmp_path / "questions.csv").write_text("reference,a,b\nr.png,a.png,b.png\nr.png,c.png,d.png\n")
    return JudgeOptions(questions=tmp_path / "questions.csv", source=tmp_path, home=tmp_path / "home")


def answer(panel: Panel, judges: range, num_answers: int, side: str = "left") -> None:
    for number in judges:
        who = f"{number:032x}"
        for _ in range(num_answers):
            asked = panel.ask(who)
            assert asked.question is not None
            chosen = "left" if asked.a_is_left == (side == "left") else "right"
            panel.answer(who, asked.question, asked.token, chosen)


def test_votes_are_written_as_soon_as_a_question_has_five_answers(options: JudgeOptions, tmp_path: Path) -> None:
    with open_panel(options) as (panel, votes):
        answer(panel, range(1, 5), 1)
        assert not votes.exists()
        with pytest.raises(InputError, match="no question has five answers"):
            judge(options.model_copy(update={"export": tmp_path / "votes.csv"}))
        answer(panel, range(5, 6), 1, "right")
        header, line = votes.read_text().splitlines()
        assert header == "reference,a,b,votes_a,votes_b,split"
        assert line.endswith(".png,4,1,")
        said = judge(options.model_copy(update={"export": tmp_path / "votes.csv", "source": None}))
        assert (tmp_path / "votes.csv").read_bytes() == votes.read_bytes()
        known = {"questions": 2, "complete": 1, "answers": 5, "judges": 5, "agreement": {"all": {5: 0, 3: 1, 1: 0}}}
        assert said.items() >= {**known, "votes": str(tmp_path / "votes.csv")}.items()
        panel.undo(f"{5:032x}")
        assert len(votes.read_text().splitlines()) == 1
        assert told_of(panel, votes)["votes"] is None
        answer(panel, range(5, 6), 2)
        answer(panel, range(1, 5), 1)
    votes.unlink()
    with open_panel(options) as (panel, votes):
        assert len(votes.read_text().splitlines()) == 3, "whatever has become of the file, it is made again"
        shown = judged.lines(told_of(panel, votes))
    assert shown[0] == "2 of 2 questions have five answers; 10 answers by 5 judges"
    assert shown[3].split() == ["all", "2", "0", "0"]
    assert shown[-1].endswith(f"--tuples human --votes {votes}")


def test_one_process_asks_and_other_questions_have_other_answers(options: JudgeOptions, tmp_path: Path) -> None:
    with open_panel(options) as (panel, votes):
        answer(panel, range(1, 2), 2)
        with pytest.raises(InputError, match="another process adds to"), open_panel(options):
            pass
    more = tmp_path / "more.csv"
    more.write_text("reference,a,b\nr.png,a.png,b.png\n")
    with open_panel(options.model_copy(update={"questions": more})) as (panel, others):
        assert others != votes
        assert panel.counts()["answers"] == 0
    named = {"questions": more, "answers": votes.with_name(votes.name.replace("-votes.csv", ".jsonl"))}
    with (
        pytest.raises(InputError, match="answers a question that is not in --questions"),
        open_panel(options.model_copy(update=named)),
    ):
        pass


def test_pictures_that_are_missing_are_named_before_anybody_is_asked(options: JudgeOptions, tmp_path: Path) -> None:
    (tmp_path / "c.png").unlink()
    with (
        pytest.raises(InputError, match=r"lacks 1 of the 5 pictures that are asked about, c\.png"),
        open_panel(options),
    ):
        pass


def test_votes_that_cannot_be_written_stop_nobody(
    options: JudgeOptions, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with open_panel(options) as (panel, votes):
        votes.mkdir()
        answer(panel, range(1, 6), 1)
        assert panel.counts()["complete"] == 1
        assert "--export writes it elsewhere" in caplog.text
        elsewhere = options.model_copy(update={"export": tmp_path / "no" / "votes.csv"})
        with pytest.raises(InputError, match="cannot be written: No such file"):
            judge(elsewhere)
