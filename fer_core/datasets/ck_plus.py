"""CK+: posed sequences from neutral to the peak of an expression (Lucey et al. 2010, The Extended Cohn-Kanade Dataset).

Full archive: 593 sequences of 123 people, 640x480 or 640x490, most of them grey; its four zip files unpack to
    cohn-kanade-images/S005/001/S005_001_00000011.png   subject, sequence, frame; the last frame is the peak
    Emotion/S005/001/S005_001_00000011_emotion.txt      "   3.0000000e+00": code of the sequence; 327 have one
    FACS/S005/001/S005_001_00000011_facs.txt            a line a unit of the peak: unit, intensity (0 = not graded)
    Landmarks/S005/001/S005_001_00000011_landmarks.txt  68 lines "x y", one file a frame
with the last three inside Emotion_labels, FACS_labels and Landmarks where they were unpacked into folders of their own.

48x48 form: folders of the seven expressions with the last three frames of the 327 sequences, grey, cropped to the face.

There is no official split; the protocol is 10-fold by subject on the last three frames (mul_dml, section IV).
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from fer_core.datasets.base import SMALL, Adapter, Form, Picture, Record, Rejected, read_picture
from fer_core.datasets.folders import (
    files_below,
    first_folder,
    folders_in,
    is_picture,
    key_of,
    root_of,
    wrong_folder,
)
from fer_core.datasets.points import finite_numbers, read_points
from fer_core.errors import InputError
from fer_core.options.base import Frozen

IMAGES = "cohn-kanade-images"
LAYOUT = (
    f"{IMAGES}/S005/001/S005_001_00000001.png with Emotion/, FACS/ and Landmarks/ beside it, or the 48x48 form: "
    "folders anger, contempt, disgust, fear, happy, sadness, surprise with files such as S010_004_00000017.png"
)
CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
EXPRESSION_OF_FOLDER = {name: name for name in CODES[1:] if name != "happiness"} | {"happy": "happiness"}
FILE_NAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})\.(png|jpg|jpeg)$", re.IGNORECASE)
LABEL_NAME = re.compile(r"(S\d{3}_\d{3})_\d{8}_emotion\.txt$", re.IGNORECASE)
ODD_NAME = "file name is not subject_sequence_frame"
NUM_LANDMARKS = 68


class CkPlusOptions(Frozen):
    """Which frames of the full archive are taken."""

    frames: int = Field(3, ge=1, description="frames taken from the end of each labelled sequence (full archive)")
    neutral: bool = Field(False, description="take the first frame of each sequence too, as neutral (full archive)")


class Archive(NamedTuple):
    """Where the parts of the full archive lie; None for those that are not there."""

    images: Path
    emotion: Path
    facs: Path | None
    landmarks: Path | None


def records(source: Path, options: CkPlusOptions) -> Iterator[Record]:
    """The frames of the full archive or of the 48x48 form, whichever the folder, or one directly in it, holds."""
    archive = _archive(source)
    if archive is not None:
        return _archive_records(source, archive, options)
    if options != CkPlusOptions():
        raise InputError(f"ck_plus.frames and ck_plus.neutral are for the full archive, which is not in {source}")
    return _small_records(source)


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file, with the landmarks and the action units that the full archive has for this frame.

    Raises:
        OSError: as read_picture, or a landmark or FACS file is malformed.
    """
    image = read_picture(source, row).image
    archive = _archive(source) if source is not None and f"{IMAGES}/" in row["source_path"] else None
    if archive is None or source is None:
        return Picture(image, {})
    frame = (source / row["source_path"]).relative_to(archive.images).with_suffix("")
    known: dict[str, Any] = {}
    if archive.landmarks and (file := archive.landmarks / f"{frame}_landmarks.txt").is_file():
        known["landmarks"] = read_points(file, 2, NUM_LANDMARKS)
    if archive.facs and (file := archive.facs / f"{frame}_facs.txt").is_file():
        known["action_units"] = _action_units(file)
    return Picture(image, known)


def form(source: Path | None, options: CkPlusOptions) -> Form:
    """The paper's sizes for the full archive; 48 / 44 for the crops of the 48x48 form."""
    return SMALL if source is None or _archive(source) is None else Form()


