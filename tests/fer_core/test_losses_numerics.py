import math
import threading

import pytest
import torch
from torch.autograd import gradcheck

from fer_core.losses import numerics
from fer_core.losses.circle import circle_loss
from fer_core.losses.five_tuple import five_tuple_loss
from fer_core.losses.hist import Hist
from fer_core.losses.multi_threshold import multi_threshold_loss
from fer_core.losses.numerics import check_classes, deferred_checks, euclidean, full_precision
from fer_core.losses.sgm import sgm_loss
from fer_core.losses.triplet import dual_triplet_loss, triplet_loss

LOSSES = {
    "triplet": lambda emb, labels: triplet_loss(emb, labels, 0.2),
    "dual_triplet": lambda emb, labels: dual_triplet_loss(emb, labels, 0.2),
    "multi_threshold": lambda emb, labels: multi_threshold_loss(emb.unflatten(1, (2, -1)), labels, [0.2, 0.3]).sum(),
    "five_tuple": lambda emb, labels: sum(five_tuple_loss(emb, labels, labels // 2, labels % 2, 0.2, 0.2)),
    "circle": circle_loss,
    "hist": lambda emb, labels: Hist(4, emb.shape[1], hidden=5)(emb, labels),
    "sgm": lambda emb, labels: sgm_loss(emb, labels, 4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_on_a_device_checks_wait_unless_deferred(name):
    # A meta tensor has no values: an operation that needs one on the host raises.
    with torch.device("meta"):
        emb_BD, labels_B = torch.randn(8, 4, requires_grad=True), torch.zeros(8, dtype=torch.int64)
        with pytest.raises(RuntimeError, match="meta tensors"):
            LOSSES[name](emb_BD, labels_B)
        with deferred_checks():
            LOSSES[name](emb_BD, labels_B).backward()
            with pytest.raises(ValueError, match=r"(labels|expression)_B has shape"):
                LOSSES[name](emb_BD, labels_B[1:])
        with pytest.raises(RuntimeError, match="meta tensors"):
            LOSSES[name](emb_BD, labels_B)
    assert emb_BD.grad.shape == (8, 4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 3], [0, 0, 0, 0, 0, 0], [3, 0, 0, 1, 1, 2]])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_unchecked_bad_input_is_a_bad_loss(name, labels, bad, monkeypatch):
    monkeypatch.setattr(numerics, "values_are_checked", lambda tensor: False)
    for row in range(6):
        emb_BD = torch.randn(6, 4, generator=torch.Generator().manual_seed(row))
        emb_BD[row, 1] = bad
        assert not LOSSES[name](emb_BD, torch.tensor(labels)).isfinite()


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"hist"}))  # its batch normalisation refuses one sample
def test_unchecked_nan_of_one_sample_is_a_bad_loss(name, monkeypatch):
    monkeypatch.setattr(numerics, "values_are_checked", lambda tensor: False)
    assert LOSSES[name](torch.tensor([[1.0, math.nan, 1.0, 1.0]]), torch.tensor([2])).isnan()


def test_deferred_checks_leave_the_cpu_checked_and_end_with_an_error():
    def fail():
        with deferred_checks():
            full_precision("values", torch.tensor([math.nan]))

    with pytest.raises(ValueError, match="values holds NaN or inf"):
        fail()
    with pytest.raises(ValueError, match="labels_B reaches from 5 to 5"), deferred_checks():
        check_classes(torch.tensor([5]), 5)
    with pytest.raises(RuntimeError, match="meta tensors"):
        full_precision("values", torch.ones(1, device="meta"))


def test_deferred_checks_hold_for_one_thread():
    on_device = torch.ones(1, device="meta")
    seen = []
    with deferred_checks():
        thread = threading.Thread(target=lambda: seen.append(numerics.values_are_checked(on_device)))
        thread.start()
        thread.join()
        with deferred_checks():
            pass
        assert not numerics.values_are_checked(on_device)
    assert seen == [True]
    assert numerics.values_are_checked(on_device)


def test_euclidean_and_its_gradient():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(euclidean(first, second), (first - second).square().sum(dim=-1).sqrt())
    assert gradcheck(euclidean, (first.requires_grad_(), second.requires_grad_()))
    assert gradcheck(lambda rows: euclidean(rows, second.detach()), first)


def test_euclidean_of_equal_rows_has_gradient_zero():
    first = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    second = torch.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    euclidean(first, second).sum().backward()
    assert first.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]
    assert second.grad.tolist() == [[0.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_euclidean_hides_nothing(bad):
    first = torch.tensor([[bad, 1.0]], requires_grad=True)
    distance = euclidean(first, torch.ones(1, 2))
    distance.sum().backward()
    assert not distance.isfinite().any()
    assert not first.grad.isfinite().all()
