"""Labels of any kind as small integers, the form that the tuples are built on."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import torch

from fer_core.errors import InputError

Labels: TypeAlias = Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray


class CodedLabels(NamedTuple):
    """`code_N` int32 0..K-1, equal exactly where the labels are; `names[code]` is the label."""

    code_N: np.ndarray
    names: list[Any]


def coded(column: Labels, name: str) -> CodedLabels:
    """Code a column of labels in one pass: all integers or all strings, in a list, an array or a Parquet column.

    Negative integers are labels like others (a pose to the left). Raises InputError, naming the column, where a label
    is missing (None, NaN or null), and ValueError for labels of mixed kinds.
    """
    labels = pa.array(column.numpy(force=True) if isinstance(column, torch.Tensor) else column, from_pandas=True)
    if labels.null_count:
        raise InputError(f"{name} is missing in {labels.null_count} of {len(labels)} samples; leave these samples out")
    encoded = labels.dictionary_encode()
    return CodedLabels(encoded.indices.to_numpy(), encoded.dictionary.to_pylist())


def cells(first: CodedLabels, second: CodedLabels) -> np.ndarray:
    """Codes int32 (N,) of pairs of labels, all below N: samples with both labels equal share a cell."""
    pair_N = first.code_N.astype(np.int64) * len(second.names) + second.code_N
    if len(first.names) * len(second.names) <= len(pair_N):
        return pair_N.astype(np.int32)
    return np.array(pa.array(pair_N).dictionary_encode().indices)


def check_lengths(**columns: Labels) -> None:
    """Raise ValueError, with all lengths, unless the columns have one label for each sample."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("labels of different numbers of samples: " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
