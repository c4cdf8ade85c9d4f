"""MMI as it downloads: Sessions/<number> with a video, its XML files, and the frames that people extract."""

from pathlib import Path

from layouts.drawing import write_picture

SESSIONS = {
    "1767": ("S001-101", 1, 7),
    "1768": ("S001-102", 2, 8),
    "1785": ("S002-101", 3, 3),
    "1786": ("S002-102", 4, 2),
    "1800": ("S053-001", 5, 5),
    "1801": ("S053-002", 6, 5),
}
"""Folder -> sequence, code of the expression, frames."""
SIZE = (72, 58)


def write_session(source: Path, number: str, sequence: str, code: int | None, frames: int, view: int = 0) -> Path:
    folder = source / number
    for frame in range(1, frames + 1):
        write_picture(folder / sequence / f"{frame:04d}.png", SIZE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{sequence}.avi").write_bytes(b"RIFF....AVI ")
    emotion = "" if code is None else f'  <Metatag Name="Emotion" Value="{code}"/>\r\n'
    head = '<?xml version="1.0" encoding="utf-8"?>\r\n<Video>\r\n  <Metatag Name="Notes" Value=""/>\r\n'
    (folder / f"{sequence}.xml").write_text(f"{head}{emotion}</Video>\r\n")
    (folder / f"{sequence}-oao_aucs.xml").write_text('<Annotation><ActionUnit Number="12"/></Annotation>')
    (folder / "session.xml").write_text(
        f'<session sessionId="{number}"><subject id="1"/><track view="{view}" filename="{sequence}.avi">'
        f'<annotation filename="{sequence}-oao_aucs.xml"/></track></session>'
    )
    return folder


def write(folder: Path) -> Path:
    source = folder / "Sessions"
    for number, (sequence, code, frames) in SESSIONS.items():
        write_session(source, number, sequence, code, frames)
    return source
