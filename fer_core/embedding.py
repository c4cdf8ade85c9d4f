"""Running a trained network over face crops, in float32 and in order."""

from collections.abc import Callable

import numpy as np
import torch

from fer_core.methods.base import Network
from fer_core.patches import Patches
from fer_core.reading import FaceTable

BATCH = 256


def embed_rows(
    network: Network, faces: FaceTable, rows: np.ndarray, patches: Patches, progress: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Embeddings float32 (N, D) and logits float32 (N, C) or None of the central patches of `rows`.

    Args:
        progress: called with (rows done, rows) after each batch.
    """
    embeddings, logits = [], []
    for start in range(0, len(rows), BATCH):
        embedding, logit = embed(network, patches.central(faces.images(rows[start : start + BATCH])))
        embeddings.append(embedding)
        logits.append(logit)
        progress(min(start + BATCH, len(rows)), len(rows))
    joined = None if logits[0] is None else np.concatenate([part for part in logits if part is not None])
    return np.concatenate(embeddings), joined


@torch.inference_mode()
def embed(network: Network, patches_BHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Embeddings (B, D) and logits (B, C) or None of uint8 patches, by a network in eval mode."""
    assert not network.training, "batch norm would mix the samples of a batch"
    device = network.mean.device
    outputs = network(torch.from_numpy(np.ascontiguousarray(patches_BHWC)).to(device))
    logits = None if outputs.logits_BC is None else outputs.logits_BC.float().cpu().numpy()
    return outputs.embedding_BD.float().cpu().numpy(), logits
