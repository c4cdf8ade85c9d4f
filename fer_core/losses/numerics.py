"""What keeps every loss exact: full precision under autocast, finite input, distances that differentiate at 0."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor

_deferred: ContextVar[bool] = ContextVar("deferred_checks", default=False)


class NotFiniteError(ValueError):
    """A number that a network made is NaN or infinite: what is learnt diverged."""


@contextmanager
def deferred_checks() -> Iterator[None]:
    """Context for a training step: looks into values that are not on the CPU are left out, so nothing waits for them.

    Only what a look at the values would tell is left out (NaN, inf, labels outside the classes); shapes and types are
    checked as ever, and so are values on the CPU, where a look costs nothing. What is not reported then still shows:
    NaN or inf in the input of a loss comes out as a loss of NaN or inf, which the caller checks when it reads the loss.
    Holds for the thread that enters it.
    """
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


def values_are_checked(tensor: Tensor) -> bool:
    """Whether a check may look at the tensor's values here, which off the CPU means waiting for the device."""
    return tensor.device.type == "cpu" or not _deferred.get()


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor as float32; float64 stays float64. What a network gives under autocast is of half precision."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def full_precision(name: str, tensor: Tensor) -> Tensor:
    """Return the tensor as float32 (float64 stays float64), checked to be finite.

    The check is one reduction and one device synchronisation, which `deferred_checks` spares: a sum is finite only if
    every term is, so the elements are looked at one by one only when it is not, which can also mean finite values
    whose sum overflows.

    Raises:
        NotFiniteError: NaN or inf in the tensor, which the message calls by `name`.
    """
    tensor = at_least_float32(tensor)
    values = tensor.detach()
    if values_are_checked(values) and not values.sum().isfinite() and not values.isfinite().all():
        raise NotFiniteError(f"{name} holds NaN or inf")
    return tensor


def autocast_off(tensor: Tensor) -> AbstractContextManager[object]:
    """Context in which operations on the tensor's device keep its precision, inside an autocast region too."""
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def euclidean(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances of paired rows, (..., D) and (..., D) -> (...), with gradient 0 where the rows are equal.

    From the difference, not from the dot product: the latter leaves equal rows up to 1e-3 apart. `vector_norm` takes
    the subgradient 0 at 0, where sqrt(sum of squares) differentiates to NaN.
    """
    return torch.linalg.vector_norm(first - second, dim=-1)


def check_batch(name: str, emb: Tensor, labels_B: Tensor, num_dims: int = 2, labels_name: str = "labels_B") -> None:
    """Check that `emb`, called `name`, is a batch of `num_dims` dimensions with one integer label a sample.

    Raises:
        ValueError: another number of dimensions, no sample, a label too many or too few, labels that are not integers.
    """
    if emb.ndim != num_dims or emb.shape[0] == 0:
        raise ValueError(f"{name} has shape {tuple(emb.shape)}, expected {num_dims} dimensions and at least one sample")
    if labels_B.shape != emb.shape[:1]:
        shape = tuple(labels_B.shape)
        raise ValueError(f"{labels_name} has shape {shape}, expected ({emb.shape[0]},), one label a sample")
    if labels_B.is_floating_point() or labels_B.is_complex():
        raise ValueError(f"{labels_name} has dtype {labels_B.dtype}, expected integers")


def check_classes(labels_B: Tensor, num_classes: int) -> None:
    """Check that every label is a class, 0 to num_classes - 1; one synchronisation, which `deferred_checks` spares.

    Raises:
        ValueError: a label outside the classes.
    """
    if values_are_checked(labels_B) and bool(((labels_B < 0) | (labels_B >= num_classes)).any()):
        raise ValueError(f"labels_B reaches from {labels_B.min()} to {labels_B.max()}, expected 0 to {num_classes - 1}")
