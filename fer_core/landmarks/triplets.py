"""People's similarity triplets, from the directory that `prepare --tuples human` makes. N faces, T triplets."""

from pathlib import Path

import numpy as np

from fer_core.directories import Manifest, read_manifest, read_tables
from fer_core.errors import InputError
from fer_core.tuple_shards import TRIPLET
from fer_core.tuples import HumanTriplets


def catalog_of(faces: Path) -> str:
    """Digest of the catalog that faces were cropped from; of a published copy, that of its own content."""
    manifest = read_manifest(faces)
    return manifest.inputs.get("catalog", manifest.content)


def digest_of_triplets(folder: Path, faces: Path) -> str:
    """Digest of the triplets in `folder`, which must be of the pictures of `faces`, however these were cropped.

    Raises:
        InputError: `folder` holds no triplets of people, or those of another data set or of another state of it.
    """
    manifest = _human(folder)
    if manifest.inputs["catalog"] != catalog_of(faces):
        raise InputError(
            f"{folder} holds triplets of other pictures than {faces.name}: of another data set or other options of it, "
            "or from before its source changed; run `prepare --tuples human` with this data set and these options"
        )
    return manifest.content


def read_triplets(folder: Path, name_N: np.ndarray) -> HumanTriplets:
    """The triplets whose three faces are among these, as their positions, with the vote differences.

    Args:
        name_N: sample ids, each once.

    Raises:
        InputError: `folder` holds no triplets of people, or a file of it is missing or damaged.
    """
    _human(folder)
    table = read_tables(folder, "epoch-", [*TRIPLET, "weight"])
    place_of = {name: place for place, name in enumerate(name_N.tolist())}
    columns = [[place_of.get(name, -1) for name in table[column].to_pylist()] for column in TRIPLET]
    triplets_T3 = np.array(columns, dtype=np.int64).T
    kept = (triplets_T3 >= 0).all(axis=1)
    return HumanTriplets(triplets_T3[kept], table["weight"].to_numpy()[kept])


def _human(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.kind != "tuples" or manifest.config.get("tuples") != "human":
        raise InputError(f"{folder} holds no triplets that people judged; make them with `prepare --tuples human`")
    return manifest
