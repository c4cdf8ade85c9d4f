"""The faces that a model was trained on, to be looked at: those of its level, as long as their directory stands."""

from pathlib import Path
from threading import Lock

import numpy as np

from fer_core.directories import read_columns, read_manifest
from fer_core.faces.warp import encode
from fer_core.levels import Level
from fer_core.reading import open_pictures, without_margin


class TrainingFaces:
    """Face crops by their place in a level; of several threads that ask, one is answered at a time.

    Args:
        directory: the finished faces directory that the model was trained on; it may hold more.
        level: whose rows are asked for.

    Raises:
        InputError: a shard or an index is missing or damaged.
    """

    def __init__(self, directory: Path, level: Level) -> None:
        rows = read_columns(directory, "part-", ["sample_id", "rotation"])
        upright = np.flatnonzero(rows["rotation"].fill_null(0).to_numpy() == 0)
        place_of = dict(zip(rows["sample_id"].take(upright).to_pylist(), upright.tolist(), strict=True))
        self._place_N = [place_of.get(name) for name in level.sample_id.tolist()]
        self._pictures, self._margin = open_pictures(directory), read_manifest(directory).config.get("margin", 0)
        self._lock = Lock()

    def crop(self, row: int) -> np.ndarray | None:
        """The upright crop of a row of the level, uint8 (S, S, 3) RGB; None where the directory no longer holds it.

        Raises:
            InputError: its bytes are not those that were written.
        """
        place = self._place_N[row]
        if place is None:
            return None
        with self._lock:
            return without_margin(self._pictures.images([place]), self._margin)[0]

    def encoded(self, row: int) -> bytes | None:
        """The same as PNG or JPEG.

        Raises:
            InputError: as crop.
        """
        crop = self.crop(row)
        return None if crop is None else encode(crop)
