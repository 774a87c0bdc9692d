"""Masks by magnitude, on tensors of any device.

Ranks and ties are those of coremltools' `optimize.torch`: as many weights are kept as the sparsity leaves,
rounded up, and all that are as large as the smallest of these.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from mlpress.errors import NotApplicableError


def magnitude_mask(
    weight: torch.Tensor, sparsity: float, granularity: str = "per_scalar", block_size: int = 1
) -> torch.Tensor:
    """Keeps the elements, kernels or channels of largest magnitude.

    Args:
        weight: [output channels, input channels, ...].
        sparsity: Fraction to drop, 0 to 1.
        granularity: ``per_scalar``; or ``per_kernel`` or ``per_channel``, by their Euclidean norms, for
            weights of rank 3 and more.
        block_size: Neighbours along axis 0 that are kept or dropped together, by their Euclidean norm.

    Returns:
        bool, the shape of the weight.

    Raises:
        NotApplicableError: Blocks are larger than half of the channels.
    """
    first_folded = {"per_kernel": 2, "per_channel": 1}.get(granularity) if weight.dim() > 2 else None
    magnitudes = weight.abs() if first_folded is None else weight.flatten(first_folded).norm(dim=-1)
    count = magnitudes.numel()
    if block_size > 1:
        magnitudes = _block_norms(magnitudes, block_size)
    # float32 as in coremltools, so that counts are the same.
    kept = int(torch.ceil(torch.tensor(float(count)) * (1 - sparsity)))
    if kept == 0:
        return torch.zeros_like(weight, dtype=torch.bool)
    threshold = magnitudes.flatten().kthvalue(count - kept + 1).values
    mask = magnitudes >= threshold
    return mask.reshape(*mask.shape, *(1,) * (weight.dim() - mask.dim())).expand(weight.shape).contiguous()


def _block_norms(magnitudes: torch.Tensor, block_size: int) -> torch.Tensor:
    channels = magnitudes.shape[0]
    if 2 * block_size > channels:
        raise NotApplicableError(f"block_size is {block_size}, more than half of the {channels} channels")
    padded = torch.cat([magnitudes, magnitudes.new_zeros(-channels % block_size, *magnitudes.shape[1:])])
    norms = padded.reshape(-1, block_size, *padded.shape[1:]).square().sum(1).sqrt()
    return norms.repeat_interleave(block_size, dim=0)[:channels]


def n_m_mask(weight: torch.Tensor, n: int, m: int, dim: int = 1) -> torch.Tensor:
    """Drops the n elements of least magnitude of each m neighbours along a channel axis.

    Args:
        weight: [output channels, input channels, ...].
        n: How many of a group to drop, 0 to m; of equal ones the first goes first.
        m: Elements of a group; the last group is completed with zeros.
        dim: 0 or 1.

    Returns:
        bool, the shape of the weight.
    """
    moved = weight.abs().movedim(dim, -1)
    channels = moved.shape[-1]
    padded = functional.pad(moved, (0, -channels % m))
    groups = padded.reshape(*moved.shape[:-1], -1, m)
    smallest = groups.argsort(dim=-1, stable=True)[..., :n]
    mask = torch.ones_like(groups, dtype=torch.bool).scatter_(-1, smallest, False)
    return mask.flatten(-2)[..., :channels].movedim(-1, dim).contiguous()