def _archive(source: Path) -> Archive | None:
    root = root_of(source, lambda folder: _images(folder) is not None and _emotion(folder) is not None)
    images, emotion = (None, None) if root is None else (_images(root), _emotion(root))
    if root is None or images is None or emotion is None:
        return None
    facs = first_folder(root, "FACS_labels/FACS", "FACS_labels", "FACS")
    return Archive(images, emotion, facs, first_folder(root, "Landmarks/Landmarks", "Landmarks"))


def _images(root: Path) -> Path | None:
    return first_folder(root, IMAGES, f"extended-{IMAGES}/{IMAGES}")


def _emotion(root: Path) -> Path | None:
    return first_folder(root, "Emotion_labels/Emotion", "Emotion_labels", "Emotion")


def _archive_records(source: Path, archive: Archive, options: CkPlusOptions) -> Iterator[Record]:
    labels: dict[str, Path] = {}
    for file in files_below(archive.emotion):
        if match := LABEL_NAME.match(file.name):
            if match[1].upper() in labels:
                yield Rejected(key_of(source, file), "labelled twice")
            labels.setdefault(match[1].upper(), file)
    matched = set()
    for _, files in groupby(filter(is_picture, files_below(archive.images)), key=lambda file: file.parent):
        frames = []
        for file in files:
            if FILE_NAME.match(file.name):
                frames.append(file)
            else:
                yield Rejected(key_of(source, file), ODD_NAME, file.name)
        for sequence, of_sequence in groupby(frames, key=lambda file: file.name[:8].upper()):
            matched.add(sequence)
            yield from _sequence(source, sequence, list(of_sequence), labels.get(sequence), options)
    for sequence in sorted(labels.keys() - matched):
        yield Rejected(key_of(source, labels[sequence]), "label matches no image", sequence)


def _sequence(
    source: Path, sequence: str, frames: list[Path], label: Path | None, options: CkPlusOptions
) -> Iterator[Record]:
    """The frames of one sequence. Its first frame is neutral, so it never stands for the expression."""
    expression = None if label is None else _expression(label)
    peaks = set(frames[1:][-options.frames :])
    for file in frames:
        if label is None:
            yield Rejected(key_of(source, file), "sequence without an emotion label", sequence)
        elif expression is None:
            yield Rejected(key_of(source, file), "emotion file holds no code of an expression", label.name)
        elif file in peaks:
            yield _row(source, file, expression)
        elif options.neutral and file == frames[0]:
            yield _row(source, file, "neutral")
        else:
            yield Rejected(key_of(source, file), "frame is before the peak", sequence)


def _row(source: Path, file: Path, expression: str) -> dict[str, Any]:
    subject, sequence = file.name[:4].upper(), file.name[:8].upper()
    return {
        "source_path": key_of(source, file),
        "expression": expression,
        "subject_id": subject,
        "sequence_id": sequence,
    }


def _expression(label: Path) -> str | None:
    try:
        code = float(label.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return CODES[int(code)] if code in range(len(CODES)) else None


def _action_units(file: Path) -> list[tuple[int, float]]:
    try:
        lines = [finite_numbers(line.split()) or [] for line in file.read_text("ascii").splitlines() if line.strip()]
        return sorted({int(unit): intensity or 1.0 for unit, intensity in lines}.items())
    except ValueError:
        raise OSError(f"{file.name} does not hold lines of unit and intensity") from None


def _small_records(source: Path) -> Iterator[Record]:
    root = root_of(source, lambda folder: any(_is_expression(inner) for inner in folders_in(folder)))
    if root is None:
        raise wrong_folder(source, LAYOUT)
    for file in files_below(root):
        key, folder = key_of(source, file), file.parent
        if folder == root and not is_picture(file):
            continue
        if folder == root or not _is_expression(folder):
            yield Rejected(key, "folder is not an expression", folder.name)
        elif FILE_NAME.match(file.name) is None:
            yield Rejected(key, ODD_NAME, file.name)
        else:
            yield {**_row(source, file, EXPRESSION_OF_FOLDER[folder.name.lower()]), "is_face_crop": True}


def _is_expression(folder: Path) -> bool:
    return folder.name.lower() in EXPRESSION_OF_FOLDER


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="10 folds by subject",
    picture=picture,
    options=CkPlusOptions,
    form=form,
)
