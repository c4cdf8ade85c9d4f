"""JAFFE: 213 posed grey 256x256 frontal pictures of ten Japanese women, seven expressions.

Layout, as it unpacks: one folder of `KA.AN1.39.tiff` = model, expression with the number of the take, number of the
picture (1 to 219; six numbers are not given out, and some takes are missing, such as KM.DI2), beside a README and
tables of semantic ratings, which are not read: the expression is the one that was posed. Copies as jpg or png with the
same names are taken too. Source: Lyons et al. 1998, Coding Facial Expressions with Gabor Wavelets. There is no official
split; the custom is to leave one model out, and sgm tests on all of it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fer_core.datasets.base import Adapter, Record, Rejected
from fer_core.datasets.expression_codes import EXPRESSION_OF_CODE
from fer_core.datasets.folders import key_of, pictures_of_set

LAYOUT = "a folder jaffe with files such as KA.AN1.39.tiff (model, expression and take, number)"
FILE_NAME = re.compile(r"(KA|KL|KM|KR|MK|NA|NM|TM|UY|YM)\.(NE|HA|SU|SA|AN|DI|FE)(\d)\.(\d{1,3})\.\w+", re.IGNORECASE)


def records(source: Path, options: None) -> Iterator[Record]:
    """One row a picture, from its name alone; a picture number counts once.

    Raises:
        InputError: no picture below `source` has such a name.
    """
    numbers: set[int] = set()
    for path in pictures_of_set(source, lambda path: bool(FILE_NAME.fullmatch(path.name)), LAYOUT):
        key, match = key_of(source, path), FILE_NAME.fullmatch(path.name)
        if match is None:
            yield Rejected(key, "file name is not model_expression_number", path.name)
        elif int(match[4]) in numbers:
            yield Rejected(key, "picture occurs twice", f"number {match[4]}")
        else:
            numbers.add(int(match[4]))
            yield {
                "source_path": key,
                "expression": EXPRESSION_OF_CODE[match[2].upper()],
                "subject_id": match[1].upper(),
                "pose_yaw": 0.0,
                "pose_bin": 0,
            }


ADAPTER = Adapter(records=records, layout=LAYOUT, protocol="one model left out at a time; sgm tests on all pictures")
