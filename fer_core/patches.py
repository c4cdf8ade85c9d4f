"""The on-the-fly part of augmentation: a patch from a corner or the centre, and a horizontal flip.

The only file that uses albumentations (2.0.8, its last MIT release).
"""

import numpy as np

NUM_VIEWS = 10
"""Five places, each as it is and flipped; with five offline rotations 50 pictures of each (mul_dml, section IV-A)."""


def places(face_size: int, patch: int) -> list[tuple[int, int]]:
    """Upper left corners (x, y) of the five patches, pixels: centre, then the corners."""
    far, middle = face_size - patch, (face_size - patch) // 2
    return [(middle, middle), (0, 0), (far, 0), (0, far), (far, far)]


class Patches:
    """Cuts patches out of face crops.

    Args:
        face_size: side of the crops, pixels.
        patch: side of the patches, pixels.

    Raises:
        ValueError: the patch is larger than the crop.
    """

    def __init__(self, face_size: int, patch: int) -> None:
        import albumentations as A  # takes seconds to import, so only where it is used

        if patch > face_size:
            raise ValueError(f"a patch of {patch} pixels cannot be cut from a face of {face_size}")
        cuts = [A.Crop(x, y, x + patch, y + patch, p=1) for x, y in places(face_size, patch)]
        self._views = [A.Compose(steps) for cut in cuts for steps in ([cut], [cut, A.HorizontalFlip(p=1)])]

    def central(self, images_BHWC: np.ndarray) -> np.ndarray:
        """The central patch of each picture: uint8 (B, patch, patch, C)."""
        return self._views[0](images=images_BHWC)["images"]

    def drawn(self, images_BHWC: np.ndarray, view_B: np.ndarray) -> np.ndarray:
        """The patch of each picture that `view_B` (0..NUM_VIEWS-1) names: uint8 (B, patch, patch, C)."""
        cut = {view: self._views[view](images=images_BHWC[view_B == view])["images"] for view in np.unique(view_B)}
        made = np.empty((len(images_BHWC), *next(iter(cut.values())).shape[1:]), np.uint8)
        for view, patches in cut.items():
            made[view_B == view] = patches
        return made


def draw_views(seed: int, epoch: int, rows_B: np.ndarray, flips: bool = True) -> np.ndarray:
    """The view of each row in an epoch, int64 (B,): goes by (seed, epoch, row) alone, whichever worker draws it.

    Without `flips` the same place, as it is.

    Args:
        rows_B: places in the table of the rows that are trained on, which is the same one on every worker: so each
            picture of a sample, turned by its own angle, has a view of its own.
    """
    keys = np.asarray(rows_B, dtype=np.uint64) + np.uint64(epoch * 0x9E3779B97F4A7C15 % 2**64)
    keys = _mixed(_mixed(keys) ^ np.uint64(seed))
    views = (keys % np.uint64(NUM_VIEWS)).astype(np.int64)
    return views if flips else views - views % 2


def _mixed(keys: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: neighbouring keys give unrelated numbers. Wraps around by design."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
