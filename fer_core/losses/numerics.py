"""What keeps every loss exact: full precision under autocast, finite input, distances that differentiate at 0."""

import torch
from torch import Tensor


def full_precision(name: str, tensor: Tensor) -> Tensor:
    """Return the tensor as float32 (float64 stays float64), checked to be finite.

    The check is one reduction and one device synchronisation: a sum is finite only if every term is, so the
    elements are looked at one by one only when it is not, which can also mean finite values whose sum overflows.

    Raises:
        ValueError: NaN or inf in the tensor, which the message calls by `name`.
    """
    tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
    values = tensor.detach()
    if not values.sum().isfinite() and not values.isfinite().all():
        raise ValueError(f"{name} holds NaN or inf")
    return tensor


def autocast_off(tensor: Tensor) -> torch.autocast:
    """Context in which operations on the tensor's device keep its precision, inside an autocast region too."""
    return torch.autocast(tensor.device.type, enabled=False)


def euclidean(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances of paired rows, (..., D) and (..., D) -> (...), with gradient 0 where the rows are equal.

    From the difference, not from the dot product: the latter leaves equal rows up to 1e-3 apart. `vector_norm` takes
    the subgradient 0 at 0, where sqrt(sum of squares) differentiates to NaN.
    """
    return torch.linalg.vector_norm(first - second, dim=-1)


def check_batch(name: str, emb: Tensor, labels_B: Tensor, num_dims: int = 2) -> None:
    """Check that `emb`, called `name`, is a batch of `num_dims` dimensions with one integer label a sample.

    Raises:
        ValueError: another number of dimensions, no sample, a label too many or too few, labels that are not integers.
    """
    if emb.ndim != num_dims or emb.shape[0] == 0:
        raise ValueError(f"{name} has shape {tuple(emb.shape)}, expected {num_dims} dimensions and at least one sample")
    if labels_B.shape != emb.shape[:1]:
        raise ValueError(f"labels_B has shape {tuple(labels_B.shape)}, expected ({emb.shape[0]},), one label a sample")
    if labels_B.is_floating_point() or labels_B.is_complex():
        raise ValueError(f"labels_B has dtype {labels_B.dtype}, expected integers")
