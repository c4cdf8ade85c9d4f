"""Validation rows: never trained on, the same loss as by hand, and nothing that is drawn for them changes training."""

from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from model_fixtures import (  # noqa: F401
    CLASSES,
    MemoryStore,
    draw_face,
    face_rows,
    faces_path,
    finished,
    make_run,
    one_thread,
    plan_of,
    silent,
    write_level,
)
from torch.nn.functional import cross_entropy

from fer_core import runs
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.inputs import PatchInputs
from fer_core.methods import REGISTRY
from fer_core.methods.base import Objective, Recipe
from fer_core.reading import read_faces
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.training import build_network, train
from fer_core.training.validation import Validation
from fer_core.world import World

SPLIT_OF = {"S01": "train", "S02": "train", "S03": "train", "S04": "train", "S14": "valid", "S22": "test"}


def write_split(root, name, change=dict):
    """The faces of `faces_path` with an official split, each row as `change` makes it."""
    rows = [change({**row, "split": SPLIT_OF[row["subject_id"]]}) for row in face_rows().to_pylist()]
    table = pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)
    return finished(root, name, lambda path: write_picture_shard(path, "part-00000.parquet", table)).path


@pytest.fixture(scope="module")
def split_faces(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("split"), "faces")


def run(plan):
    return train(plan, World(), MemoryStore(), silent)


