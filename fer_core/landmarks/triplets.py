"""Similarity triplets for each part of a data set (landmark VAE, section IV-B). N samples, T triplets."""

from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.tuples import label_triplets
from fer_core.tuples.labels import Labels

NUM_TRIPLETS = {"train": 8000, "valid": 1000, "test": 1000}
"""As printed, for the 2,500 samples of BU-3DFE."""


def part_triplets(
    expression_N: Labels,
    intensity_N: np.ndarray | None,
    part_N: Sequence[str],
    seed: int,
    num_triplets: Mapping[str, int] = NUM_TRIPLETS,
) -> dict[str, np.ndarray]:
    """Part -> triplets int64 (T, 3) of rows, all three of that part; each sample of the part is in at least one.

    Args:
        expression_N, intensity_N: as in `label_triplets`; the parts are drawn by different seeds made of `seed`.
        part_N: the part of each sample; samples of other parts than those of `num_triplets` are in none.
        num_triplets: part -> T.

    Raises:
        InputError: as `label_triplets`, of a part that has too few samples for its triplets, or too many.
    """
    part_of = np.asarray(part_N)
    expression = np.asarray(expression_N)
    made = {}
    for number, (part, wanted) in enumerate(num_triplets.items()):
        rows = np.flatnonzero(part_of == part)
        intensity = None if intensity_N is None else np.asarray(intensity_N)[rows]
        own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        made[part] = rows[label_triplets(expression[rows], intensity, wanted, own_seed)]
    return made
