"""CMU Multi-PIE: 337 people in up to four sessions, 15 cameras, 19 flashes, six expressions: over 750,000 pictures.

Layout, as it unpacks: `data/session01/multiview/001/01/05_1/001_01_01_051_07.png` = person, session, recording, camera,
flash (00 is none). The expression is that of the session's recording: session 1 neutral, smile; 2 neutral, surprise,
squint; 3 neutral, smile, disgust; 4 neutral, neutral, scream. Smile is taken for happiness. Cameras 08_1 and 19_1 hang
above the head: their yaw is left open. The close-ups in `highres` have no camera in their names and are set aside.
Crops that keep the name and end in `_crop_128` are taken as faces. Camera 24_0 sees the right profile, 11_0 the left
one (the directions as in the protocols of bob.db.multipie). Source: Gross et al. 2010, Multi-PIE. There is no
official split; dml_net takes five yaws within 30 degrees, about 293 people to train and the others to test.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fer_core.datasets.base import Adapter, Record, Rejected
from fer_core.datasets.folders import key_of, pictures_of_set
from fer_core.options.base import Frozen

LAYOUT = "folders session01 to session04 with files such as multiview/001/01/05_1/001_01_01_051_07.png"
EXPRESSION_OF_RECORDING = {
    ("01", "01"): "neutral",
    ("01", "02"): "happiness",
    ("02", "01"): "neutral",
    ("02", "02"): "surprise",
    ("02", "03"): "squint",
    ("03", "01"): "neutral",
    ("03", "02"): "happiness",
    ("03", "03"): "disgust",
    ("04", "01"): "neutral",
    ("04", "02"): "neutral",
    ("04", "03"): "scream",
}
YAW_OF_CAMERA = {
    "110": -90,
    "120": -75,
    "090": -60,
    "080": -45,
    "130": -30,
    "140": -15,
    "051": 0,
    "050": 15,
    "041": 30,
    "190": 45,
    "200": 60,
    "010": 75,
    "240": 90,
    "081": None,
    "191": None,
}
FILE_NAME = re.compile(r"(\d{3})_(\d\d)_(\d\d)_(\d{3})_(\d\d)(_crop_\d+)?\.\w+", re.IGNORECASE)


class MultiPieOptions(Frozen):
    """Which pictures are taken."""

    illuminations: tuple[Annotated[int, Field(ge=0, le=19)], ...] = Field(
        (), description="numbers of the flashes that are taken, 0 is none; unset: all"
    )


def records(source: Path, options: MultiPieOptions) -> Iterator[Record]:
    """One row a picture, from its name alone.

    Raises:
        InputError: no picture below `source` has such a name.
    """
    for path in pictures_of_set(source, lambda path: bool(FILE_NAME.fullmatch(path.name)), LAYOUT):
        yield _record(key_of(source, path), path.name, options)


def _record(key: str, name: str, options: MultiPieOptions) -> Record:
    match = FILE_NAME.fullmatch(name)
    if match is None:
        return Rejected(key, "file name is not person_session_recording_camera_flash", name)
    person, session, recording, camera, flash, crop = match.groups()
    if (session, recording) not in EXPRESSION_OF_RECORDING:
        return Rejected(key, "session has no such recording", f"session {session}, recording {recording}")
    if camera not in YAW_OF_CAMERA:
        return Rejected(key, "camera is unknown", camera)
    if options.illuminations and int(flash) not in options.illuminations:
        return Rejected(key, "left out by an option", f"flash {flash} is not in multi_pie.illuminations")
    yaw = YAW_OF_CAMERA[camera]
    return {
        "source_path": key,
        "expression": EXPRESSION_OF_RECORDING[session, recording],
        "subject_id": person,
        "sequence_id": f"{person}_{session}_{recording}",
        "pose_yaw": None if yaw is None else float(yaw),
        "pose_bin": yaw,
        "is_face_crop": crop is not None,
    }


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="split by person; dml_net takes the cameras within 30 degrees",
    options=MultiPieOptions,
)
