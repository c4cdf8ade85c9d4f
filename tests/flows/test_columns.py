"""What people see in columns."""

from flows.columns import columns
from flows.judged import lines


def test_every_column_is_as_wide_as_its_widest_cell() -> None:
    assert columns([["name", "rows", "of"], ["a", "1,000,000", ""]], "<><") == [
        "name       rows  of",
        "a     1,000,000",
    ]


def test_the_agreement_of_a_panel_is_a_table() -> None:
    agreement = {"train": {"5:0": 4, "4:1": 12, "3:2": 0}, "test": {"5:0": 1, "4:1": 0, "3:2": 2}}
    values = {"complete": 19, "questions": 20, "answers": 97, "judges": 6, "votes": "votes.csv", "agreement": agreement}
    told = lines(values)
    assert told[0] == "19 of 20 questions have five answers; 97 answers by 6 judges"
    assert told[2:5] == ["split  5:0  4:1  3:2", "train    4   12    0", "test     1    0    2"]
    assert lines({**values, "votes": None}) == told[:1], "no table before there are votes"
