"""Differentiable k-means (Cho et al. 2022, "DKM", sections 3.1 and 3.2) in memory linear in the weights.

An iteration replaces centroids C by the means of the weights W, weighted by the attention
``A = max(softmax(-|W - C|^2 / tau), floor)``; the result is ``A C`` with the last attention and centroids.
With Gumbel noise G (Jang et al. 2017) the attention is ``softmax(-|W - C|^2 / tau + G)``.
Autograd would keep attention and distances of every iteration, [weights, centroids] each. Here forward and
backward compute them anew, a few weights at a time.

Inside, axes are [groups, elements or clusters, points], points last: that vectorizes. A row of ones (zeros
for points that do not count) below the points lets one product give sums and masses of clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_PART = 1 << 17
"""Attention values at a time: few enough for a processor's cache."""


def dkm(
    weights: Tensor,
    mask: Tensor | None,
    centroids: Tensor,
    *,
    tau: float = 1e-4,
    iterations: int = 3,
    tolerance: float = 1e-4,
    floor: float = 1e-7,
    bonus: float = 0.0,
    zero_first: bool = False,
    mode: str = "dkm",
    seed: Tensor | None = None,
    levels: int = 0,
) -> tuple[Tensor, Tensor]:
    """Clusters weights; gradients flow to the weights through every iteration.

    Args:
        weights: float32 [groups, points, elements].
        mask: bool [groups, points]: points that count, the others become 0. None is all.
        centroids: float32 [groups, clusters, elements]: where to start.
        tau: Temperature.
        iterations: How many at most.
        tolerance: Stops when the sum of squared distances changes by no more than this.
        floor: Least attention.
        bonus: Subtracted from the squared distances to the first centroid; minus infinity leaves it to points
            that are zero.
        zero_first: Whether the first centroid is fixed at 0.
        mode: ``dkm``, ``gsm`` (with Gumbel noise, without a floor), or ``hard``: all attention goes to the
            nearest centroid (no gradient flows through it then).
        seed: int64 scalar: which noise; for ``gsm``, and only there.
        levels: Centroids are rounded to multiples of their largest magnitude / levels; 0 for not at all.

    Returns:
        The clustered weights and the centroids, the latter without gradient.
    """
    points = weights.mT.contiguous()
    kept = torch.ones_like(points[:, :1]) if mask is None else mask.to(weights.dtype).unsqueeze(1)
    out, table, *_ = _dkm(
        torch.cat([points * kept, kept], dim=1),
        centroids,
        tau,
        iterations,
        tolerance,
        0.0 if mode == "gsm" else floor,
        bonus,
        zero_first,
        mode,
        seed,
        levels,
    )
    return out.mT, table


