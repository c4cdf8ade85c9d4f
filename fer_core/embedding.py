"""Running a trained network over inputs, in float32 and in order.

B samples of a batch, N of all, C labels, D embedding size, P poses.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer_core.inputs import Inputs

BATCH = 256


@dataclass(frozen=True)
class Embeddings:
    """What a network says of N samples; float32.

    Attributes:
        embedding_ND: what distances are measured in.
        logits_NC, pose_logits_NP: None where the method has no classifier, or estimates no pose.
    """

    embedding_ND: np.ndarray
    logits_NC: np.ndarray | None = None
    pose_logits_NP: np.ndarray | None = None

    @classmethod
    def joined(cls, parts: list["Embeddings"]) -> "Embeddings":
        """Those of successive batches as one."""

        def column(name: str) -> np.ndarray | None:
            made = [getattr(part, name) for part in parts]
            return None if made[0] is None else np.concatenate(made)

        embedding_ND = np.concatenate([part.embedding_ND for part in parts])
        return cls(embedding_ND, column("logits_NC"), column("pose_logits_NP"))


def embed_rows(
    network: nn.Module, inputs: Inputs, rows: np.ndarray, progress: Callable[[int, int], None]
) -> Embeddings:
    """Embed rows as they are, without augmentation.

    Args:
        progress: called with (rows done, rows) after each batch.
    """
    parts = []
    for start in range(0, len(rows), BATCH):
        parts.append(embed(network, inputs.plain(rows[start : start + BATCH])))
        progress(min(start + BATCH, len(rows)), len(rows))
    return Embeddings.joined(parts)


@torch.inference_mode()
def embed(network: nn.Module, inputs: Tensor) -> Embeddings:
    """Embed a batch, by a network in eval mode on the device of the batch."""
    assert not network.training, "batch norm would mix the samples of a batch"
    outputs = network(inputs)
    logits, pose_logits = (_array(part) for part in (outputs.logits_BC, outputs.pose_logits_BP))
    return Embeddings(outputs.embedding_BD.float().cpu().numpy(), logits, pose_logits)


def _array(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.float().cpu().numpy()
