"""What people are asked, and that the file reads back as their answers."""

import csv
from collections import Counter

import numpy as np
import pytest
from landmark_fixtures import PEOPLE, ROLE_OF, landmark_rows, write_faces

from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.landmarks.questions import QUESTIONS, write_questions
from fer_core.tuple_shards import write_human_triplets

UNITS = {"neutral": [], "happiness": [(6, 1.0), (12, 2.0)], "surprise": [(1, 1.0), (12, 0.0)], "anger": [(4, 3.0)]}


def coded_rows():
    """Each expression has its own units, twice each person; a frame of closed eyes and one that is not coded."""
    rows = [
        {**row, "source_path": f"{row['sample_id']}.png", "action_units": UNITS[row["expression"]]}
        for row in landmark_rows()
    ]
    for row in landmark_rows():
        if row["expression"] == "neutral":
            shut = np.reshape(row["landmarks_3d"], (83, 3)).copy()
            shut[[1, 2, 3, 9, 10, 11]] = shut[[7, 6, 5, 15, 14, 13]]
            shut = {**row, "landmarks_3d": shut.ravel().tolist(), "action_units": [(45, 1.0)]}
            rows.append(
                {**shut, "sample_id": f"{row['sample_id']}-shut", "source_path": f"{row['sample_id']}-shut.png"}
            )
            not_coded = {**row, "action_units": None, "sample_id": f"{row['sample_id']}-not"}
            rows.append({**not_coded, "source_path": f"{row['sample_id']}-not.png"})
    return rows


def asked(folder):
    with (folder / QUESTIONS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_person_and_combination_of_units_is_in_six_triplets_of_one_split(tmp_path):
    faces = write_faces(tmp_path, coded_rows())
    summary = write_questions(tmp_path, faces, Part(), 0)
    lines = asked(tmp_path)
    assert list(lines[0]) == ["reference", "a", "b", "votes_a", "votes_b", "split"]
    counts = Counter(line[name] for line in lines for name in ("reference", "a", "b"))
    assert set(counts.values()) == {6}
    kinds = {tuple(name.split("-")[:2]) for name in counts}
    assert len(kinds) == len(counts) == 4 * len(PEOPLE), "one of either degree"
    assert not any(name.endswith(("shut.png", "not.png")) for name in counts)
    for line in lines:
        assert {ROLE_OF[line[name][:3]] for name in ("reference", "a", "b")} == {line["split"]}
    by_split = Counter(line["split"] for line in lines)
    assert summary == {"tuples": 80, "samples": 40, "questions": dict(by_split)}
    write_questions(tmp_path, faces, Part(), 1)
    assert asked(tmp_path) != lines


def test_the_file_with_votes_filled_in_gives_the_triplets(tmp_path):
    faces = write_faces(tmp_path, coded_rows())
    write_questions(tmp_path, faces, Part(), 0)
    unanswered = tmp_path / QUESTIONS
    with pytest.raises(InputError, match="line 2: votes_a and votes_b must be numbers"):
        write_human_triplets(tmp_path, faces, unanswered, Part(), 0)
    (tmp_path / "votes.csv").write_text(unanswered.read_text().replace(",,,", ",4,1,"))
    summary = write_human_triplets(tmp_path, faces, tmp_path / "votes.csv", Part(), 0)
    assert summary["tuples"] == 80
    assert {role: counts[3] for role, counts in summary["agreement"].items()} == Counter(
        line["split"] for line in asked(tmp_path)
    )


def test_without_action_units_there_is_nothing_to_ask(tmp_path):
    rows = [{**row, "source_path": row["sample_id"]} for row in landmark_rows()]
    with pytest.raises(InputError, match="no frame has landmarks and coded action units"):
        write_questions(tmp_path, write_faces(tmp_path, rows), Part(), 0)


def test_too_few_faces_of_a_split_are_named(tmp_path):
    rows = [row for row in coded_rows() if ROLE_OF[row["subject_id"]] == "train" or row["expression"] == "anger"]
    with pytest.raises(InputError, match="the valid people cannot be asked about: 2 samples are too few for 6"):
        write_questions(tmp_path, write_faces(tmp_path, rows), Part(), 0)
