"""The cascade of MTCNN (Zhang et al. 2016, figure 1) over all pictures of a call at once.

Shape letters: N candidates of all pictures together, 4 = left, top, right, bottom, P = 5 landmarks; pixels.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch

from fer_core.detection.boxes import corrected, square, suppress
from fer_core.detection.crops import P_NET_WINDOW, Batch, normalised, pyramid, windows
from fer_core.detection.networks import ONet, PNet, RNet, Verdict, with_published_weights

P_NET_STRIDE = 2
WINDOWS_AT_ONCE = 128
"""In R- and O-Net, so that their inner pictures stay in the cache and memory is bounded."""


class Candidates(NamedTuple):
    """Possible faces, by picture, best first: picture (N,), box (N, 4), score (N,), landmarks (N, P, 2)."""

    picture_N: torch.Tensor
    box_N4: torch.Tensor
    score_N: torch.Tensor
    landmarks_NP2: torch.Tensor


class Networks(NamedTuple):
    """P-, R- and O-Net with their published weights."""

    pnet: PNet
    rnet: RNet
    onet: ONet


def load_networks(device: torch.device) -> Networks:
    """Load the three networks onto a device.

    Raises:
        InputError: the published weights are not installed.
    """
    return Networks(
        with_published_weights(PNet()).to(device),
        with_published_weights(RNet()).to(device),
        with_published_weights(ONet()).to(device),
    )


def find_faces(
    networks: Networks, batches: list[Batch], least_share: float, thresholds: tuple[float, float, float]
) -> Candidates:
    """Faces of all pictures, by picture, best first; none where no candidate survives.

    Args:
        networks: see `load_networks`.
        batches: at least one; pictures numbered on from one batch to the next.
        least_share: least side of a face that is looked for, as a share of the picture's shorter side.
        thresholds: least probability of a face for P-, R- and O-Net.
    """
    proposed = _joined(_proposals(networks.pnet, batch, least_share, thresholds[0]) for batch in batches)
    refined = _judged(networks.rnet, batches, proposed, thresholds[1])
    kept = _take(refined, suppress(*refined[:3], most=0.7, of="union"))
    faces = _judged(networks.onet, batches, kept._replace(box_N4=square(kept.box_N4)), thresholds[2])
    return _take(faces, suppress(*faces[:3], most=0.7, of="smaller"))


def _proposals(pnet: PNet, batch: Batch, least_share: float, threshold: float) -> Candidates:
    """Squares around what P-Net takes for faces at any level of the pyramid."""
    images_BCHW = normalised(batch)
    height, width = images_BCHW.shape[2:]
    least_face = max(P_NET_WINDOW, least_share * min(height, width))
    parts = [_none(images_BCHW.device)]
    for level in pyramid(images_BCHW, least_face):
        ratio = images_BCHW.new_tensor([width / level.shape[3], height / level.shape[2]])
        found = _at_level(pnet(level), ratio, threshold)
        kept = suppress(*found[:3], most=0.5, of="union")
        parts.append(_take(found, kept))
    found = _joined(parts)
    found = _take(found, suppress(*found[:3], most=0.7, of="union"))
    return found._replace(picture_N=found.picture_N + batch.first, box_N4=square(found.box_N4))


def _at_level(verdict: Verdict, ratio: torch.Tensor, threshold: float) -> Candidates:
    """Windows of one level above the threshold, corrected, in pixels of the picture."""
    picture_N, row_N, column_N = torch.where(verdict.face > threshold)
    corner_N2 = P_NET_STRIDE * torch.stack([column_N, row_N], dim=1).to(ratio.dtype)
    box_N4 = torch.cat([corner_N2, corner_N2 + P_NET_WINDOW], dim=1)
    box_N4 = corrected(box_N4, verdict.box[picture_N, :, row_N, column_N]) * ratio.repeat(2)
    return Candidates(picture_N, box_N4, verdict.face[picture_N, row_N, column_N], box_N4.new_empty(len(box_N4), 5, 2))


def _judged(network: RNet | ONet, batches: list[Batch], given: Candidates, threshold: float) -> Candidates:
    """Candidates that the network takes for faces, their boxes corrected (and landmarks placed, by O-Net)."""
    cut = windows(batches, given.picture_N, given.box_N4, network.SIDE)
    verdicts = [network(part) for part in cut.split(WINDOWS_AT_ONCE)]
    score_N, shift_N4 = (torch.cat([verdict[part] for verdict in verdicts]) for part in (0, 1))
    landmarks_NP2 = given.landmarks_NP2
    if isinstance(network, ONet):
        share_NP2 = torch.cat([verdict.landmarks for verdict in verdicts]).reshape(-1, 2, 5).transpose(1, 2)
        low, high = given.box_N4[:, None, :2], given.box_N4[:, None, 2:]
        landmarks_NP2 = low + share_NP2 * (high - low)
    judged = Candidates(given.picture_N, corrected(given.box_N4, shift_N4), score_N, landmarks_NP2)
    return _take(judged, score_N > threshold)


def _take(candidates: Candidates, rows: torch.Tensor) -> Candidates:
    return Candidates(*(part[rows] for part in candidates))


def _joined(parts: Iterable[Candidates]) -> Candidates:
    return Candidates(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _none(device: torch.device) -> Candidates:
    empty = torch.empty(0, device=device)
    return Candidates(empty.long(), empty.reshape(0, 4), empty, empty.reshape(0, 5, 2))
