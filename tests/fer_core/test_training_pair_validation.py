"""Validation people are told apart by pairs, as by hand, and looking at them changes nothing in training."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from model_fixtures import MemoryStore, face_rows, finished, one_thread, plan_of, silent  # noqa: F401

from fer_core.assessment.pairs import make_pairs
from fer_core.errors import InputError
from fer_core.evaluation.verification import pair_distances, verification
from fer_core.inputs import PatchInputs
from fer_core.losses.numerics import NotFiniteError
from fer_core.records import SAMPLE_SCHEMA
from fer_core.shards import write_picture_shard
from fer_core.training import build_network, train
from fer_core.training.pair_validation import PairValidation
from fer_core.world import World

NUM_VALID = 6


def row_of(row, several):
    """S03 and S04 are three people each, by their expressions, who are validated on; or one."""
    person, split = row["subject_id"], {"S03": "valid", "S04": "valid", "S22": "test"}.get(row["subject_id"], "train")
    own = f"{person}-{row['expression']}" if split == "valid" and several else person
    return {**row, "split": split, "subject_id": own}


def write_split(root, several):
    table = pa.Table.from_pylist([row_of(row, several) for row in face_rows().to_pylist()], schema=SAMPLE_SCHEMA)
    return finished(root, "faces", lambda path: write_picture_shard(path, "part-00000.parquet", table)).path


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("split"), several=True)


def plan(faces, **changed):
    own = plan_of(faces, "sgm", epochs=2, validation=True)
    return replace(own, method="verification", method_options={"embedding_size": 8}, **changed)


def run(plan):
    return train(plan, World(), MemoryStore(), silent)


def test_pairs_of_validation_people_are_told_apart_by_the_kept_network(faces):
    chosen = plan(faces)
    trained, table = run(chosen), chosen.read_faces()
    rows = table.rows_of("valid", upright=True)
    assert len(set(table.group[rows])) == NUM_VALID
    assert set(trained.classes).isdisjoint(table.group[rows])
    network = build_network(chosen.build_method(), chosen.backbone, chosen.patch, trained.counts, seed=0)
    network.load_state_dict(trained.state)
    with torch.no_grad():
        made = network.eval()(PatchInputs(table, chosen.face_size, chosen.patch).plain(rows)).embedding_BD
    pairs = make_pairs(table.identity[rows], 6000, NUM_VALID // 2, chosen.seed)
    expected = verification(pair_distances(made, pairs.first, pairs.second), pairs.same, pairs.fold)
    assert trained.history[-1]["valid_pair_accuracy"] == pytest.approx(expected.accuracy)
    assert trained.history[-1]["valid_auc"] == pytest.approx(expected.auc)
    assert len(trained.history) == 2


def test_looking_at_validation_people_changes_nothing_in_training(faces):
    looked, alone = (run(plan(faces, validation=validation)) for validation in (True, False))
    assert all(torch.equal(value, looked.state[name]) for name, value in alone.state.items())
    without = [{name: value for name, value in row.items() if "valid_" not in name} for row in looked.history]
    assert alone.history == without


def test_too_few_validation_people_are_named_before_any_training(tmp_path):
    with pytest.raises(InputError, match=r"--validation: of the people kept for it, 2 test people, .* or leave it out"):
        run(plan(write_split(tmp_path, several=False)))


def test_an_embedding_that_is_no_number_is_told(faces):
    class Broken(torch.nn.Module):
        def forward(self, inputs):
            outputs = build_network(chosen.build_method(), "resnet18", chosen.patch, counts, seed=0).eval()(inputs)
            return replace(outputs, embedding_BD=outputs.embedding_BD * np.inf)

    chosen = plan(faces)
    table = chosen.read_faces()
    counts = table.training_rows(table.rows_of("train", upright=True)).counts()
    validation = PairValidation(table, PatchInputs(table, chosen.face_size, chosen.patch), 0)
    with pytest.raises(NotFiniteError, match="validation pictures"):
        validation.measured(Broken(), torch.nn.Identity(), 0.5)
