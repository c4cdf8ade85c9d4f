"""A step whose products are of bfloat16: every loss term, every parameter and all that is kept is of float32."""

from dataclasses import replace

import pytest
import torch
from landmark_fixtures import landmark_plan, landmark_rows, write_faces
from model_fixtures import OPTIONS, MemoryStore, finished, one_thread, plan_of, posed_rows, silent  # noqa: F401

from fer_core.methods import REGISTRY
from fer_core.shards import write_picture_shard
from fer_core.training import loop, train
from fer_core.world import World

OF_METHOD = OPTIONS | {
    "triplet": {"embedding_size": 8},
    "verification": {"embedding_size": 8, "base": "arcface", "pdm": 1.0, "pdp": 1.0, "ce": 1.0, "mtl": 1.0},
    "dml_net": {"fused_size": 16, "embedding_size": 8, "branch_size": 16, "phase_one": 0, "triplets_from": 0},
}


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """One epoch in bfloat16 of each method."""
    root = tmp_path_factory.mktemp("precision")
    pictures = finished(root, "faces", lambda path: write_picture_shard(path, "part-00000.parquet", posed_rows())).path
    made = {"landmark_vae": landmark_plan(write_faces(root, landmark_rows(), "points"), "m2", epochs=1)}
    for name, options in OF_METHOD.items():
        rows = 15 if name == "dml_net" else 24
        made[name] = plan_of(pictures, "cnn", epochs=1, batch_size=rows, backbone="fmpnet", checkpoint_steps=1)
        made[name] = replace(made[name], method=name, method_options=options)
    return {name: replace(plan, bfloat16=True, checkpoint_steps=1) for name, plan in made.items()}


def dtypes_of(tree):
    """Of all floating tensors in nested dicts and lists."""
    if isinstance(tree, torch.Tensor):
        return {tree.dtype} if tree.is_floating_point() else set()
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return set().union(*map(dtypes_of, branches))


@pytest.mark.parametrize("name", REGISTRY)
def test_a_step_in_bfloat16_leaves_terms_and_parameters_of_float32(plans, name, monkeypatch):
    given, terms = set(), []

    def widened(tensor, widen=loop.at_least_float32):
        given.add(tensor.dtype)
        return widen(tensor)

    def seen(self, outputs, targets, of_step=loop._Loop._terms):
        terms.append(of_step(self, outputs, targets))
        return terms[-1]

    monkeypatch.setattr(loop, "at_least_float32", widened)
    monkeypatch.setattr(loop._Loop, "_terms", seen)
    store = MemoryStore()
    trained = train(plans[name], World(), store, silent)
    assert torch.bfloat16 in given
    assert len(terms) > 1
    assert dtypes_of(terms) == dtypes_of(trained.state) == {torch.float32}
    kept = store.load()
    for part in ("network", "objective", "optimizer"):
        assert dtypes_of(kept[part]) <= {torch.float32}, part
    assert dtypes_of(kept["optimizer"])
