"""What a network sees of rows."""

import numpy as np
import pytest
import torch
from landmark_fixtures import landmark_plan, landmark_rows, write_faces
from model_fixtures import FACE, PATCH, faces_path, one_thread  # noqa: F401

from fer_core.folds import Part
from fer_core.inputs import PatchInputs, PointInputs, inputs_of
from fer_core.patches import Patches, draw_views
from fer_core.reading import read_faces
from fer_core.turning import corners, turned_patches
from fer_core.world import CPU

ROWS = np.array([5, 0, 31, 5])


@pytest.fixture(scope="module")
def faces(faces_path):  # noqa: F811
    return read_faces(faces_path, Part(), 3)


@pytest.fixture(scope="module")
def point_faces(tmp_path_factory):
    return landmark_plan(write_faces(tmp_path_factory.mktemp("points"), landmark_rows()), "m1").read_faces()


def test_plain_patches_are_the_centres_of_the_rows_in_order(faces):
    inputs = PatchInputs(faces, FACE, PATCH)
    made = inputs.plain(ROWS)
    edge = (FACE - PATCH) // 2
    expected = faces.images(ROWS)[:, edge : edge + PATCH, edge : edge + PATCH]
    assert (made.dtype, inputs.numbers) == (torch.uint8, 0)
    np.testing.assert_array_equal(made.numpy(), expected)


def test_drawn_patches_are_those_that_the_views_name(faces):
    views = draw_views(3, 0, ROWS, flips=True)
    made = PatchInputs(faces, FACE, PATCH).drawn(ROWS, views)
    np.testing.assert_array_equal(made.numpy(), Patches(FACE, PATCH).drawn(faces.images(ROWS), views))


def test_rows_of_a_virtual_form_are_turned_and_cut(faces):
    margin, size = 4, FACE - 8
    wide = faces.only(np.arange(len(faces.label)))
    wide = type(wide)(**{**vars(wide), "margin": margin})
    views = draw_views(3, 0, ROWS, flips=True)
    made = PatchInputs(wide, size, 16).drawn(ROWS, views)
    pictures, angles = torch.from_numpy(wide.wide_images(ROWS)), torch.from_numpy(wide.rotation[ROWS])
    expected = turned_patches(pictures, angles, torch.from_numpy(views), corners(size, 16, CPU), size, 16)
    assert torch.equal(made, expected)
    assert set(angles.tolist()) == {0.0, 5.0}
    assert PatchInputs(wide, size, 16).plain(ROWS).shape == (4, 16, 16, 3)


def test_points_are_those_of_the_rows_and_are_not_augmented(point_faces):
    inputs = PointInputs(point_faces)
    assert inputs.numbers == 2 * 249
    for made in (inputs.plain(ROWS), inputs.drawn(ROWS, np.arange(4))):
        assert made.dtype == torch.float32
        np.testing.assert_array_equal(made.numpy(), point_faces.points[ROWS])


def test_a_method_gets_what_it_looks_at(faces, point_faces):
    assert isinstance(inputs_of("pictures", faces, FACE, PATCH), PatchInputs)
    assert isinstance(inputs_of("points", point_faces, FACE, PATCH), PointInputs)
