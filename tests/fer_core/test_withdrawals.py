"""The home's list of people who have withdrawn their consent."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fer_core.consent.withdrawals import (
    FILE,
    add_withdrawals,
    digest_of_withdrawals,
    read_withdrawals,
    withdrawal_of,
)
from fer_core.errors import InputError
from fer_core.ingest.overlay import Overlay


def test_a_withdrawal_is_of_one_person_and_does_not_name_them(tmp_path: Path) -> None:
    one = replace(withdrawal_of("ck_plus", "S010"), runs=("a run",), unsure=("b",), spared=("c",), faces=("faces",))
    add_withdrawals(tmp_path, [one])
    assert "S010" not in (tmp_path / FILE).read_text()
    (read,) = read_withdrawals(tmp_path)
    assert read == one
    assert (read.runs, read.unsure, read.spared, read.faces) == (("a run",), ("b",), ("c",), ("faces",))
    assert read.is_of("ck_plus", "S010")
    assert [read.is_of(*other) for other in (("ck_plus", "S011"), ("kdef", "S010"), ("ck_plus", None))] == [False] * 3


def test_the_same_name_is_hashed_otherwise_every_time() -> None:
    assert withdrawal_of("ck_plus", "S010").digest != withdrawal_of("ck_plus", "S010").digest


def test_the_list_only_grows(tmp_path: Path) -> None:
    made = [withdrawal_of("ck_plus", "S010"), withdrawal_of("kdef", "F01"), withdrawal_of("ck_plus", "S011")]
    add_withdrawals(tmp_path, made[:1])
    before = (tmp_path / FILE).read_text()
    add_withdrawals(tmp_path, made[1:])
    assert (tmp_path / FILE).read_text().startswith(before)
    assert read_withdrawals(tmp_path) == tuple(made)
    assert read_withdrawals(tmp_path, "ck_plus") == (made[0], made[2])
    assert read_withdrawals(tmp_path / "other") == ()
    assert digest_of_withdrawals(made) == digest_of_withdrawals(made[::-1]) != digest_of_withdrawals(made[:2])


def test_what_is_known_later_is_put_in_place_of_what_was_said_of_the_same_withdrawal(tmp_path: Path) -> None:
    first, second = withdrawal_of("ck_plus", "S010"), withdrawal_of("ck_plus", "S011")
    add_withdrawals(tmp_path, [first, second])
    later = replace(first, unsure=("a run",))
    add_withdrawals(tmp_path, [later])
    assert read_withdrawals(tmp_path) == (later, second)


@pytest.mark.parametrize("line", ["{", "[]", json.dumps({"dataset": "ck_plus", "runs": [], "faces": []})])
def test_a_damaged_list_lets_nobody_back(tmp_path: Path, line: str) -> None:
    add_withdrawals(tmp_path, [withdrawal_of("ck_plus", "S010")])
    with (tmp_path / FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"withdrawals\.jsonl line 2 is damaged; restore the file from a backup"):
        read_withdrawals(tmp_path)


def test_only_pictures_of_who_withdrew_are_refused() -> None:
    overlay = Overlay((withdrawal_of("ck_plus", "S010"),))
    refused = overlay.refused("ck_plus", {"subject_id": "S010", "source_path": "S010_1.png"})
    assert (refused.source_path, refused.reason) == ("withheld", "subject withdrew")
    assert overlay.refused("ck_plus", {"subject_id": "S011"}) is None
    assert overlay.refused("kdef", {"subject_id": "S010"}) is None
    assert overlay.refused("ck_plus", {"source_path": "a"}) is None
