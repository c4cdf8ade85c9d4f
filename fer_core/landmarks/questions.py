"""What to ask people for similarity triplets (landmark VAE, section IV-B), as a csv that `--votes` reads back."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.divided import Divided, read_divided
from fer_core.errors import InputError
from fer_core.files import write_bytes
from fer_core.folds import Part
from fer_core.landmarks.blinks import is_blink
from fer_core.landmarks.neutral import ActionUnits
from fer_core.landmarks.points import table_vectors
from fer_core.tuple_shards import VOTES
from fer_core.tuples import samples_to_ask, triplets_to_ask

QUESTIONS = "questions.csv"
ROLES = ("train", "valid", "test")
_COLUMNS = ["source_path", "rotation", "action_units", "landmarks", "landmarks_3d", "pose_yaw"]


def write_questions(folder: Path, faces: Path, part: Part, seed: int) -> dict[str, Any]:
    """Write QUESTIONS: which of two faces, a or b, looks more like the reference; each face asked about in six.

    A line is three source paths, empty votes_a and votes_b to fill in (five answers in all), and the split. All three
    faces are of one split; they are one of each person and unique combination of action units, without blinks.

    Returns:
        tuples (questions); samples in them; questions (split -> how many).

    Raises:
        InputError: no frame's action units are coded, somebody is not known, no eyelids are, or a split has too few
            faces to ask about.
    """
    rows = read_divided(faces, part, seed, _COLUMNS, validation=True)
    chosen = _chosen(rows, seed)
    if not len(chosen):
        raise InputError(f"{faces.name}: no frame has landmarks and coded action units, by which faces to ask about go")
    paths, lines, num_samples = rows.objects("source_path"), [], 0
    for role in ROLES:
        own = chosen[rows.role[chosen] == role]
        num_samples += len(own)
        if role in rows.role:
            lines += [[*paths[question], "", "", role] for question in own[_questions(role, len(own), seed)]]
    write_bytes(folder / QUESTIONS, _csv([[*VOTES, "split"], *lines]))
    counts = {role: sum(line[-1] == role for line in lines) for role in ROLES}
    return {"tuples": len(lines), "samples": num_samples, "questions": counts}


def _chosen(rows: Divided, seed: int) -> np.ndarray:
    """The rows to ask about, among the upright ones that have landmarks."""
    vectors = table_vectors(rows.table)
    upright = rows.numbers("rotation", 0)[vectors.row_N] == 0
    row_N = vectors.row_N[upright]
    subjects = rows.subject[row_N].tolist()
    units = [_present(own) for own in rows.table["action_units"].take(row_N).to_pylist()]
    blinks = is_blink(vectors.x_NX[upright], subjects)
    return row_N[samples_to_ask(subjects, units, blinks, seed)]


def _questions(role: str, num_samples: int, seed: int) -> np.ndarray:
    try:
        return triplets_to_ask(num_samples, seed=seed)
    except InputError as error:
        raise InputError(f"the {role} people cannot be asked about: {error}") from None


def _present(units: ActionUnits) -> frozenset[int] | None:
    """The action units that a frame shows; None where it is not coded."""
    return None if units is None else frozenset(unit for unit, intensity in dict(units).items() if intensity > 0)


def _csv(lines: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
