"""Workers over gloo: what they embed, fit and find together is what one process alone does."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from model_fixtures import faces_path, finished, make_run, one_thread, silent  # noqa: F401

from fer_core import embedding, levels
from fer_core.assessment.base import Case
from fer_core.assessment.protocols import PROTOCOLS
from fer_core.evaluation.average_precision import average_precisions
from fer_core.evaluation.neighbours import nearest
from fer_core.folds import Part
from fer_core.predictor import Predictor
from fer_core.reading import read_faces
from fer_core.subdivision import fit_mixtures
from fer_core.world import ALONE, World

PRELOAD = ["torch._dynamo", "torch.multiprocessing", "fer_core.assessment.protocols"]
SIZES = (1, 2, 3)
BATCH = 10
"""Of embedded rows: 24 are two batches and a part, so that of three workers each has one."""


def crowds():
    """Classes of several chunks, of one, and of two samples, whose groups overlap."""
    rng = np.random.default_rng(0)
    label_N = rng.permutation(np.repeat([5, -1, 9, 2], [4000, 2500, 300, 2]))
    center_KD = rng.normal(size=(7, 6))
    emb_ND = center_KD[rng.integers(7, size=len(label_N))] + 0.4 * rng.normal(size=(len(label_N), 6))
    return (emb_ND + 3 * label_N[:, None]).astype(np.float32), label_N


def everything(world, run, level, faces, folder):
    """What the workers make together, as arrays by name."""
    embedding.BATCH = BATCH
    table = read_faces(faces, Part(), 3)
    crowd_ND, label_N = crowds()
    made = {"share": world.joined(torch.arange(103)[world.share(103, 10)]).numpy()}
    made["uneven"] = world.joined(torch.full((world.rank, 2), world.rank)).numpy()
    for covariance in ("diag", "spherical"):
        mixtures = fit_mixtures(crowd_ND, label_N, 3, seed=1, covariance=covariance, world=world)
        made |= {f"{covariance} {name}": np.asarray(mixtures.__dict__[name]) for name in MIXTURES}
    some = np.concatenate([crowd_ND[:500], crowd_ND[:100]])  # copies: equally near ones
    made["index"], made["distance"] = nearest(some, some, 7, exclude_self=True, world=world)
    made["one query"] = nearest(some[:1], some, 7, world=world)[0]
    made["precision"] = average_precisions(some, np.concatenate([label_N[:500], label_N[:100]]), world)
    levels.make_level(folder, run, table, 2, 0, silent, world)
    protocol, case = PROTOCOLS["expressions"], Case(Predictor(run, level), table, table, seed=0, resamples=50)
    found = protocol.measure(case, silent, world)
    made["metrics"] = np.array([(one.value, one.low, one.high) for one in found.evaluation.metrics.values()])
    made["embedding"], made["probability"] = found.predictions.embedding, found.predictions.probability
    made["audit"] = found.label_audit.index
    made["tested"] = PROTOCOLS["pairs"].measure(case, silent, world)
    return made


MIXTURES = ("labels_N", "means", "variances", "weights", "class_of", "log_likelihood", "converged")


def worker(rank, size, folder, *given):
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    np.savez(f"{folder}/{rank}.npz", **everything(World(rank, size), *given, Path(folder)))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def given(make_run, faces_path):  # noqa: F811
    return (*make_run("mul_dml"), faces_path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, given):
    """(folder of the level, what one process makes)."""
    folder = tmp_path_factory.mktemp("alone")
    before = embedding.BATCH
    yield folder, everything(ALONE, *given, folder)
    embedding.BATCH = before


@pytest.fixture(scope="module", params=SIZES)
def workers(request, tmp_path_factory, given):
    """(folder of the level, what each worker has)."""
    folder = tmp_path_factory.mktemp("workers")
    multiprocessing.set_forkserver_preload(PRELOAD)
    mp.start_processes(worker, (request.param, str(folder), *given), nprocs=request.param, start_method="forkserver")
    return folder, [dict(np.load(folder / f"{rank}.npz")) for rank in range(request.param)]


def test_every_worker_has_what_one_process_has(alone, workers):
    for made in workers[1]:
        assert made.pop("uneven").tolist() == [[rank, rank] for rank in range(len(workers[1])) for _ in range(rank)]
        assert made.keys() | {"uneven"} == alone[1].keys()
        for name, values in made.items():
            np.testing.assert_array_equal(values, alone[1][name], err_msg=name)
    assert alone[1]["share"].tolist() == list(range(103))
    assert np.isfinite(alone[1]["precision"]).all()


def test_the_first_worker_writes_the_level_of_one_process(alone, workers):
    for name in levels.FILES:
        assert (workers[0] / name).read_bytes() == (alone[0] / name).read_bytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(("count", "multiple"), [(0, 4), (3, 4), (10, 4), (10, 1), (28, 4)])
def test_shares_are_all_rows_once_cut_at_multiples(size, count, multiple):
    shares = [World(rank, size).share(count, multiple) for rank in range(size)]
    assert [row for share in shares for row in range(count)[share]] == list(range(count))
    assert all(share.start % multiple == 0 for share in shares if share.start < share.stop)
    pieces = [-(-(share.stop - share.start) // multiple) for share in shares]
    assert max(pieces) - min(pieces) <= 1
