"""Batches made ahead: the same, in order, by one thread that ends with the training."""

import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from model_fixtures import FACE, PATCH, MemoryStore, Stopped, faces_path, one_thread, plan_of, silent  # noqa: F401

from fer_core.folds import Part
from fer_core.inputs import PatchInputs
from fer_core.patches import draw_views
from fer_core.reading import read_faces
from fer_core.sections import TimedSections
from fer_core.training import loop, train
from fer_core.training.feeding import AHEAD, THREAD, fed
from fer_core.world import World

STEPS = range(3, 11)


def make(step):
    return (torch.full((2,), step),)


def taken(batches):
    return [int(part[0]) for (part,) in batches]


def feeding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD)]


@pytest.mark.parametrize("steps", [STEPS, range(0), range(1), range(5, 5), range(7, 7 + AHEAD)])
def test_batches_come_in_order_from_the_first_step_asked_for(steps):
    with fed(make, steps) as batches:
        assert taken(batches) == list(steps)
    assert feeding_threads() == []


def test_one_thread_makes_them_all_and_it_is_not_the_one_that_trains():
    makers = set()
    with fed(lambda step: (makers.add(threading.get_ident()), make(step))[1], STEPS) as batches:
        assert taken(batches) == list(STEPS)
    assert len(makers) == 1
    assert threading.get_ident() not in makers


def test_batches_are_made_while_a_step_is_computed_and_only_a_few():
    made = []
    with fed(lambda step: (made.append(step), make(step))[1], STEPS) as batches:
        next(batches)
        until = time.perf_counter() + 5
        while len(made) < 1 + AHEAD and time.perf_counter() < until:
            time.sleep(0.001)
        time.sleep(0.05)
        assert made == list(STEPS[: 1 + AHEAD])


def test_making_and_computing_take_the_longer_of_the_two():
    def slow(step):
        time.sleep(0.1)
        return make(step)

    began = time.perf_counter()
    with fed(slow, range(10)) as batches:
        for _ in batches:
            time.sleep(0.1)
    assert time.perf_counter() - began < 1.8  # seconds; together 1.1, one after the other 2


def test_an_error_comes_at_its_step():
    def failing(step):
        if step == 6:
            raise ValueError("a damaged shard")
        return make(step)

    seen = []

    def train():
        with fed(failing, STEPS) as batches:
            for (part,) in batches:
                seen.append(int(part[0]))

    with pytest.raises(ValueError, match="a damaged shard"):
        train()
    assert seen == [3, 4, 5]
    assert feeding_threads() == []


def test_the_thread_ends_where_a_step_raises():
    def train():
        with fed(make, range(1_000_000)) as batches:
            for _ in batches:
                assert len(feeding_threads()) == 1
                raise RuntimeError("a step")

    with pytest.raises(RuntimeError, match="a step"):
        train()
    assert feeding_threads() == []


def test_the_thread_ends_where_training_is_interrupted_while_it_waits():
    def slow(step):
        time.sleep(0.3)
        return make(step)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started deaf to it
    main = threading.main_thread().ident
    interrupt = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))

    def train():
        with fed(slow, range(1_000_000)) as batches:
            interrupt.start()
            next(batches)

    try:
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert feeding_threads() == []


def test_waiting_is_timed():
    def slow(step):
        time.sleep(0.01)
        return make(step)

    sections = TimedSections()
    with fed(slow, range(3), sections=sections) as batches:
        for _ in batches:
            sections.step_ends()
    found = {row["section"]: row for row in sections.rows()}
    assert set(found) == {"wait for pictures", "copy", "other"}
    assert found["wait for pictures"]["seconds"] > 0.025
    assert found["wait for pictures"]["share"] > 0.9


@contextmanager
def unfed(make, steps, device, sections):
    yield map(make, steps)


def test_training_computes_the_same_bits_fed_and_unfed(faces_path, monkeypatch):  # noqa: F811
    plan = plan_of(faces_path, "mul_dml", epochs=2, validation=True)
    fed_state = train(plan, World(), MemoryStore(), silent).state
    monkeypatch.setattr(loop, "fed", unfed)
    unfed_state = train(plan, World(), MemoryStore(), silent).state
    assert all(torch.equal(fed_state[name], unfed_state[name]) for name in unfed_state)


def test_no_thread_is_left_of_a_run_that_is_stopped(faces_path):  # noqa: F811
    with pytest.raises(Stopped):
        train(plan_of(faces_path, "cnn", checkpoint_steps=1), World(), MemoryStore(stops=True), silent)
    assert feeding_threads() == []


def test_validation_may_read_while_training_reads_ahead(faces_path):  # noqa: F811
    inputs = PatchInputs(read_faces(faces_path, Part(), 3), FACE, PATCH)
    rows = np.arange(48)
    views = [draw_views(3, step, rows) for step in range(100)]
    drawn, plain = [inputs.drawn(rows, view) for view in views], inputs.plain(rows)
    with fed(lambda step: (inputs.drawn(rows, views[step]),), range(100)) as batches:
        for expected, (made,) in zip(drawn, batches, strict=True):
            assert torch.equal(inputs.plain(rows), plain)
            assert torch.equal(made, expected)


def test_pictures_are_read_for_one_thread_at_a_time(faces_path, monkeypatch):  # noqa: F811
    inputs = PatchInputs(read_faces(faces_path, Part(), 3), FACE, PATCH)
    reader, inside, most = inputs.faces.pictures, [], []
    images = reader.images

    def watched(pictures):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.002)
        made = images(pictures)
        inside.pop()
        return made

    monkeypatch.setattr(reader, "images", watched)
    with fed(lambda step: (inputs.drawn(np.arange(4), np.arange(4)),), range(20)) as batches:
        for _ in batches:
            inputs.plain(np.arange(4))
    assert (len(most), max(most)) == (40, 1)


@pytest.mark.gpu
def test_on_a_gpu_batches_are_those_of_the_host(faces_path):  # noqa: F811
    faces, device, rows = read_faces(faces_path, Part(), 3), torch.device("cuda", 0), np.arange(48)
    views = [draw_views(3, step, rows) for step in range(50)]
    host, gpu = PatchInputs(faces, FACE, PATCH), PatchInputs(faces, FACE, PATCH, device)
    with fed(lambda step: (gpu.drawn(rows, views[step]),), range(50), device) as batches:
        for view, (made,) in zip(views, batches, strict=True):
            assert made.device == device
            made = made.float() @ torch.ones(3, 3, device=device)  # work that is still going on as the next is made
            assert torch.equal(made.cpu(), host.drawn(rows, view).float() @ torch.ones(3, 3))
