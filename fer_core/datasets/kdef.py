"""KDEF: 70 people, seven expressions, five views, two sessions: 4,900 colour pictures of 562x762, head and shoulders.

Layout, as it unpacks: `KDEF_and_AKDEF/KDEF/AF01/AF01AFFL.JPG` = session (A, B), person (F01 to F35, M01 to M35),
expression, view; the same person sat in both sessions, so AF01 and BF01 are one subject and two sequences. The folder
`AKDEF` beside it holds averaged faces (`FAFFL.JPG`): nobody's, so they are set aside. In the published set two pictures
are misnamed (AF31V.JPG, AM31H.JPG) and nine are black: they hold no face, so `prepare` sets them aside. Source:
Lundqvist, Flykt and Ohman 1998, The Karolinska Directed Emotional Faces. There is no official split; dml_net trains on
56 people and tests on 14.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fer_core.datasets.base import Adapter, Record, Rejected, sex_by_letter
from fer_core.datasets.expression_codes import EXPRESSION_OF_CODE
from fer_core.datasets.folders import key_of, pictures_of_set

LAYOUT = "a folder KDEF with folders such as AF01 and in them files such as AF01AFFL.JPG"
EXPRESSION_OF_KDEF_CODE = EXPRESSION_OF_CODE | {"AF": "fear"}  # FILE_NAME lets no FE through
YAW_OF_VIEW = {"FL": -90, "HL": -45, "S": 0, "HR": 45, "FR": 90}
FILE_NAME = re.compile(r"([AB])([FM]\d\d)(NE|HA|SU|SA|AN|DI|AF)(FL|HL|S|HR|FR)\.\w+", re.IGNORECASE)
AVERAGED = re.compile(r"[FM](NE|HA|SU|SA|AN|DI|AF?)(FL|HL|S|HR|FR)\.\w+", re.IGNORECASE)
MISNAMED = {"AF31V": "AF31SAHL", "AM31H": "AM31SUHR"}
"""Name in the published set -> the name that its folder lacks."""


def records(source: Path, options: None) -> Iterator[Record]:
    """One row a picture, from its name alone.

    Raises:
        InputError: no picture below `source` has such a name.
    """
    for path in pictures_of_set(source, lambda path: bool(FILE_NAME.fullmatch(path.name)), LAYOUT):
        key, match = key_of(source, path), FILE_NAME.fullmatch(path.name)
        if match is None:
            yield _reject(key, path)
        else:
            session, person, expression, view = (part.upper() for part in match.groups())
            yield {
                "source_path": key,
                "expression": EXPRESSION_OF_KDEF_CODE[expression],
                "subject_id": person,
                "sequence_id": session + person,
                "pose_yaw": float(YAW_OF_VIEW[view]),
                "pose_bin": YAW_OF_VIEW[view],
            }


def _reject(key: str, path: Path) -> Rejected:
    if AVERAGED.fullmatch(path.name):
        return Rejected(key, "averaged face, nobody's", path.name)
    lacking = MISNAMED.get(path.stem.upper())
    detail = f"misnamed in the published set; its folder lacks {lacking}" if lacking else path.name
    return Rejected(key, "file name is not session_person_expression_view", detail)


ADAPTER = Adapter(
    records=records,
    layout=LAYOUT,
    protocol="56 people to train, 14 others to test (dml_net); 10 folds by subject are stricter",
    group_of=sex_by_letter,
)
