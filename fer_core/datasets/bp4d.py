"""BP4D-Spontaneous: 41 people (23 women, 18 men) in eight tasks, 3-D video, 367,492 frames of 1040x1392.

Layout, as it unpacks: `2D+3D/F001/T1/0012.jpg` (the challenge's form: `BP4D-training/F001/T1/12.jpg`) = person, task,
frame; frames begin at 0 or 1 and the numbers have no fixed width. `AUCoding/F001_T1.csv` (or `AUCoding/AU_OCC/...`)
codes the most expressive 20 seconds of a task: the header gives the action units, the first column the frame, 1 is
present, 0 absent, 9 unknown, which is left out. `AUCoding/AU_INT/AU06/F001_T1_AU06.csv` holds frame, intensity 0 to 5
(9 unknown) without a header; where it is known it takes the place of the 1. Landmarks, a file each frame:

- 83 points in 3-D, lines of x, y, z (an index before them is skipped): `.bnd` beside the frame, or in `3DFeatures`
  as `F001/T1/0012.bnd` or `F001_T1_0012.bnd`; BP4D+ ends them in `.bndplus`.
- points of the picture, lines of x, y: `.pts` beside the frame, or in `2DFeatures` named the same way. The published
  `2DFeatures/F001_T1.mat` (49 points, HDF5) are not read: write them out so.

A task was chosen for an emotion, no frame is labelled with one: `expression` is null, unless the source holds a
`labels.csv` of what people said of frames (`judgements`; the landmark VAE's own is not published), or
`--bp4d.labels task` gives each frame the emotion that its task was made to bring out, which the paper finds not
accurate enough (embarrassment, T4, and pain, T6, are in no vocabulary and stay null). A csv of human triplets beside
the frames is no picture and set aside. Everything must lie below the source. Source: Zhang et al. 2014,
BP4D-Spontaneous; the layout as public readers of the set describe it. There is no official split; landmark_vae splits
the people 25/8/8, AU papers take three folds of people.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fer_core.datasets.base import Adapter, Picture, Record, Rejected, read_picture, sex_by_letter
from fer_core.datasets.folders import (
    files_below,
    files_in,
    folders_below,
    is_picture,
    key_of,
    read_cells,
    wrong_folder,
)
from fer_core.datasets.judgements import FILE as LABELS
from fer_core.datasets.judgements import Judgements, read_judgements
from fer_core.datasets.points import read_points
from fer_core.options.base import Frozen

LAYOUT = "folders such as F001 with T1 to T8, in each frames such as 0012.jpg; beside them AUCoding, 2D- and 3DFeatures"
PERSON, TASK, FRAME = (re.compile(text, re.IGNORECASE) for text in (r"[FM]\d{3}", r"T\d{1,2}", r"\d{1,6}"))
CODING = re.compile(r"([FM]\d{3})_(T\d{1,2})(_AU\d+)?\.csv", re.IGNORECASE)
EMOTION_OF = {
    "T1": "happiness",
    "T2": "sadness",
    "T3": "surprise",
    "T5": "fear",
    "T7": "anger",
    "T8": "disgust",
}
"""Task -> the emotion that it was made to bring out, where the vocabulary has it."""
UNKNOWN = 9
MOST_INTENSE = 5
NUM_POINTS = 83


class Bp4dOptions(Frozen):
    """Which frames are taken, and what they are labelled with."""

    labels: Literal["judged", "task"] = Field(
        "judged",
        description="judged: what people said, by labels.csv in the source; task: the emotion it was made to bring out",
    )
    every: int = Field(1, ge=1, description="take every n-th frame of each task")


@dataclass
class Codes:
    """What is coded of one task: frame -> action unit -> 0 absent, else intensity (1 where ungraded)."""

    units: dict[int, dict[int, float]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


def records(source: Path, options: Bp4dOptions) -> Iterator[Record]:
    """One row a frame, with the action units that are coded of it; memory is that of one task.

    Raises:
        InputError: no folder of a task with a numbered picture in it is below `source`.
    """
    if not any(_is_task(folder) and any(map(_is_frame, files_in(folder))) for folder in folders_below(source)):
        raise wrong_folder(source, LAYOUT)
    codings, judged = _codings(source), read_judgements(source) if options.labels == "judged" else Judgements()
    for folder in folders_below(source):
        for path in files_in(folder):
            if is_picture(path) and not (_is_task(folder) and _is_frame(path)):
                yield Rejected(key_of(source, path), "picture is no frame of a task", path.name)
            elif path.suffix.lower() == ".csv" and "triplet" in path.name.lower():
                yield Rejected(key_of(source, path), "not a picture", "human triplets")
        if _is_task(folder):
            yield from _task(source, folder, codings.pop(_name_of(folder), []), judged.label_of, options)
    for files in codings.values():
        yield from (Rejected(key_of(source, file), "label matches no image", "no such task") for file in files)
    yield from judged.rejected
    yield from (Rejected(path, "label matches no image", LABELS) for path in judged.label_of)


def _is_task(folder: Path) -> bool:
    return bool(TASK.fullmatch(folder.name) and PERSON.fullmatch(folder.parent.name))


def _is_frame(path: Path) -> bool:
    return is_picture(path) and FRAME.fullmatch(path.stem) is not None


def _name_of(folder: Path) -> tuple[str, str]:
    return folder.parent.name.upper(), folder.name.upper()


def _codings(source: Path) -> dict[tuple[str, str], list[Path]]:
    """(person, task) -> its files of codes, occurrence before intensity."""
    files: dict[tuple[str, str], list[Path]] = {}
    for path in files_below(source):
        match = CODING.fullmatch(path.name)
        if match:
            files.setdefault((match[1].upper(), match[2].upper()), []).append(path)
    return {name: sorted(paths, key=lambda path: (len(path.name), path)) for name, paths in files.items()}


def _task(
    source: Path, folder: Path, files: list[Path], label_of: dict[str, str | None], options: Bp4dOptions
) -> Iterator[Record]:
    """The frames of a task; the labels that are theirs are taken out of `label_of`."""
    person, task = _name_of(folder)
    emotion = EMOTION_OF.get(task) if options.labels == "task" else None
    codes = Codes()
    for file in files:
        _read_codes(source, file, codes)
    frames = sorted((int(path.stem), path.name, path) for path in files_in(folder) if _is_frame(path))
    for position, (frame, _, path) in enumerate(frames):
        known = sorted(codes.units.get(frame, {}).items())
        label = label_of.pop(key_of(source, path), None)
        if position % options.every:
            yield Rejected(key_of(source, path), "left out by an option", f"bp4d.every is {options.every}")
        else:
            yield {
                "source_path": key_of(source, path),
                "subject_id": person,
                "sequence_id": f"{person}_{task}",
                "action_units": known or None,
                **({"expression": emotion or label} if emotion or label else {}),
            }
    yield from codes.rejected
    for frame in sorted(codes.units.keys() - {frame for frame, _, _ in frames}):
        yield Rejected(key_of(source, files[0]), "label matches no image", f"frame {frame}")


def _read_codes(source: Path, file: Path, codes: Codes) -> None:
    """Add a file of occurrences or of one unit's intensities; the first line of a frame counts."""
    key, rows, units, most = key_of(source, file), read_cells(file), _unit_of(file), MOST_INTENSE
    if not units:
        units, most = _integers(next(rows, (0, [""]))[1][1:]) or [], 1
    seen: set[int] = set()
    for number, cells in rows:
        values = _integers(cells)
        is_coded = values is not None and len(values) == len(units) + 1
        if not values or not is_coded or any(value != UNKNOWN and not 0 <= value <= most for value in values[1:]):
            codes.rejected.append(Rejected(key, "label line is not a frame and codes", f"line {number}"))
        elif values[0] in seen:
            codes.rejected.append(Rejected(key, "labelled twice", f"frame {values[0]}"))
        else:
            seen.add(values[0])
            known = {unit: float(value) for unit, value in zip(units, values[1:], strict=True) if value != UNKNOWN}
            codes.units.setdefault(values[0], {}).update(known)


