"""Frames of videos at chosen times, one after another."""

from pathlib import Path

import cv2
import numpy as np

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm"})


def is_video(path: Path) -> bool:
    """Whether a file is a video by its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def times_in(file: Path, every: float) -> list[float]:
    """The seconds of the frames that are `every` seconds apart, from the first; none where it cannot be read."""
    opened = cv2.VideoCapture(str(file))
    try:
        rate, count = opened.get(cv2.CAP_PROP_FPS), int(opened.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        opened.release()
    return [frame / rate for frame in range(0, count, max(1, round(every * rate)))] if rate > 0 else []


class VideoReader:
    """Reads frames of one video at a time; going forward costs the frames between, going back begins anew."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._opened = cv2.VideoCapture()
        self._next = 0

    def frame(self, file: Path, seconds: float) -> np.ndarray | None:
        """The frame nearest to a time: uint8 (H, W, 3) RGB; None where it cannot be decoded."""
        wanted = round(seconds * self._opened.get(cv2.CAP_PROP_FPS)) if file == self._file else -1
        if wanted < self._next:
            self._opened.release()
            self._opened, self._file, self._next = cv2.VideoCapture(str(file)), file, 0
            wanted = round(seconds * self._opened.get(cv2.CAP_PROP_FPS))
        while self._next < wanted and self._opened.grab():
            self._next += 1
        is_there, image = self._opened.read()
        self._next += 1
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if is_there else None
