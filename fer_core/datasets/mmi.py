"""MMI: videos and stills of about 75 people who make single facial movements and the six basic expressions.

Layout, as it unpacks: `Sessions/1767/S001-101.avi` (subject, session), with `S001-101.xml`, whose
`<Metatag Name="Emotion" Value="4"/>` is the expression (1 anger, 2 disgust, 3 fear, 4 happiness, 5 sadness,
6 surprise), and `session.xml`, whose `<track view="0">` is the view (0 frontal, 1 profile, 2 both in one picture). Most
sessions are coded for action units alone and have no such tag; their `-oao_aucs.xml` are not read. This is how public
readers of the set describe it; it has no published specification. Videos are not read: extract their frames into a
folder of the video's name, `ffmpeg -i S001-101.avi S001-101/%04d.png`; frames beside the video whose names begin with
its name (`S001-101_0012.png`) are taken too. Source: Pantic et al. 2005, Web-based Database for Facial Expression
Analysis. There is no official split; the papers take 208 frontal sequences of 31 people, three frames from the middle,
where the expression is at its peak, in 10 folds by subject (mul_dml); which 208 is not published: every frontal
sequence with one of the six labels is taken.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from pydantic import Field

from fer_core.datasets.base import Adapter, Record, Rejected
from fer_core.datasets.folders import files_in, folders_below, is_picture, key_of, wrong_folder
from fer_core.options.base import Frozen

LAYOUT = "a folder Sessions with folders such as 1767, in each S001-101.avi, S001-101.xml, session.xml and the frames"
EXPRESSION_OF_CODE = {
    "1": "anger",
    "2": "disgust",
    "3": "fear",
    "4": "happiness",
    "5": "sadness",
    "6": "surprise",
}
VIDEO_SUFFIXES = frozenset({".avi", ".mpg", ".mpeg", ".mp4", ".mov", ".mkv"})
SEQUENCE = re.compile(r"(S\d{3})-(\d{3})(?!\d)", re.IGNORECASE)
FRONTAL = "0"


class MmiOptions(Frozen):
    """Which frames are taken."""

    middle_frames: int = Field(3, ge=0, description="frames from the middle of each sequence; 0 takes all")


def records(source: Path, options: MmiOptions) -> Iterator[Record]:
    """One row a frame of the middle of each labelled frontal sequence.

    Raises:
        InputError: no file below `source` is named as a sequence.
    """
    if not any(_sequence_of(path) for folder in folders_below(source) for path in files_in(folder)):
        raise wrong_folder(source, LAYOUT)
    for folder in folders_below(source):
        files = files_in(folder)
        for path in files:
            if path.suffix.lower() in VIDEO_SUFFIXES and not _is_extracted(path, files):
                way_out = f"extract its frames: ffmpeg -i {path.name} {path.stem}/%04d.png"
                yield Rejected(key_of(source, path), "is a video", way_out)
        pictures = [path for path in files if is_picture(path)]
        for sequence, frames in groupby(sorted(pictures, key=_place), key=_sequence_of):
            yield from _frames(source, sequence, list(frames), options.middle_frames)


def _sequence_of(path: Path) -> str | None:
    """The sequence that a file is of, by its own name or by its folder's."""
    match = SEQUENCE.match(path.name) or SEQUENCE.fullmatch(path.parent.name)
    return match[0].upper() if match else None


def _place(path: Path) -> tuple[str, int, str]:
    numbers = re.findall(r"\d+", path.stem)
    return _sequence_of(path) or "", int(numbers[-1]) if numbers else 0, path.name


def _is_extracted(video: Path, beside: list[Path]) -> bool:
    folder = video.with_suffix("")
    own = [path for path in beside if path.stem.startswith(video.stem)]
    return any(map(is_picture, own)) or (folder.is_dir() and any(map(is_picture, files_in(folder))))


def _frames(source: Path, sequence: str | None, frames: list[Path], middle: int) -> Iterator[Record]:
    taken, common = range(len(frames)), _common(sequence, frames[0].parent)
    if middle and len(frames) > middle:
        first = (len(frames) - middle) // 2
        taken = range(first, first + middle)
    for number, path in enumerate(frames):
        key = key_of(source, path)
        if isinstance(common, tuple):
            yield Rejected(key, *common)
        elif number not in taken:
            yield Rejected(key, "left out by an option", f"mmi.middle_frames is {middle} of {len(frames)}")
        else:
            yield {"source_path": key, **common}


def _common(sequence: str | None, folder: Path) -> dict[str, object] | tuple[str, str]:
    """What the frames of a sequence share, or (reason, detail) why they cannot be taken."""
    if sequence is None:
        return "file name is not subject-sequence", folder.name
    code = _attribute(folder, f"{sequence}.xml", "metatag", "value", name="emotion")
    view = _attribute(folder, "session.xml", "track", "view")
    if code is None:
        return "sequence has no expression label", f"no Emotion in {sequence}.xml"
    if code not in EXPRESSION_OF_CODE:
        return "label is not an expression", code
    if view not in (None, FRONTAL):
        return "view is not frontal", f"view {view}"
    frontal = {"pose_yaw": 0.0, "pose_bin": 0} if view == FRONTAL else {}
    known = {"expression": EXPRESSION_OF_CODE[code], "subject_id": sequence[:4], "sequence_id": sequence}
    return {**known, **frontal}


def _attribute(folder: Path, file_name: str, tag: str, attribute: str, name: str | None = None) -> str | None:
    """An attribute of the first such element of an XML file in `folder` or the one above; None where there is none."""
    file = next((path for path in (folder / file_name, folder.parent / file_name) if path.is_file()), None)
    try:
        elements = ElementTree.parse(file).iter() if file else ()
    except (ElementTree.ParseError, OSError, ValueError, LookupError):  # the last two: unknown encodings
        return None
    for element in elements:
        values = {key.lower(): value.strip() for key, value in element.attrib.items()}
        is_named = name is None or values.get("name", "").lower() == name
        if element.tag.split("}")[-1].lower() == tag and is_named:
            return values.get(attribute)
    return None


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="three middle frames of each labelled frontal sequence, 10 folds by subject",
    options=MmiOptions,
)
