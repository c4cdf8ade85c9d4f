from dataclasses import replace

import numpy as np
import pytest
import torch
from model_fixtures import (  # noqa: F401
    CLASSES,
    MemoryStore,
    Stopped,
    faces_path,
    finished,
    make_run,
    one_thread,
    plan_of,
    silent,
    train_with_stops,
    write_level,
)
from safetensors.torch import load_file, save_file

from fer_core import methods, runs
from fer_core.checkpoints import FolderStore
from fer_core.errors import InputError
from fer_core.folds import Part
from fer_core.levels import read_level
from fer_core.reading import read_faces
from fer_core.targets import Counts
from fer_core.training import Trained, build_network, train
from fer_core.world import World

KEPT = ("backbone.conv1.weight", "backbone.layer4.1.conv2.weight", "head.slices.weight")


def equal_states(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def uninterrupted(faces_path):  # noqa: F811
    """Six steps, two an epoch, with everything that could differ: dropout, a rate that moves, weight decay."""
    plan = plan_of(faces_path, "mul_dml", checkpoint_steps=1)
    store, shown = MemoryStore(), []
    return plan, store, shown, train(plan, World(), store, shown.append)


def test_the_loss_falls(faces_path):  # noqa: F811
    trained = train(plan_of(faces_path, "cnn", epochs=4, batch_size=12), World(), MemoryStore(), silent)
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < 0.7 * losses[0]
    assert trained.history[-1]["accuracy"] > trained.history[0]["accuracy"]


def test_history_has_one_row_an_epoch(uninterrupted):
    plan, _, _, trained = uninterrupted
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    assert [row["step"] for row in trained.history] == [2, 4, 6]
    assert {row["steps"] for row in trained.history} == {6}
    for row in trained.history:
        assert row["loss"] == pytest.approx(row["dual_triplet"] + row["cross_entropy"], abs=1e-5)
        assert 0 <= row["accuracy"] <= 1
    assert (trained.classes, trained.class_of_label) == (CLASSES, [0, 1, 2])
    assert plan.recipe.epochs == 3


def test_progress_is_shown_at_the_end_of_each_epoch(uninterrupted):
    _, _, shown, trained = uninterrupted
    at_ends = [row for row in shown if row["step"] in (2, 4, 6)]
    assert [{name: value for name, value in row.items() if name != "images_per_second"} for row in at_ends] == (
        trained.history
    )
    assert all(row["images_per_second"] > 0 for row in shown)


def test_checkpoints_come_every_few_steps_and_at_ends_of_epochs_but_the_last(faces_path):  # noqa: F811
    class Counting(MemoryStore):
        def __init__(self):
            super().__init__()
            self.steps = []

        def save(self, state, metrics):
            self.steps.append((state["step"], metrics["step"]))

    store = Counting()
    train(plan_of(faces_path, "sgm", epochs=2, batch_size=12, checkpoint_steps=3), World(), store, silent)
    assert store.steps == [(3, 3), (4, 4), (6, 6)]


def test_a_run_that_is_stopped_after_any_step_ends_with_the_same_bits(uninterrupted):
    plan, _, _, trained = uninterrupted
    again, store = train_with_stops(plan)
    assert store.num_saves == 5
    assert again.history == trained.history
    assert equal_states(again.state, trained.state)


def test_a_folder_keeps_the_last_whole_checkpoint(tmp_path, uninterrupted):
    plan, _, _, trained = uninterrupted

    class StoppedFolder(FolderStore):
        def save(self, state, metrics):
            super().save(state, metrics)
            if state["step"] == 3:
                raise Stopped

    assert FolderStore(tmp_path).load() is None
    with pytest.raises(Stopped):
        train(plan, World(), StoppedFolder(tmp_path), silent)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert FolderStore(tmp_path).load()["step"] == 3
    again = train(plan, World(), FolderStore(tmp_path), silent)
    assert again.history == trained.history
    assert equal_states(again.state, trained.state)


def test_training_goes_by_the_seed_and_not_by_the_global_generator(faces_path):  # noqa: F811
    plan = plan_of(faces_path, "mul_dml", epochs=1)
    states = []
    for seed, plan_seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(seed)
        states.append(train(replace(plan, seed=plan_seed), World(), MemoryStore(), silent).state)
    assert equal_states(states[0], states[1])
    assert not equal_states(states[0], states[2])


def test_sub_labels_are_trained_on_from_the_network_before(tmp_path, make_run, faces_path):  # noqa: F811
    run, level = make_run("mul_dml")
    groups = np.unique(read_level(level).group_N)
    assert len(groups) == 6
    plan = plan_of(faces_path, "mul_dml", epochs=1, start=run / runs.NETWORK, sub_labels=level)
    trained = train(plan, World(), MemoryStore(), silent)
    assert trained.state["head.classifier.weight"].shape == (6, 16)
    assert trained.class_of_label == [0, 0, 1, 1, 2, 2]
    assert trained.classes == CLASSES
    assert np.isfinite(trained.history[0]["loss"])


class Before(Exception):
    """Raised before the first step with the network's state as its argument."""


class StopAtOnce:
    def load(self):
        return None

    def save(self, state, metrics):
        raise Before(state["network"])


def state_at_start(plan):
    """The network after one step at a rate of nothing: its weights are the initial ones."""
    plan = replace(plan, recipe=methods.Recipe(1, 24, lr=1e-30), checkpoint_steps=1)
    with pytest.raises(Before) as stopped:
        train(plan, World(), StopAtOnce(), silent)
    return stopped.value.args[0]


def test_starting_from_a_level_makes_only_a_classifier_of_other_labels_anew(make_run, faces_path):  # noqa: F811
    run, level = make_run("mul_dml")
    start = load_file(run / runs.NETWORK)
    plan = plan_of(faces_path, "mul_dml", start=run / runs.NETWORK)
    same = state_at_start(plan)
    assert all(torch.equal(same[name], start[name]) for name in (*KEPT, "head.classifier.weight"))
    other = state_at_start(replace(plan, sub_labels=level))
    assert all(torch.equal(other[name], start[name]) for name in KEPT)
    method = methods.REGISTRY["mul_dml"]
    fresh = build_network(method(method.Options(**plan.method_options)), "resnet18", plan.patch, Counts(6), plan.seed)
    assert torch.equal(other["head.classifier.weight"], fresh.head.classifier.weight)


def test_a_level_of_fewer_components_is_trained_on(tmp_path, make_run, faces_path):  # noqa: F811
    run, _ = make_run("mul_dml")
    level = finished(tmp_path, "one", lambda folder: write_level(folder, run, faces_path, 1)).path
    table = read_level(level)
    assert np.array_equal(table.group_N, table.class_N)
    plan = plan_of(faces_path, "mul_dml", start=run / runs.NETWORK, sub_labels=level)
    start = load_file(run / runs.NETWORK)
    assert torch.equal(state_at_start(plan)["head.classifier.weight"], start["head.classifier.weight"])


@pytest.mark.parametrize("method", ["cnn", "sgm", "mul_dml"])
def test_a_loss_that_is_not_finite_names_the_rate(faces_path, method):  # noqa: F811
    plan = plan_of(faces_path, method, checkpoint_steps=1)
    plan = replace(plan, recipe=methods.Recipe(3, 24, lr=1e25))
    with pytest.raises(InputError, match="use a smaller --lr"):
        train(plan, World(), MemoryStore(), silent)


def test_weights_of_a_file_are_what_training_starts_from(tmp_path, faces_path):  # noqa: F811
    generator = torch.Generator().manual_seed(0)
    network = build_network(
        methods.REGISTRY["cnn"](methods.REGISTRY["cnn"].Options()), "resnet18", 24, Counts(3), seed=9
    )
    state = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    state["conv1.weight"] = torch.randn(64, 3, 7, 7, generator=generator)
    save_file(state, tmp_path / "published.safetensors")
    begun = state_at_start(plan_of(faces_path, "cnn", weights=tmp_path / "published.safetensors"))
    assert torch.equal(begun["backbone.conv1.weight"], state["conv1.weight"])
    assert torch.equal(begun["backbone.layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_bfloat16_trains_float32_weights(faces_path):  # noqa: F811
    trained = train(plan_of(faces_path, "sgm", epochs=1, bfloat16=True), World(), MemoryStore(), silent)
    assert isinstance(trained, Trained)
    assert {value.dtype for name, value in trained.state.items() if "num_batches" not in name} == {torch.float32}
    assert np.isfinite(trained.history[0]["loss"])


def test_held_out_subjects_are_never_trained_on(faces_path):  # noqa: F811
    faces = read_faces(faces_path, Part(), 3)
    trained_on, tested = (set(faces.group[faces.rows_of(role, upright=False)]) for role in ("train", "test"))
    assert not trained_on & tested
    assert (len(trained_on), len(tested)) == (4, 2)
