"""CK+: the full archive as its four zip files unpack, and the 48x48 form."""

from pathlib import Path

from layouts.drawing import write_picture

SEQUENCES = {
    ("S005", "001"): (3, 6),
    ("S010", "002"): (7, 5),
    ("S010", "004"): (1, 4),
    ("S011", "001"): (None, 4),
    ("S052", "004"): (6, 5),
    ("S138", "008"): (2, 5),
    ("S139", "002"): (4, 5),
    ("S506", "006"): (5, 5),
}
"""(subject, sequence) -> (emotion code or None, frames)."""
UNITS = {("S005", "001"): [(17, 3), (9, 4)], ("S010", "002"): [(1, 0), (2, 5), (25, 0)], ("S011", "001"): [(6, 0)]}
SIZE = (64, 49)


def write(folder: Path) -> Path:
    source = folder / "CK+"
    for (subject, sequence), (code, num_frames) in SEQUENCES.items():
        inner = f"{subject}/{sequence}"
        for frame in range(1, num_frames + 1):
            name = f"{subject}_{sequence}_{frame:08d}"
            write_picture(source / "cohn-kanade-images" / inner / f"{name}.png", SIZE, grey=subject != "S506")
            write_text(source / f"Landmarks/{inner}/{name}_landmarks.txt", points(frame))
        write_text(source / "cohn-kanade-images" / subject / ".DS_Store", "")
        (source / "Emotion" / inner).mkdir(parents=True)  # unlabelled sequences have an empty folder
        if code is not None:
            write_text(source / f"Emotion/{inner}/{name}_emotion.txt", f"   {code:.7e}\n")
        units = UNITS.get((subject, sequence), [(25, 0)])
        lines = "".join(f"   {unit:.7e}   {intensity:.7e}\n" for unit, intensity in units)
        write_text(source / f"FACS/{inner}/{name}_facs.txt", lines)
    return source


def points(frame: int) -> str:
    return "".join(f"   {10 + at:.7e}   {20 + frame:.7e}\n" for at in range(68))


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
