"""Long curves, of which the running mean is read."""

import numpy as np

MANY_ROWS = 200
"""A curve of more values is drawn pale, with its running mean."""


def running_mean(y: np.ndarray, width: int) -> np.ndarray:
    """Mean of the finite ones among the last `width` values; NaN where there is none."""
    finite = np.isfinite(y)
    total, count = (np.cumsum(np.concatenate([np.zeros(width), part])) for part in (np.where(finite, y, 0), finite))
    count_in = count[width:] - count[:-width]
    return np.where(count_in > 0, (total[width:] - total[:-width]) / np.maximum(count_in, 1), np.nan)
