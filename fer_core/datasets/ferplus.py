"""FER+: the 48x48 grey faces of FER2013 with ten crowd votes each (Barsoum et al. 2016).

Layout: `data/FER2013Train|Valid|Test/ferNNNNNNN.png`, each folder with a headless `label.csv` of file name, face box,
then ten votes: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face. The join is
on the file name. The official split is kept. There are no subjects.
"""

import csv
from pathlib import Path
from typing import Any

from fer_core.datasets.base import Adapter, Rejected, Scan, describe_folder, require_folder
from fer_core.errors import InputError
from fer_core.vocabulary import EXPRESSIONS

LAYOUT = "data/FER2013Train, data/FER2013Valid and data/FER2013Test, each with ferNNNNNNN.png files and label.csv"
SPLIT_OF_FOLDER = {"FER2013Train": "train", "FER2013Valid": "valid", "FER2013Test": "test"}
NUM_VOTES = 10


def scan(source: Path | str, options: None = None) -> Scan:
    """List the pictures of the three official parts with their votes; the label is the majority of the votes.

    A picture is set aside when the most votes are for 'unknown' or 'not a face', when two expressions share the
    first place, when the label file names it and it is not there, or the other way round.
    """
    source = Path(source)
    require_folder(source, "ferplus", LAYOUT)
    root = next((path for path in (source, source / "data", source / "FERPlus" / "data") if _has_parts(path)), None)
    if root is None:
        raise InputError(f"--source {source} is not FER+: expected {LAYOUT}; found {describe_folder(source)}")
    rows: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    for folder, split in SPLIT_OF_FOLDER.items():
        if (root / folder).is_dir():
            _scan_part(source, root / folder, split, rows, rejected)
    return Scan(rows, rejected)


def _has_parts(path: Path) -> bool:
    return any((path / folder / "label.csv").is_file() for folder in SPLIT_OF_FOLDER)


def _scan_part(source: Path, folder: Path, split: str, rows: list[dict[str, Any]], rejected: list[Rejected]) -> None:
    label_file = folder / "label.csv"
    if not label_file.is_file():
        raise InputError(f"{folder} has no label.csv; ferplus expects {LAYOUT}")
    present = {path.name for path in folder.iterdir() if path.suffix.lower() == ".png"}
    labelled: set[str] = set()
    for number, cells in enumerate(csv.reader(label_file.read_text("utf-8", "replace").splitlines()), start=1):
        if not cells:
            continue
        key = f"{folder.relative_to(source).as_posix()}/{cells[0]}"
        votes = _votes(cells)
        if votes is None:
            rejected.append(Rejected(key, "label line is not a name, a box and ten votes", f"line {number}"))
        elif cells[0] in labelled:
            rejected.append(Rejected(key, "labelled twice", f"line {number}"))
        elif cells[0] not in present:
            rejected.append(Rejected(key, "label matches no image", f"line {number}"))
        else:
            reason = _why_not(votes)
            if reason:
                rejected.append(Rejected(key, reason, " ".join(map(str, votes))))
            else:
                label = EXPRESSIONS[max(range(len(EXPRESSIONS)), key=votes.__getitem__)]
                known = {"expression": label, "expression_votes": [float(vote) for vote in votes[:8]], "split": split}
                rows.append({"source_path": key, **known})
        labelled.add(cells[0])
    for name in sorted(present - labelled):
        rejected.append(Rejected((folder / name).relative_to(source).as_posix(), "image without a label"))


def _votes(cells: list[str]) -> list[int] | None:
    try:
        votes = [int(cell) for cell in cells[2:]]
    except ValueError:
        return None
    return votes if len(votes) == NUM_VOTES and min(votes) >= 0 else None


def _why_not(votes: list[int]) -> str | None:
    """Why a picture has no majority expression, or None."""
    most = max(votes)
    if most == 0:
        return "no votes"
    first = [index for index, vote in enumerate(votes) if vote == most]
    if all(index >= len(EXPRESSIONS) for index in first):
        return "most votes for unknown or not a face"
    return "two labels share the most votes" if len(first) > 1 else None


ADAPTER = Adapter(scan=scan, layout=LAYOUT, face_size=48, patch=44, is_face_crop=True)
