"""Pictures for the tiny copies of the official layouts."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_picture(path: Path, size: tuple[int, int], grey: bool = False, level: int | None = None) -> None:
    """A picture of (width, height): noise that is the same for the same name, or one level; encoded by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if grey else (size[1], size[0], 3)
    noise = np.random.default_rng(list(path.name.encode())).integers(60, 200, shape, dtype=np.uint8)
    Image.fromarray(noise if level is None else np.full(shape, level, np.uint8)).save(path)
