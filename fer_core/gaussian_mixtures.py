"""Gaussian mixtures with diagonal covariances, fitted by EM to rows that several workers share.

Sums over the rows are taken chunk by chunk, and every worker adds the chunks' sums in the order of the rows. All that
is decided on the way is decided by such sums, so that workers go through the iterations of one process alone.

M rows of all workers, R of one share or chunk, D embedding size, K components, S starts, T trials of a centre.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fer_core.world import World

Covariance = Literal["diag", "spherical"]

NUM_STARTS = 3
"""Starts of EM, of which the likeliest result is kept."""
MAX_ITERATIONS = 200
TOLERANCE = 1e-3
"""EM has settled when the mean log-likelihood of a row changes by less."""
NUM_KMEANS_STEPS = 10
"""Before EM, at most (ours): all that k-means takes to settle is more than the EM that it saves."""
CHUNK, MOST_CHUNKS = 1024, 1024
"""Rows that are summed at once, so that they stay in a core's cache; larger tables have larger chunks, as the sums of
all chunks are sent."""


class Gaussians(NamedTuple):
    """S mixtures of K components; float64."""

    means_SKD: Tensor
    variances_SKD: Tensor
    weights_SK: Tensor

    def at(self, starts: list[int]) -> "Gaussians":
        """Some of the mixtures."""
        return Gaussians(*(values[starts] for values in self))


class SharedRows:
    """Rows that several workers share.

    Args:
        rows_MD: all of them, on each worker; centred, as variances are taken as E[x^2] - E[x]^2, which cancels far
            from the origin.
        world: who shares them. Rows of one chunk are not worth sending: each worker then computes with all of them.

    Attributes:
        count: M.
        world: this worker among those that really share them.
        own, own_RD: this worker's share of them, as a slice and in float64.
        chunk: rows that are summed at once.
    """

    def __init__(self, rows_MD: Tensor, world: World) -> None:
        self.count = len(rows_MD)
        self.chunk = CHUNK * -(-self.count // (CHUNK * MOST_CHUNKS))
        self.world = world if self.count > CHUNK else World(device=world.device)
        self.own = self.world.share(self.count, self.chunk)
        self.own_RD = rows_MD[self.own].to(world.device, torch.float64)

    def each(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`function` of the rows (R, D) of a chunk -> (..., R), for this worker's share."""
        return torch.cat([function(rows_RD) for rows_RD in self.own_RD.split(self.chunk)], dim=-1)

    def total(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`function` of the rows (R, D) of a chunk, added over all: the same bits however many share them."""
        return self.added(function(rows_RD) for rows_RD in self.own_RD.split(self.chunk))

    def added(self, parts: Iterable[Tensor]) -> Tensor:
        """The sum of what all workers have for each of their chunks."""
        num_chunks = -(-len(self.own_RD) // self.chunk)  # none where the share is empty, whose one part is nothing
        return self.world.joined(torch.stack(list(parts))[:num_chunks]).sum(dim=0)


def fit(
    rows: SharedRows, num_components: int, seed: int, covariance: Covariance, floor: float
) -> tuple[Gaussians, bool]:
    """The likeliest mixture (S = 1) that EM reaches from NUM_STARTS starts of k-means, and whether it settled there.

    Args:
        num_components: at most as many as there are different rows.
        seed: of the starts.
        covariance: "diag", one variance a dimension, or "spherical", one a component.
        floor: added to every variance.
    """
    centres_SKD = spread_centres(rows, num_components, seed)
    for _ in range(NUM_KMEANS_STEPS):
        count_SK1, sum_SKD = rows.total(partial(_members, centres_SKD=centres_SKD)).tensor_split([1], dim=2)
        before_SKD = centres_SKD
        centres_SKD = torch.where(count_SK1 > 0, sum_SKD / count_SK1.clamp(min=1), before_SKD)
        if torch.equal(centres_SKD, before_SKD):
            break
    moments = rows.total(lambda rows_RD: _moments(rows_RD, _nearest(rows_RD, centres_SKD)))
    return expectation_maximization(rows, maximized(moments, covariance, floor), covariance, floor)


def spread_centres(rows: SharedRows, num_centres: int, seed: int) -> Tensor:
    """The rows (S, K, D) that k-means++ begins with, greedily: of some trials the one that brings all rows nearest.

    A trial is drawn by its squared distance to the nearest centre so far, as the first of waiting times that are
    exponential with these rates: a minimum, unlike a running sum, does not depend on how the rows are shared.
    """
    rng = np.random.default_rng(seed)
    starts, num_trials = torch.arange(NUM_STARTS), 2 + int(math.log(num_centres))
    rate_SR = rows.own_RD.new_ones(NUM_STARTS, len(rows.own_RD))
    reach_SR = torch.full_like(rate_SR, torch.inf)
    chosen: list[Tensor] = []
    while len(chosen) < num_centres:
        trial_STD = torch.stack([_drawn(rows, rate_SR, rng) for _ in range(num_trials)], dim=1)
        distance_STR = rows.each(partial(_distances, centres_SKD=trial_STD))
        reach_STR = torch.minimum(reach_SR[:, None], distance_STR)
        best_S = rows.added(part.sum(dim=2) for part in reach_STR.split(rows.chunk, dim=2)).argmin(dim=1)
        chosen.append(trial_STD[starts, best_S])
        rate_SR = reach_SR = reach_STR[starts, best_S]
    return torch.stack(chosen, dim=1)


def _drawn(rows: SharedRows, rate_SR: Tensor, rng: np.random.Generator) -> Tensor:
    """A row (D) for each start."""
    waiting_SM = torch.from_numpy(rng.exponential(size=(NUM_STARTS, rows.count)))
    waiting_SR = waiting_SM[:, rows.own].to(rate_SR.device) / rate_SR.clamp(min=torch.finfo(rate_SR.dtype).tiny)
    first = rate_SR.new_empty(0, NUM_STARTS, 1 + rows.own_RD.shape[1])
    if len(rows.own_RD):
        least_S, at_S = waiting_SR.min(dim=1)
        first = torch.cat([least_S[:, None], rows.own_RD[at_S]], dim=1)[None]
    of_workers = rows.world.joined(first)
    return of_workers[of_workers[:, :, 0].argmin(dim=0), torch.arange(NUM_STARTS), 1:]


def _distances(rows_RD: Tensor, centres_SKD: Tensor) -> Tensor:
    """Squared, (S, K, R)."""
    flat_XD = centres_SKD.flatten(0, 1)
    from_centres_XR = torch.addmm(flat_XD.square().sum(dim=1, keepdim=True), flat_XD, rows_RD.T, alpha=-2)
    distance_XR = (from_centres_XR + rows_RD.square().sum(dim=1)).clamp(min=0)
    return distance_XR.view(*centres_SKD.shape[:2], len(rows_RD))


def _nearest(rows_RD: Tensor, centres_SKD: Tensor) -> Tensor:
    """1 for each row's nearest centre of a start, else 0: (S, K, R)."""
    distance_SKR = _distances(rows_RD, centres_SKD)
    return torch.zeros_like(distance_SKR).scatter_(1, distance_SKR.argmin(dim=1, keepdim=True), 1.0)


def _members(rows_RD: Tensor, centres_SKD: Tensor) -> Tensor:
    """Number and sum of the rows that are nearest to each centre, (S, K, 1 + D)."""
    member_XR = _nearest(rows_RD, centres_SKD).flatten(0, 1)
    summed_XD = torch.cat([member_XR.sum(dim=1, keepdim=True), member_XR @ rows_RD], dim=1)
    return summed_XD.view(*centres_SKD.shape[:2], -1)


def _moments(rows_RD: Tensor, share_SKR: Tensor) -> Tensor:
    """Number, sum and sum of squares of the rows by their shares in each component, (S, K, 1 + 2D)."""
    share_XR = share_SKR.flatten(0, 1)
    sums = [share_XR.sum(dim=1, keepdim=True), share_XR @ rows_RD, share_XR @ rows_RD.square()]
    return torch.cat(sums, dim=1).view(*share_SKR.shape[:2], -1)


def maximized(moments_SKX: Tensor, covariance: Covariance, floor: float) -> Gaussians:
    """The M-step: the mixtures that are likeliest, given the rows' number, sum and sum of squares in each component."""
    num_dims = moments_SKX.shape[2] // 2
    count_SK1, sum_SKD, square_SKD = moments_SKX.split([1, num_dims, num_dims], dim=2)
    count_SK1 = count_SK1 + 10 * torch.finfo(torch.float64).eps  # a component may have lost all its rows
    means_SKD = sum_SKD / count_SK1
    variances_SKD = square_SKD / count_SK1 - means_SKD.square() + floor
    if covariance == "spherical":
        variances_SKD = variances_SKD.mean(dim=2, keepdim=True).expand_as(means_SKD).contiguous()
    return Gaussians(means_SKD, variances_SKD, (count_SK1 / count_SK1.sum(dim=1, keepdim=True))[:, :, 0])


def expectation_maximization(
    rows: SharedRows, starts: Gaussians, covariance: Covariance, floor: float
) -> tuple[Gaussians, bool]:
    """The likeliest of the mixtures that EM reaches from the starts (S = 1), and whether it settled there."""
    found = Gaussians(*(values.clone() for values in starts))
    likelihood_S = np.full(len(found.means_SKD), -np.inf)
    settled_S = np.zeros(len(likelihood_S), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        active = np.flatnonzero(~settled_S).tolist()
        if not active:
            break
        moments, total_S = _expected(rows, found.at(active))
        for values, stepped in zip(found, maximized(moments, covariance, floor), strict=True):
            values[active] = stepped
        mean_S = total_S.cpu().numpy() / rows.count
        settled_S[active] = np.abs(mean_S - likelihood_S[active]) < TOLERANCE
        likelihood_S[active] = mean_S
    best = int(likelihood_S.argmax())
    return found.at([best]), bool(settled_S[best])


def _expected(rows: SharedRows, mixtures: Gaussians) -> tuple[Tensor, Tensor]:
    """The E-step: the moments (S, K, 1 + 2D) by the components' probabilities, the log-likelihood (S) of all rows."""

    def sums(rows_RD: Tensor) -> Tensor:
        log_joint_SKR = log_joint(rows_RD, mixtures)
        highest_S1R = log_joint_SKR.amax(dim=1, keepdim=True)
        share_SKR = (log_joint_SKR - highest_S1R).exp_()
        sum_S1R = share_SKR.sum(dim=1, keepdim=True)
        likelihood_S1 = (highest_S1R + sum_S1R.log()).sum(dim=2)
        return torch.cat([_moments(rows_RD, share_SKR.div_(sum_S1R)).flatten(1), likelihood_S1], dim=1)

    together = rows.total(sums)
    return together[:, :-1].view(*mixtures.weights_SK.shape, -1), together[:, -1]


def log_joint(rows_RD: Tensor, mixtures: Gaussians) -> Tensor:
    """(S, K, R) log of weight * density of each component."""
    means_XD, variances_XD = mixtures.means_SKD.flatten(0, 1), mixtures.variances_SKD.flatten(0, 1)
    log_scale_X = (means_XD.square() / variances_XD + (2 * math.pi * variances_XD).log()).sum(dim=1)
    constant_X1 = (mixtures.weights_SK.flatten().log() - 0.5 * log_scale_X)[:, None]
    linear_XR = torch.addmm(constant_X1, means_XD / variances_XD, rows_RD.T)
    log_joint_XR = torch.addmm(linear_XR, variances_XD.reciprocal(), rows_RD.square().T, alpha=-0.5)
    return log_joint_XR.view(*mixtures.weights_SK.shape, len(rows_RD))
