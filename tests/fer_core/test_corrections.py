"""Labels put right by a csv: what it may hold, what it does to a row, and what it may not name."""

from pathlib import Path

import pytest

from fer_core.datasets.base import Rejected
from fer_core.errors import InputError
from fer_core.ingest.corrections import REMOVED, Corrections, read_corrections

ROW = {"sample_id": "s1", "source_path": "a/1.png", "expression": "fear", "image": b"x"}


def corrections(folder: Path, *lines: str, header: str = "sample_id,source_path,label,corrected,note") -> Corrections:
    file = folder / "audit.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return read_corrections(file)


@pytest.mark.parametrize("line", ["s1,,,anger,", ",a/1.png,fear,anger,seen twice", "s1,a/1.png,Fear,ANGER,"])
def test_a_label_is_put_right_and_the_old_one_kept(tmp_path: Path, line: str) -> None:
    made = corrections(tmp_path, line).applied(ROW)
    assert made == {**ROW, "expression": "anger", "expression_original": "fear"}


def test_a_picture_without_a_label_gets_one(tmp_path: Path) -> None:
    row = {**ROW, "expression": None}
    made = corrections(tmp_path, "s1,,none,anger,").applied(row)
    assert made == {**row, "expression": "anger", "expression_original": "none"}


@pytest.mark.parametrize("line", ["s2,,,anger,", ",a/2.png,,anger,", "s1,a/1.png,fear,,", "s1,,,fear,right already"])
def test_any_other_row_is_as_it_was(tmp_path: Path, line: str) -> None:
    assert corrections(tmp_path, line).applied(ROW) is ROW
    assert Corrections().applied(ROW) is ROW


def test_a_picture_can_be_removed(tmp_path: Path) -> None:
    made = corrections(tmp_path, 's1,,,remove,"no face, a hand"').applied(ROW)
    assert made == Rejected("a/1.png", REMOVED, "s1 no face, a hand")
    assert corrections(tmp_path, "s1,,,remove,").applied(ROW) == Rejected("a/1.png", REMOVED, "s1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["s1,,,hapiness,"],
            "line 2: corrected is hapiness; choose one of neutral, .*, remove, or leave it",
        ),
        (["s9,,,,", ",,,anger,"], "line 3 names no picture; give its sample_id or its source_path"),
        (["s1,,,anger,", "s2,,,fear,", "s1,,,fear,"], "lines 2 and 4 are of one picture; keep one of them"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        corrections(tmp_path, *lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["s1,,anger,sadness,"], "line 2: label is anger, and the data set says fear of a/1.png; put label right"),
        (["s7,a/1.png,,sadness,"], "line 2: a/1.png is another picture now, sample s1; look at it again"),
        (["s1,,,anger,", "s3,,,anger,", ",a/1.png,,anger,"], "lines 4 and 2 are both of a/1.png; keep one of them"),
    ],
)
def test_what_does_not_fit_the_picture_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    made = corrections(tmp_path, *lines)
    with pytest.raises(InputError, match=message):
        made.applied(ROW)


def test_pictures_that_are_not_there_are_named_by_their_first_line(tmp_path: Path) -> None:
    made = corrections(tmp_path, "s1,,,anger,", ",a/9.png,,anger,", "s8,,,anger,", ",a/8.png,,anger,", ",b,,,")
    made.require_paths(["a/8.png", "a/9.png", "other"])
    made.require_samples(["s8", "s1"])
    with pytest.raises(InputError, match=r"line 3: no picture that is taken has the source_path a/9.png; put it right"):
        made.require_paths(["a/1.png"])
    with pytest.raises(InputError, match="line 4: no picture that is taken has the sample_id s8"):
        made.require_samples(["s1"])


def test_columns(tmp_path: Path) -> None:
    made = corrections(tmp_path, "anger,a/1.png", header="corrected,source_path")
    assert made.applied(ROW)["expression"] == "anger"
    with pytest.raises(InputError, match="has no column corrected"):
        corrections(tmp_path, "a/1.png,anger", header="source_path,expression")
    assert read_corrections(None) == Corrections()


def test_the_digest_goes_by_what_they_do(tmp_path: Path) -> None:
    first = corrections(tmp_path, "s1,,,anger,", "s2,,,fear,", "s3,,,,").digest
    assert corrections(tmp_path, "s2,,,fear,a note", "s1,,,Anger,").digest == first
    others = [["s1,,,anger,"], ["s1,,,anger,", "s2,,,remove,"], ["s1,,,anger,", ",s2,,fear,"]]
    assert len({first, *(corrections(tmp_path, *lines).digest for lines in others)}) == 4
