"""Running a trained network over inputs, in float32 and in order.

B samples of a batch, N of all, C labels, D embedding size, P poses.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fer_core.inputs import Inputs
from fer_core.world import ALONE, World

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

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> "Embeddings":
        """`change` of each array that there is."""
        logits, pose_logits = (None if made is None else change(made) for made in (self.logits_NC, self.pose_logits_NP))
        return Embeddings(change(self.embedding_ND), logits, pose_logits)

    @classmethod
    def joined(cls, parts: list["Embeddings"]) -> "Embeddings":
        """Those of successive batches as one."""

        def column(name: str) -> np.ndarray | None:
            made = [getattr(part, name) for part in parts]
            return None if made[0] is None else np.concatenate(made)

        embedding_ND = np.concatenate([part.embedding_ND for part in parts])
        return cls(embedding_ND, column("logits_NC"), column("pose_logits_NP"))


def embed_rows(
    network: nn.Module,
    inputs: Inputs,
    rows: np.ndarray,
    progress: Callable[[int, int], None],
    world: World = ALONE,
) -> Embeddings:
    """Embed rows as they are, without augmentation.

    Args:
        network: in eval mode, on the device of the inputs.
        progress: called with (rows done, rows) of this worker after each batch.
        world: the workers that share the rows. Shares are cut at batches, so that none differs from one process'; each
            worker gets all embeddings.
    """
    own = rows[world.share(len(rows), BATCH)]
    parts = []
    for start in range(0, len(own), BATCH):
        parts.append(embed(network, inputs.plain(own[start : start + BATCH])))
        progress(min(start + BATCH, len(own)), len(own))
    # a worker without a row still has to know what a row of the others' looks like
    found = Embeddings.joined(parts) if parts else embed(network, inputs.plain(rows[:1])).mapped(lambda made: made[:0])
    return found.mapped(lambda made: world.joined(torch.from_numpy(made)).numpy())


@torch.inference_mode()
def embed(network: nn.Module, inputs: Tensor) -> Embeddings:
    """Embed a batch, by a network in eval mode on the device of the batch."""
    assert not network.training, "batch norm would mix the samples of a batch"
    outputs = network(inputs)
    logits, pose_logits = (_array(part) for part in (outputs.logits_BC, outputs.pose_logits_BP))
    return Embeddings(outputs.embedding_BD.float().cpu().numpy(), logits, pose_logits)


def _array(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.float().cpu().numpy()
