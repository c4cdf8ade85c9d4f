import json

import numpy as np
import torch
from model_fixtures import (  # noqa: F401
    CLASSES,
    OPTIONS,
    MemoryStore,
    faces_path,
    one_thread,
    plan_of,
    silent,
)

from fer_core import runs
from fer_core.embedding import embed, embed_rows
from fer_core.folds import Part
from fer_core.inputs import PatchInputs
from fer_core.methods import REGISTRY
from fer_core.reading import read_faces
from fer_core.targets import Counts
from fer_core.training import build_network, train
from fer_core.world import World


def test_a_run_read_back_is_the_network_that_was_trained(tmp_path, faces_path):  # noqa: F811
    plan = plan_of(faces_path, "mul_dml", epochs=1)
    trained = train(plan, World(), MemoryStore(), silent)
    runs.save_run(tmp_path, plan, trained)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(runs.FILES)

    described = runs.read_description(tmp_path)
    assert (described.method, described.method_options, described.backbone) == (
        "mul_dml",
        OPTIONS["mul_dml"],
        "resnet18",
    )
    assert (described.face_size, described.patch) == (plan.face_size, plan.patch)
    assert (tuple(described.classes), described.class_of_label) == (CLASSES, [0, 1, 2])
    assert described.history == trained.history
    assert described.build_method().options == REGISTRY["mul_dml"].Options(**OPTIONS["mul_dml"])

    before = build_network(described.build_method(), "resnet18", plan.patch, Counts(3), seed=99)
    before.load_state_dict(trained.state)
    loaded = runs.load_network(tmp_path)
    assert not loaded.training
    images_BHWC = np.random.default_rng(0).integers(0, 256, (5, plan.patch, plan.patch, 3), dtype=np.uint8)
    first, second = (embed(network, torch.from_numpy(images_BHWC)) for network in (before.eval(), loaded))
    np.testing.assert_array_equal(first.embedding_ND, second.embedding_ND)
    np.testing.assert_array_equal(first.logits_NC, second.logits_NC)


def test_a_description_is_sorted_json_of_its_fields_alone(tmp_path, faces_path):  # noqa: F811
    plan = plan_of(faces_path, "sgm", epochs=1)
    runs.save_run(tmp_path, plan, train(plan, World(), MemoryStore(), silent))
    values = json.loads((tmp_path / runs.DESCRIPTION).read_text())
    assert list(values) == sorted(values)
    assert str(faces_path) not in (tmp_path / runs.DESCRIPTION).read_text()


def test_rows_are_embedded_in_order_whatever_the_batch(monkeypatch, faces_path):  # noqa: F811
    faces = read_faces(faces_path, Part(), 3)
    inputs = PatchInputs(faces, 32, 24)
    method = REGISTRY["mul_dml"]
    network = build_network(method(method.Options(**OPTIONS["mul_dml"])), "resnet18", 24, Counts(3), seed=0).eval()
    rows, seen = faces.rows_of("test", upright=True)[::-1], []
    whole = embed_rows(network, inputs, rows, silent)
    monkeypatch.setattr("fer_core.embedding.BATCH", 5)
    parts = embed_rows(network, inputs, rows, lambda *done: seen.append(done))
    assert seen == [(5, 12), (10, 12), (12, 12)]
    for name in ("embedding_ND", "logits_NC"):
        first, second = getattr(whole, name), getattr(parts, name)
        assert first.dtype == np.float32
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)
    alone = embed(network, inputs.plain(rows[3:4])).embedding_ND
    np.testing.assert_allclose(alone[0], whole.embedding_ND[3], rtol=1e-4, atol=1e-5)


def test_a_method_without_a_classifier_gives_no_logits(faces_path):  # noqa: F811
    faces = read_faces(faces_path, Part(), 3)
    method = REGISTRY["sgm"]
    network = build_network(method(method.Options(**OPTIONS["sgm"])), "resnet18", 24, Counts(3), seed=0).eval()
    made = embed_rows(network, PatchInputs(faces, 32, 24), faces.rows_of("test", upright=True), silent)
    assert made.embedding_ND.shape == (12, 8)
    assert made.logits_NC is None
    assert torch.is_grad_enabled()
