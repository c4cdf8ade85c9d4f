"""People's own pictures in folders of expressions, with a table of what more is known."""

from pathlib import Path

from layouts.drawing import write_picture

FOLDERS = ("Happy", "sad", "ANGRY", "surprised", "fear", "disgust", "Neutral", "contempt", "squint", "scream")
TABLE = """\ufeffPath , Subject,sequence,Pose,split,intensity,expression
Happy/0.JPG,anna,party,-45,train,0.5,
"sad/1.png", ben ,, 30.5 ,TEST,1,
ANGRY\\0.jpg,,,,,,surprise
ANGRY/1.png,,,,,,
"""


def write(folder: Path) -> Path:
    """Two pictures in each of ten folders, and a table written by a spreadsheet."""
    source = folder / "mine"
    for name in FOLDERS:
        write_picture(source / name / ("0.JPG" if name == "Happy" else "0.jpg"), (40, 44))
        write_picture(source / name / "1.png", (40, 44), grey=True)
    (source / "labels.csv").write_text(TABLE, newline="\r\n")
    return source


def write_parts(folder: Path) -> Path:
    """Parts with folders of expressions in them, as FER2013 is often passed on."""
    source = folder / "parts"
    for part in ("Training", "validation", "test"):
        for name in ("happy", "neutral"):
            write_picture(source / part / name / "anna" / f"{part}.bmp", (40, 44))
    return source
