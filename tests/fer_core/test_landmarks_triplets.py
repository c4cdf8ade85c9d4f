"""People's triplets beside the faces they are of."""

import numpy as np
import pytest
from landmark_fixtures import landmark_rows, write_faces, write_human_triplets

from fer_core.directories import Directory
from fer_core.errors import InputError
from fer_core.landmarks.triplets import digest_of_triplets, read_triplets

ASKED = [["a", "b", "c"], ["c", "a", "d"], ["d", "c", "b"]]


def test_triplets_whose_three_faces_are_among_the_rows(tmp_path):
    folder = write_human_triplets(tmp_path, ASKED, [5, 3, 1])
    made = read_triplets(folder, np.array(["d", "x", "c", "a"]))
    assert (made.triplets_V3.tolist(), made.weight_V.tolist()) == ([[2, 3, 0]], [3])
    made = read_triplets(folder, np.array(["a", "b", "c", "d"]))
    assert (made.triplets_V3.tolist(), made.weight_V.tolist()) == ([[0, 1, 2], [2, 0, 3], [3, 2, 1]], [5, 3, 1])
    none = read_triplets(folder, np.array(["a", "b"]))
    assert (none.triplets_V3.shape, none.weight_V.shape) == ((0, 3), (0,))


def test_triplets_go_by_their_content_whatever_the_crops(tmp_path):
    rows = landmark_rows(people=("S01", "S02"))
    faces = [write_faces(tmp_path, rows[at:], name=f"faces{at}") for at in (0, 1)]
    folders = [write_human_triplets(tmp_path / name, ASKED, weights) for name, weights in WEIGHTS.items()]
    first, again, other = (digest_of_triplets(folder, faces[0]) for folder in folders)
    assert first == again != other
    assert digest_of_triplets(folders[0], faces[1]) == first


WEIGHTS = {"first": [5, 3, 1], "again": [5, 3, 1], "other": [5, 3, 3]}


def test_triplets_of_another_catalog_are_refused(tmp_path):
    faces = write_faces(tmp_path, landmark_rows(people=("S01",)), catalog="of today")
    folder = write_human_triplets(tmp_path, ASKED, [5, 3, 1], catalog="of yesterday")
    with pytest.raises(
        InputError, match=r"human-.* holds triplets of other pictures than faces-.*: of another data set"
    ):
        digest_of_triplets(folder, faces)


def test_what_is_no_directory_of_peoples_triplets_is_refused(tmp_path):
    faces = write_faces(tmp_path, landmark_rows(people=("S01",)))
    for folder in (faces, drawn(tmp_path)):
        with pytest.raises(InputError, match="holds no triplets that people judged; make them with `prepare --tuples"):
            read_triplets(folder, np.array(["a"]))
        with pytest.raises(InputError, match="holds no triplets that people judged"):
            digest_of_triplets(folder, faces)
    with pytest.raises(InputError, match=r"has no manifest\.json: it is unfinished or not a data set directory"):
        digest_of_triplets(tmp_path, faces)


def drawn(root):
    """Triplets by labels."""
    made = Directory(root, "drawn", kind="tuples", config={"tuples": "similarity"}, inputs={}, code="test")
    made.start()
    made.finish([], {})
    return made.path


def test_a_shard_that_was_changed_is_refused(tmp_path):
    folder = write_human_triplets(tmp_path, ASKED, [5, 3, 1])
    (shard,) = folder.glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is missing or damaged"):
        read_triplets(folder, np.array(["a"]))
