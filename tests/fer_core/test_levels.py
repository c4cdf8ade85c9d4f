import numpy as np
import pytest
from model_fixtures import (  # noqa: F401
    CLASSES,
    faces_path,
    finished,
    make_run,
    one_thread,
    silent,
    write_level,
)

from fer_core import levels
from fer_core.embedding import embed_rows
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.inputs import PatchInputs
from fer_core.reading import read_faces
from fer_core.runs import load_network
from fer_core.subdivision import fit_mixtures


def test_a_level_read_back_is_what_was_embedded_and_fitted(make_run, faces_path):  # noqa: F811
    run, folder = make_run("mul_dml")
    level, faces = levels.read_level(folder), read_faces(faces_path, Part(), 3)
    rows = faces.rows_of("train", upright=True)
    assert level.sample_id.tolist() == faces.sample_id[rows].tolist()
    np.testing.assert_array_equal(level.class_N, faces.label[rows])

    embedding_ND = embed_rows(load_network(run), PatchInputs(faces, 32, 24), rows, silent).embedding_ND
    np.testing.assert_array_equal(level.embedding_ND, embedding_ND)
    mixtures = fit_mixtures(embedding_ND, faces.label[rows], 2, seed=0)
    np.testing.assert_array_equal(level.group_N, mixtures.labels_N)
    for read, fitted in (
        (level.mean_GD, mixtures.means),
        (level.variance_GD, mixtures.variances),
        (level.weight_G, mixtures.weights),
        (level.class_G, mixtures.class_of),
    ):
        np.testing.assert_array_equal(read, fitted[level.group_G])
    assert np.isfinite(level.mean_GD).all()
    assert (level.variance_GD > 0).all()


def test_a_level_keeps_the_groups_that_have_members(make_run):  # noqa: F811
    level = levels.read_level(make_run("mul_dml")[1])
    assert set(level.group_G) == set(level.group_N)
    for label in range(len(CLASSES)):
        assert level.weight_G[level.class_G == label].sum() == pytest.approx(1)


def test_groups_are_called_by_class_and_place(make_run):  # noqa: F811
    level = levels.read_level(make_run("mul_dml")[1])
    assert [level.name_of(group, CLASSES) for group in level.group_G] == [
        f"{name} {place}" for name in CLASSES for place in (1, 2)
    ]


def test_a_missing_component_leaves_no_gap_in_the_names():
    nothing = np.zeros(0)
    level = levels.Level(
        nothing, nothing, nothing, nothing, nothing, nothing, nothing, np.array([0, 1, 1]), np.array([0, 3, 5])
    )
    assert [level.name_of(group, ("anger", "fear")) for group in (0, 3, 5)] == ["anger 1", "fear 1", "fear 2"]


def test_more_components_than_samples_are_not_made(tmp_path, make_run, faces_path):  # noqa: F811
    run, _ = make_run("mul_dml")
    folder = finished(tmp_path, "many", lambda path: write_level(path, run, faces_path, 12)).path
    level = levels.read_level(folder)
    for label in range(3):
        assert (level.class_G == label).sum() <= 8
    assert set(level.group_G) == set(level.group_N)


def test_progress_counts_the_faces(tmp_path, make_run, faces_path):  # noqa: F811
    seen = []
    run, _ = make_run("mul_dml")
    levels.make_level(tmp_path, run, read_faces(faces_path, Part(), 3), 1, 0, lambda *done: seen.append(done))
    assert seen == [(24, 24)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(levels.FILES)


@pytest.mark.parametrize("name", levels.FILES)
def test_a_damaged_file_is_named(tmp_path, make_run, faces_path, name):  # noqa: F811
    run, _ = make_run("mul_dml")
    folder = finished(tmp_path, "level", lambda path: write_level(path, run, faces_path, 1)).path
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is missing or damaged"):
        levels.read_level(folder)
