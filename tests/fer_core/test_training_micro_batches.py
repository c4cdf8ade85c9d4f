"""Micro-batches against the whole batch, in one process and over two."""

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from model_fixtures import MemoryStore, faces_path, one_thread, plan_of, silent  # noqa: F401
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from fer_core.errors import InputError
from fer_core.gather import average_gradients, gather
from fer_core.methods.base import Outputs
from fer_core.training import train
from fer_core.training.micro_batches import MicroBatches, num_micro_batches
from fer_core.world import World

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.training"]
ROWS, LABELS, SCALE = 11, 3, 1.5
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


class Network(nn.Module):
    """Embedding, logits and one more output, which nothing is learnt from; remembers how many rows it saw."""

    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Dropout(dropout)
        )
        self.classifier = nn.Linear(8, LABELS)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        embedding = self.body(x)
        with torch.no_grad():
            spare = embedding * 2
        return Outputs(embedding, self.classifier(embedding), more={"spare": spare, "places": x.argmax(dim=1)})


class Loss(nn.Module):
    """Compares every row with every other one, by a scale that is learnt, and with its label."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def forward(self, outputs, label_B):
        distance_BB = torch.cdist(outputs.embedding_BD, outputs.embedding_BD + 1)
        alike_BB = label_B[:, None] == label_B
        return (self.scale * distance_BB).exp()[alike_BB].mean() + cross_entropy(outputs.logits_BC, label_B)


def made(dtype, **options):
    torch.manual_seed(4)
    return Network(**options).to(dtype).train(), Loss().to(dtype)


def batch(dtype):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(ROWS, 6, generator=generator, dtype=dtype), torch.arange(ROWS) % LABELS


def called(module, inputs):
    return module(inputs)


def gradients(*modules):
    return [value.grad for module in modules for value in module.parameters()]


def of_whole(dtype):
    network, loss = made(dtype)
    x, label_B = batch(dtype)
    outputs = network(x)
    loss(outputs, label_B).backward()
    return [part.detach() for part in outputs.tensors()], gradients(network, loss)


def close(first, second, dtype):
    pairs = list(zip(first, second, strict=True))
    assert len(pairs) > 3
    return all((one - other).abs().max() <= TOLERANCE[dtype] * other.abs().max() for one, other in pairs)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("micro_batch", [2, 4, 10])
def test_outputs_and_gradients_are_those_of_the_whole_batch(dtype, micro_batch):
    network, loss = made(dtype)
    x, label_B = batch(dtype)
    parts = MicroBatches(network, num_micro_batches(ROWS, 1, micro_batch), called)
    outputs = parts.outputs(x)
    loss(outputs, label_B).backward()
    parts.backward()
    expected, expected_gradients = of_whole(dtype)
    assert close(outputs.tensors(), expected, dtype)
    assert close(gradients(network, loss), expected_gradients, dtype)
    assert max(network.seen) <= micro_batch
    assert sum(network.seen) == 2 * ROWS


@pytest.mark.parametrize(
    ("rows", "workers", "micro_batch", "number"),
    [(12, 1, None, 1), (12, 1, 12, 1), (12, 1, 5, 3), (12, 3, 2, 2), (13, 3, 2, 3), (13, 3, 4, 2), (13, 3, 5, 1)],
)
def test_every_worker_makes_the_same_number_of_parts_and_none_is_empty_or_too_large(rows, workers, micro_batch, number):
    assert num_micro_batches(rows, workers, micro_batch) == number
    for rank in range(workers):
        sizes = [len(part) for part in torch.arange(rows)[rank::workers].tensor_split(number)]
        assert 1 <= min(sizes) <= max(sizes) <= (micro_batch or rows)


def test_dropout_draws_the_same_in_both_passes_and_anew_in_each_part():
    network, loss = made(torch.float64, dropout=0.5)
    kept = []
    network.body.register_forward_hook(lambda module, given, embedding: kept.append(embedding.detach() != 0))
    x, label_B = batch(torch.float64)
    parts = MicroBatches(network, 2, called)
    loss(parts.outputs(x), label_B).backward()
    parts.backward()
    assert torch.equal(kept[0], kept[2])
    assert torch.equal(kept[1], kept[3])
    assert not torch.equal(kept[0][: len(kept[1])], kept[1])
    torch.manual_seed(6)
    first = parts.outputs(x)
    torch.manual_seed(6)
    assert torch.equal(first.embedding_BD, parts.outputs(x).embedding_BD)
    assert not torch.equal(first.embedding_BD, parts.outputs(x).embedding_BD)


def test_running_statistics_count_each_part_once():
    network, loss = made(torch.float64, norm=True)
    x, label_B = batch(torch.float64)
    parts = MicroBatches(network, 3, called)
    loss(parts.outputs(x), label_B).backward()
    norm = network.body[1]
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(8, dtype=torch.float64))
    parts.backward()
    assert norm.num_batches_tracked == 3
    again, _ = made(torch.float64, norm=True)
    for part in x.tensor_split(3):
        again(part)
    assert torch.equal(norm.running_mean, again.body[1].running_mean)
    assert torch.equal(norm.running_var, again.body[1].running_var)


def worker(rank, folder):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    network, loss = made(torch.float64)
    x, label_B = batch(torch.float64)
    exchanges = []
    model = DistributedDataParallel(network, forward_sync_buffers=False)
    model.register_comm_hook(None, lambda _, bucket: exchanges.append(bucket) or averaged(bucket))
    parts = MicroBatches(model, num_micro_batches(ROWS, 2, 2), called)
    own = parts.outputs(x[rank::2])
    loss(own.mapped(lambda part: gather(part, ROWS)), label_B).backward()
    parts.backward()
    average_gradients(loss.parameters())
    torch.save({"gradients": gradients(network, loss), "exchanges": len(exchanges)}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def averaged(bucket):
    work = dist.all_reduce(bucket.buffer() / 2, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def test_two_workers_have_the_gradients_of_one_and_exchange_them_once(tmp_path):
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method="forkserver")
    _, expected = of_whole(torch.float64)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert close(found["gradients"], expected, torch.float64)
        assert found["exchanges"] == 1


def trained(plan):
    return train(plan, World(), MemoryStore(), silent)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_training_goes_on_in_micro_batches(faces_path, bfloat16):  # noqa: F811
    """Batch norm's statistics differ, so the losses do, a little; the first step's are of the same weights."""
    plan = plan_of(faces_path, "mul_dml", epochs=2, bfloat16=bfloat16)
    whole, parts = trained(plan).history, trained(replace(plan, micro_batch=12)).history
    assert whole[0]["loss"] != parts[0]["loss"]
    assert np.allclose([row["loss"] for row in parts], [row["loss"] for row in whole], rtol=0.25)


def test_a_micro_batch_as_large_as_the_batch_is_the_batch(faces_path):  # noqa: F811
    plan = plan_of(faces_path, "sgm", epochs=1)
    assert trained(replace(plan, micro_batch=24)).history == trained(plan).history


def test_more_workers_than_rows_are_refused(faces_path):  # noqa: F811
    with pytest.raises(InputError, match="5 workers cannot share batches of 4 rows"):
        train(plan_of(faces_path, "sgm", batch_size=4), World(0, 5), MemoryStore(), silent)
