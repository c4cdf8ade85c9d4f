"""BU-3DFE: 3-D scans of 100 people (56 women, 44 men): neutral, and six expressions in four degrees, 25 each.

Layout, as it unpacks (in one folder or several): `F0001/F0001_AN01WH_F2D.bmp` = person, expression, degree (01 weakest
to 04; neutral is NE00), ancestry (WH, BL, AE, AM, IN, LA), kind. F2D is a frontal picture of 512x512, F3D the scan's
texture: two oblique views in one sheet, of which each file has its own arrangement. `F0001_AN01WH_F3D.bnd` holds the 83
landmarks of the scan, a line each: index of the vertex, x, y, z in millimetres. The scans (.wrl) and raw files are not
read, so the nine yaws that papers draw from the scans are not here: draw them, and ingest them as `image_folder`.
Source: Yin et al. 2006, A 3D Facial Expression Database for Facial Behavior Research. There is no official split; the
papers split by person: 80/10/10 (landmark_vae), 70 to train (dml_net), all to test (sgm).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fer_core.datasets.base import Adapter, Picture, Record, Rejected, read_picture, sex_by_letter
from fer_core.datasets.expression_codes import EXPRESSION_OF_CODE
from fer_core.datasets.folders import key_of, pictures_of_set
from fer_core.datasets.points import read_points
from fer_core.options.base import Frozen

LAYOUT = "folders such as F0001 with files such as F0001_AN01WH_F2D.bmp and F0001_AN01WH_F3D.bnd"
FILE_NAME = re.compile(
    r"((?P<person>[FM]\d{4})_(?P<code>NE|HA|SU|SA|AN|DI|FE)(?P<degree>\d\d)[A-Z]{2})_(?P<view>F2D|F3D)\.\w+",
    re.IGNORECASE,
)
NUM_POINTS, NUM_DEGREES = 83, 4


class Bu3dfeOptions(Frozen):
    """Which pictures are taken."""

    views: tuple[Literal["F2D", "F3D"], ...] = Field(
        ("F2D",), min_length=1, description="F2D: frontal pictures; F3D: texture sheets with two oblique views in one"
    )


def records(source: Path, options: Bu3dfeOptions) -> Iterator[Record]:
    """One row a picture, from its name alone; the landmarks come with the picture.

    Raises:
        InputError: no picture below `source` has such a name.
    """
    for path in pictures_of_set(source, lambda path: bool(FILE_NAME.fullmatch(path.name)), LAYOUT):
        key, match = key_of(source, path), FILE_NAME.fullmatch(path.name)
        if match is None:
            yield Rejected(key, "file name is not person_expression_view", path.name)
            continue
        expression, degree = EXPRESSION_OF_CODE[match["code"].upper()], int(match["degree"])
        is_frontal = match["view"].upper() == "F2D"
        if (expression == "neutral") != (degree == 0) or degree > NUM_DEGREES:
            yield Rejected(key, "degree is not 1 to 4, or 0 of neutral", match["code"] + match["degree"])
        elif match["view"].upper() not in options.views:
            yield Rejected(key, "left out by an option", f"bu3dfe.views is {' '.join(options.views)}")
        else:
            yield {
                "source_path": key,
                "expression": expression,
                "subject_id": match["person"].upper(),
                "intensity": degree / NUM_DEGREES,
                "pose_yaw": 0.0 if is_frontal else None,
                "pose_bin": 0 if is_frontal else None,
            }


def picture(source: Path | None, row: dict[str, Any]) -> Picture:
    """The file, and as `landmarks_3d` the 83 points of its scan in millimetres, where the .bnd file lies beside it.

    Raises:
        OSError: the .bnd file is malformed, or as read_picture.
    """
    found = read_picture(source, row)
    assert source is not None
    path = source / row["source_path"]
    scan = path.stem.rsplit("_", 1)[0]
    names = (f"{scan}{kind}{suffix}" for kind in ("_F3D", "") for suffix in (".bnd", ".BND"))
    file = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    return Picture(found.image, {"landmarks_3d": read_points(file, 3, NUM_POINTS)} if file else {})


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="split by person: 80/10/10 (landmark_vae), 70/30 (dml_net), or all to test (sgm)",
    picture=picture,
    options=Bu3dfeOptions,
    group_of=sex_by_letter,
)
