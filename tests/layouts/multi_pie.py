"""Multi-PIE as it unpacks: data/session01/multiview/person/recording/camera, and the close-ups in highres."""

from pathlib import Path

from layouts.drawing import write_picture

RECORDINGS = {1: 2, 2: 3, 3: 3, 4: 3}
"""Session -> its recordings."""
CAMERAS = ("11_0", "08_0", "13_0", "05_1", "04_1", "24_0", "08_1")
FLASHES = (0, 7)
SIZE = (64, 48)


def picture(person: str, session: int, recording: int, camera: str, flash: int) -> str:
    code = camera.replace("_", "")
    name = f"{person}_{session:02d}_{recording:02d}_{code}_{flash:02d}.png"
    return f"session{session:02d}/multiview/{person}/{recording:02d}/{camera}/{name}"


def write(folder: Path) -> Path:
    source = folder / "Multi-Pie" / "data"
    for person, sessions in (("001", (1, 2, 3, 4)), ("346", (4,))):
        for session in sessions:
            for recording in range(1, RECORDINGS[session] + 1):
                for camera in CAMERAS:
                    for flash in FLASHES:
                        write_picture(source / picture(person, session, recording, camera, flash), SIZE)
    return source


def add_odd(source: Path) -> None:
    write_picture(source / "session01/highres/001/001_01_01.jpg", SIZE)
    write_picture(source / picture("001", 1, 3, "05_1", 7), SIZE)
    write_picture(source / picture("001", 1, 1, "05_9", 7), SIZE)
    write_picture(source / "crops" / "002_01_02_041_07_crop_128.png", (32, 32))