@torch.library.custom_op("mlpress::dkm", mutates_args=())
def _dkm(
    points: Tensor,
    centroids: Tensor,
    tau: float,
    iterations: int,
    tolerance: float,
    floor: float,
    bonus: float,
    zero_first: bool,
    mode: str,
    seed: Tensor | None,
    levels: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns output, centroids, and for backward: centroids, means, masses of iterations, how many."""
    length, attention = centroids.shape[-1], _Attention.of(tau, floor, mode, seed)
    starts = centroids.new_zeros(iterations, *centroids.shape)
    means = torch.zeros_like(starts)
    masses = centroids.new_ones(*starts.shape[:-1], 1)
    table, before, done = centroids.clone(), None, iterations
    for step in range(iterations):
        starts[step] = table
        sums, inertia = centroids.new_zeros(*table.shape[:-1], length + 1), table.new_zeros(())
        for part in _parts(points, table):
            some = points[..., part]
            distances = _distances(some, table, bonus)
            inertia += (distances.amin(1) * some[:, -1]).sum()
            sums.baddbmm_(attention(distances, step, part.start), some.mT)
        mass = sums[..., length:]
        masses[step] = torch.where(mass > 0, mass, 1)
        means[step] = torch.where(mass > 0, sums[..., :length] / masses[step], table)
        table = rounded(means[step], levels)
        if zero_first:
            table[:, 0] = 0
        if before is not None and abs(before - float(inertia)) <= tolerance:
            done = step + 1
            break
        before = float(inertia)
    out = torch.empty_like(points[:, :length])
    for part in _parts(points, table):
        distances = _distances(points[..., part], starts[done - 1], bonus)
        torch.bmm(table.mT, attention(distances, done - 1, part.start), out=out[..., part])
    out *= points[:, -1:]
    return out, table, starts, means, masses, torch.tensor(done)


@_dkm.register_fake
def _dkm_fake(  # type: ignore[no-untyped-def]
    points, centroids, tau, iterations, tolerance, floor, bonus, zero_first, mode, seed, levels
):
    starts = centroids.new_empty(iterations, *centroids.shape)
    return (
        torch.empty_like(points[:, : centroids.shape[-1]]),
        torch.empty_like(centroids),
        starts,
        torch.empty_like(starts),
        torch.empty_like(starts[..., :1]),
        torch.empty((), dtype=torch.int64, device="cpu"),
    )


@torch.library.custom_op("mlpress::dkm_backward", mutates_args=())
def _dkm_backward(
    grad: Tensor,
    points: Tensor,
    table: Tensor,
    starts: Tensor,
    means: Tensor,
    masses: Tensor,
    done: Tensor,
    tau: float,
    floor: float,
    bonus: float,
    zero_first: bool,
    mode: str,
    seed: Tensor | None,
) -> Tensor:
    """Returns the gradient of the points; zero for the row of ones."""
    length, attention = table.shape[-1], _Attention.of(tau, floor, mode, seed)
    grad = grad * points[:, -1:]
    last = int(done) - 1
    towards = torch.zeros_like(table)  # gradient of the centroids that an iteration ended with
    for part in _parts(points, table):
        distances = _distances(points[..., part], starts[last], bonus)
        towards.baddbmm_(attention(distances, last, part.start), grad[..., part].mT)
    result = torch.zeros_like(points)
    for step in range(last, -1, -1):
        if zero_first:
            towards[:, 0] = 0
        mean = towards / masses[step]
        to_sums = torch.cat([mean, -(mean * means[step]).sum(-1, keepdim=True)], dim=-1)
        start, sums = starts[step], torch.zeros_like(to_sums)
        for part in _parts(points, table):
            some, found = points[..., part], result[:, :length, part]
            distances = _distances(some, start, bonus)
            if mode == "hard":
                found += mean.mT @ attention(distances, step, part.start)
                continue
            probability = attention.softmax(distances, step, part.start)
            to_attention = to_sums @ some
            if step == last:
                to_attention.baddbmm_(table, grad[..., part])
            # The gradient of a clamp, in one vectorized pass; at the floor itself it makes no difference.
            to_attention = torch.ops.aten.threshold_backward(to_attention, probability, floor)
            found += mean.mT @ probability.clamp(min=floor)
            to_distance = torch.ops.aten._softmax_backward_data(
                to_attention, probability, 1, probability.dtype
            ).mul_(-1 / tau)
            found += 2 * (to_distance.sum(1, keepdim=True) * some[:, :length] - start.mT @ to_distance)
            sums.baddbmm_(to_distance, some.mT)
        towards = 2 * (sums[..., length:] * start - sums[..., :length])
    result *= points[:, -1:]
    result[:, length:] = 0
    return result


@_dkm_backward.register_fake
def _dkm_backward_fake(  # type: ignore[no-untyped-def]
    grad, points, table, starts, means, masses, done, tau, floor, bonus, zero_first, mode, seed
):
    return torch.empty_like(points)


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    points, _, tau, _, _, floor, bonus, zero_first, mode, seed, _ = inputs
    _, table, starts, means, masses, done = output
    ctx.save_for_backward(points, table, starts, means, masses, done, seed)
    ctx.options = tau, floor, bonus, zero_first, mode


def _backward(ctx, grad, *_):  # type: ignore[no-untyped-def]
    *saved, seed = ctx.saved_tensors
    return _dkm_backward(grad.contiguous(), *saved, *ctx.options, seed), *(None,) * 10


_dkm.register_autograd(_backward, setup_context=_save)


def _parts(points: Tensor, table: Tensor) -> list[slice]:
    step = max(1, _PART // (table.shape[0] * table.shape[1]))
    return [slice(start, start + step) for start in range(0, points.shape[-1], step)]


def _distances(points: Tensor, table: Tensor, bonus: float) -> Tensor:
    """Squared distances [groups, clusters, points] to points with their row of ones."""
    length = table.shape[-1]
    if length == 1:
        distances = (table - points[:, :1]).square_()
    else:
        distances = torch.cdist(table, points[:, :length].mT).square_()
    if bonus == -math.inf:
        distances[:, 0].masked_fill_((points[:, :length] != 0).any(1), math.inf)
    elif bonus:
        distances[:, 0] -= bonus
    return distances


@dataclass(frozen=True, slots=True)
class _Attention:
    """How much of each centroid a point gets; overwrites the distances.

    Attributes:
        tau: Temperature.
        floor: Least attention.
        mode: As for `dkm`.
        seed: Which noise.
    """

    tau: float
    floor: float
    mode: str
    seed: int

    @classmethod
    def of(cls, tau: float, floor: float, mode: str, seed: Tensor | None) -> _Attention:
        return cls(tau, floor, mode, 0 if seed is None else int(seed))

    def __call__(self, distances: Tensor, step: int, start: int) -> Tensor:
        """Returns the attention of points from a first one on, in an iteration."""
        if self.mode == "hard":
            nearest = distances.argmin(1, keepdim=True)
            return torch.zeros_like(distances).scatter_(1, nearest, 1)
        return self.softmax(distances, step, start).clamp_(min=self.floor)

    def softmax(self, distances: Tensor, step: int, start: int) -> Tensor:
        """Returns the same before the floor."""
        scaled = distances.mul_(-1 / self.tau)
        if self.mode == "gsm":
            scaled += gumbel_noise(scaled, self.seed, step, start)
        return torch.softmax(scaled, dim=1)


def gumbel_noise(like: Tensor, seed: int, step: int, start: int) -> Tensor:
    """Returns standard Gumbel noise of a tensor's shape: the same for the same numbers, in both passes."""
    generator = torch.Generator(like.device)
    generator.manual_seed((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + start) % (1 << 63))
    return torch.empty_like(like).exponential_(generator=generator).log_().neg_()


def rounded(table: Tensor, levels: int) -> Tensor:
    """Rounds to the grid of a table of integers, which has one scale; returns a new tensor.

    Args:
        table: Entries.
        levels: Largest integer; 0 for no rounding.
    """
    if not levels:
        return table.clone()
    scale = table.abs().amax() / levels
    return torch.where(scale > 0, torch.round(table / scale) * scale, table)