def equal_states(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def validated(split_faces):
    plan = plan_of(split_faces, "mul_dml", epochs=2, validation=True)
    return plan, run(plan)


def test_the_loss_on_validation_rows_stands_in_the_history(validated):
    for row in validated[1].history:
        terms = {name for name in row if name.startswith("valid_")} - {"valid_loss"}
        assert terms == {"valid_dual_triplet", "valid_cross_entropy"}
        assert row["valid_loss"] == pytest.approx(sum(row[name] for name in terms), rel=1e-5)


def test_looking_at_validation_rows_changes_nothing_in_training(validated):
    plan, trained = validated
    alone = run(replace(plan, validation=False))
    assert equal_states(alone.state, trained.state)
    without = [{name: value for name, value in row.items() if "valid_" not in name} for row in trained.history]
    assert alone.history == without


def test_other_validation_pictures_change_nothing_but_what_is_shown_of_them(tmp_path, validated):
    def painted(row):
        noise = np.random.default_rng(5).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return {**row, "image": cv2.imencode(".png", noise)[1].tobytes()} if row["split"] == "valid" else row

    plan, trained = validated
    other = run(replace(plan, faces=write_split(tmp_path, "painted", painted)))
    assert equal_states(other.state, trained.state)
    assert other.history[-1]["loss"] == trained.history[-1]["loss"]
    assert other.history[-1]["valid_loss"] != trained.history[-1]["valid_loss"]


def test_a_run_that_is_stopped_has_the_same_validation_losses(validated):
    plan, trained = validated

    class Stopping(MemoryStore):
        def save(self, state, metrics):
            super().save(state, metrics)
            raise KeyboardInterrupt

    store = Stopping()
    with pytest.raises(KeyboardInterrupt):
        train(plan, World(), store, silent)
    store.save = lambda *_: None
    again = train(plan, World(), store, silent)
    assert again.history == trained.history


def network_of(plan, trained):
    network = build_network(plan.build_method(), plan.backbone, plan.patch, trained.counts, seed=0)
    network.load_state_dict(trained.state)
    return network.eval()


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_loss_is_that_of_the_kept_network_without_dropout(split_faces, averaging):
    recipe = Recipe(2, 12, lr=1e-3, averaging=averaging)
    plan = plan_of(split_faces, "cnn", validation=True, recipe=recipe)
    trained, faces = run(plan), plan.read_faces()
    rows = faces.rows_of("valid", upright=True)
    network, inputs = network_of(plan, trained), PatchInputs(faces, plan.face_size, plan.patch)
    assert len(rows) == 6  # in one batch of 12 each comes twice
    with torch.no_grad():
        logits = network(inputs.plain(rows)).logits_BC
    expected = cross_entropy(logits, torch.from_numpy(faces.label[rows])).item()
    assert trained.history[-1]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_validation_rows_are_upright_and_of_nobody_else(split_faces):
    plan = plan_of(split_faces, "cnn", validation=True)
    faces, method = plan.read_faces(), plan.build_method()
    validation = Validation(plan, method, faces, PatchInputs(faces, 32, 24), [0, 1, 2])
    assert set(faces.group[validation.rows]) == {"S14"}
    assert set(faces.rotation[validation.rows]) == {0.0}
    assert set(faces.group[faces.rows_of("train", upright=False)]) == {"S01", "S02", "S03", "S04"}


def test_without_an_official_part_some_people_are_kept_out_of_training(faces_path):  # noqa: F811
    seen = {}
    for validation in (False, True):
        faces = plan_of(faces_path, "cnn", validation=validation).read_faces()
        seen[validation] = {role: set(faces.group[faces.role == role]) for role in ("train", "valid", "test")}
    assert seen[False]["valid"] == set()
    assert seen[True]["valid"]
    assert seen[True]["valid"] | seen[True]["train"] == seen[False]["train"]
    assert seen[True]["test"] == seen[False]["test"]
    trained = run(plan_of(faces_path, "cnn", epochs=1, validation=True))
    assert np.isfinite(trained.history[0]["valid_loss"])


def test_of_sub_classes_the_first_of_the_class_stands_in(tmp_path, make_run, faces_path):  # noqa: F811
    """Labels 0 to 5 are two sub-classes of each class; class 1 is label 2, not label 1."""
    level = make_run("mul_dml")[1]
    plan = plan_of(faces_path, "cnn", epochs=1, sub_labels=level)
    trained = run(plan)
    assert trained.class_of_label == [0, 0, 1, 1, 2, 2]
    faces = read_faces(faces_path, Part(), 3, validation=True)
    validation = Validation(
        replace(plan, validation=True),
        plan.build_method(),
        faces,
        PatchInputs(faces, 32, 24),
        trained.class_of_label,
    )
    classes = faces.label[validation.rows]
    assert set(classes.tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(validation.known.label_N, 2 * classes)
    np.testing.assert_array_equal(validation.known.expression_N, classes)


def test_a_class_that_is_not_trained_on_is_left_out(split_faces):
    plan = plan_of(split_faces, "cnn", validation=True)
    faces = plan.read_faces()
    validation = Validation(plan, plan.build_method(), faces, PatchInputs(faces, 32, 24), [0, 2])
    np.testing.assert_array_equal(validation.known.label_N, faces.label[validation.rows] // 2)
    assert set(faces.label[validation.rows].tolist()) == {0, 2}


@pytest.mark.parametrize("method", ["cnn", "sgm"])
def test_where_nobody_asks_nothing_is_measured(split_faces, method):
    plan = plan_of(split_faces, method)
    faces = plan.read_faces()
    validation = Validation(plan, plan.build_method(), faces, PatchInputs(faces, 32, 24), [0, 1, 2])
    assert validation.measured(torch.nn.Identity(), torch.nn.Identity(), 0.5) == {}


def test_validation_rows_of_one_class_are_named(tmp_path):
    def only_anger(row):
        return {**row, "expression": "anger"} if row["split"] == "valid" else row

    plan = plan_of(write_split(tmp_path, "anger", only_anger), "cnn", validation=True)
    with pytest.raises(InputError, match="the validation rows give no batch: 1 labels in batches of 24"):
        run(plan)


def test_a_model_that_is_picked_by_validation_rows_needs_some(monkeypatch, tmp_path):
    monkeypatch.setattr(REGISTRY["cnn"], "picks_by_validation", True)

    def nobody(row):
        return {**row, "expression": "contempt"} if row["split"] == "valid" else row

    plan = plan_of(write_split(tmp_path, "nobody", nobody), "cnn")
    with pytest.raises(InputError, match="picked by validation rows, and none is of a class that is trained on"):
        run(plan)


def test_a_validation_loss_that_is_no_number_names_the_rate(monkeypatch, split_faces):
    plan = plan_of(split_faces, "cnn", validation=True, epochs=1)
    method = REGISTRY["cnn"]

    class Broken(Objective):
        def forward(self, outputs, targets, progress):
            loss = cross_entropy(outputs.logits_BC, targets.label_B)
            return {"cross_entropy": loss if self.training else loss * float("inf")}

    monkeypatch.setattr(method, "objective", lambda self, counts: Broken())
    with pytest.raises(InputError, match=r"the loss on validation rows is inf; use a smaller --lr"):
        run(plan)


def test_a_run_keeps_what_was_validated(tmp_path, validated):
    plan, trained = validated
    runs.save_run(tmp_path, plan, trained)
    assert runs.read_description(tmp_path).history[-1]["valid_loss"] == trained.history[-1]["valid_loss"]
