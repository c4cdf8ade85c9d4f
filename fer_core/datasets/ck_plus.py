"""CK+ in its 48x48 form: the last three frames of 327 posed sequences of 118 people, grey, cropped to the face.

Layout: one folder an expression, `S010_004_00000017.png` = subject, sequence, frame. Source: Lucey et al. 2010, The
Extended Cohn-Kanade Dataset. There is no official split; the protocol is 10-fold by subject (mul_dml, section IV).
"""

import re
from pathlib import Path

from fer_core.datasets.base import Adapter, Rejected, Scan, describe_folder, require_folder
from fer_core.errors import InputError

LAYOUT = "folders anger, contempt, disgust, fear, happy, sadness, surprise with files such as S010_004_00000017.png"
EXPRESSION_OF_FOLDER = {
    "anger": "anger",
    "contempt": "contempt",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sadness": "sadness",
    "surprise": "surprise",
}
FILE_NAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})\.(png|jpg|jpeg)$", re.IGNORECASE)


def scan(source: Path | str, options: None = None) -> Scan:
    """List the pictures of the seven expression folders, in `source` or in its folder `CK+48`."""
    source = Path(source)
    require_folder(source, "ck_plus", LAYOUT)
    root = source / "CK+48" if (source / "CK+48").is_dir() else source
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    if not any(folder.name.lower() in EXPRESSION_OF_FOLDER for folder in folders):
        raise InputError(f"--source {source} is not CK+ 48x48: expected {LAYOUT}; found {describe_folder(root)}")
    rows, rejected = [], []
    for folder in folders:
        expression = EXPRESSION_OF_FOLDER.get(folder.name.lower())
        for file in sorted(path for path in folder.iterdir() if not path.is_dir()):
            key = file.relative_to(source).as_posix()
            match = FILE_NAME.match(file.name)
            if expression is None:
                rejected.append(Rejected(key, "folder is not an expression", folder.name))
            elif match is None:
                rejected.append(Rejected(key, "file name is not subject_sequence_frame", file.name))
            else:
                subject, sequence = match[1].upper(), match[2]
                rows.append(
                    {
                        "source_path": key,
                        "expression": expression,
                        "subject_id": subject,
                        "sequence_id": f"{subject}_{sequence}",
                    }
                )
    return Scan(rows, rejected)


ADAPTER = Adapter(scan=scan, layout=LAYOUT, face_size=48, patch=44, is_face_crop=True)