def _unit_of(file: Path) -> list[int]:
    """The one unit of a file of intensities; none of a file of occurrences."""
    unit = file.stem.upper().rpartition("_AU")[2]
    return [int(unit)] if unit.isdigit() else []


def _integers(cells: list[str]) -> list[int] | None:
    try:
        return [int(cell) for cell in cells]
    except ValueError:
        return None


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The frame, with `landmarks` (pixels) and `landmarks_3d` where there is a file of them.

    Raises:
        OSError: a file of landmarks is malformed, or as read_picture.
    """
    found = read_picture(source, row)
    assert source is not None
    frame, known = source / row["source_path"], {}
    in_3d = _landmark_file(source, frame, "3DFeatures", (".bnd", ".bndplus"))
    in_2d = _landmark_file(source, frame, "2DFeatures", (".pts",))
    if in_3d:
        known["landmarks_3d"] = read_points(in_3d, 3, NUM_POINTS)
    if in_2d:
        known["landmarks"] = read_points(in_2d, 2)
    return Picture(found.image, known)


def _landmark_file(source: Path, frame: Path, features: str, suffixes: tuple[str, ...]) -> Path | None:
    """A frame's file of landmarks: beside it, or in a folder of features anywhere between it and the source."""
    person, task = _name_of(frame.parent)
    tops = [top for top in frame.parents[2:] if top == source or source in top.parents]
    places = [frame.parent, *(top / features / place for top in tops for place in ("", f"{person}/{task}"))]
    names = (frame.stem, f"{person}_{task}_{int(frame.stem):04d}")
    files = (place / f"{name}{suffix}" for place in places for name in names for suffix in suffixes)
    return next((file for file in files if file.is_file()), None)


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="split by person: 25/8/8 (landmark_vae), or three folds of people",
    picture=picture,
    options=Bp4dOptions,
    group_of=sex_by_letter,
)
