"""GPTQ: columns are rounded one after the other, and what is left makes up for each (Frantar et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlpress.nn.calibration.grids import Grid, GridOptions
from mlpress.nn.calibration.hessian import inverse_factor


@dataclass(frozen=True, slots=True)
class GPTQOptions:
    """How to round a weight.

    Attributes:
        grid: To which values.
        block: Columns that share scales; None is all.
        dampening: See `inverse_factor`.
        by_activation: Whether columns with the largest Hessian come first.
        group: Columns after which errors reach the columns beyond.
    """

    grid: GridOptions
    block: int | None = None
    dampening: float = 0.01
    by_activation: bool = False
    group: int = 128


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """A weight on a grid.

    Attributes:
        codes: [rows, columns].
        grids: One for each block of columns.
        mask: bool [rows, columns], True for what is kept; None for all.
    """

    codes: Tensor
    grids: tuple[Grid, ...]
    mask: Tensor | None = None


def gptq_groups(
    weight: Tensor, hessians: Tensor, options: GPTQOptions, mask: Tensor | None = None
) -> Rounded:
    """Rounds a weight whose rows are in groups with inputs of their own; see `gptq`.

    Args:
        weight: [rows, columns].
        hessians: [groups, columns, columns].
        options: How.
        mask: bool [rows, columns], or None.
    """
    count = len(hessians)
    grids: list[list[Grid] | None] = [None] * count
    if options.block is None:  # one scale may be that of all rows, whatever their group
        grids = [[part] for part in Grid.of(weight.float(), options.grid).split(count)]
    masks = [None] * count if mask is None else mask.chunk(count)
    parts = [
        gptq(rows, hessian, options, kept, given)
        for rows, hessian, kept, given in zip(weight.chunk(count), hessians, masks, grids, strict=True)
    ]
    joined = tuple(Grid.join(blocks) for blocks in zip(*(part.grids for part in parts), strict=True))
    return Rounded(torch.cat([part.codes for part in parts]), joined, mask)


@torch.no_grad()
def gptq(
    weight: Tensor,
    hessian: Tensor,
    options: GPTQOptions,
    mask: Tensor | None = None,
    given: Sequence[Grid] | None = None,
) -> Rounded:
    """Rounds a weight so that a layer's outputs change least.

    Args:
        weight: [rows, columns].
        hessian: [columns, columns]; see `Hessian`.
        options: How.
        mask: bool [rows, columns], True for what is kept; the others stay zeros, for which those after them
            make up as they do for SparseGPT. None for all.
        given: A grid for each block of columns; None fits them to the weight.

    Raises:
        NotApplicableError: The Hessian cannot be factored.
    """
    left, hessian = weight.float().clone(), hessian.clone()
    columns = left.shape[1]
    block = options.block or columns
    unused = hessian.diagonal() == 0
    hessian[unused, unused] = 1
    left[:, unused] = 0
    starts = range(0, columns, block)
    grids: list[Grid | None] = [None] * len(starts) if given is None else list(given)
    order = torch.arange(columns, device=left.device)
    kept = mask
    if given is None and (options.block is None or options.by_activation):
        # As in coremltools: scales of whole rows come from inputs that are never used, too.
        seen = weight.float() if options.block is None else left
        grids = [Grid.of(seen[:, start : start + block], options.grid) for start in starts]
    if options.by_activation:
        order = hessian.diagonal().argsort(descending=True)
        left, hessian = left[:, order], hessian[order][:, order]
        kept = None if mask is None else mask[:, order]
    factor = inverse_factor(hessian, options.dampening)
    codes = torch.empty_like(left)
    where = order.tolist()
    for first in range(0, columns, options.group):
        last = min(first + options.group, columns)
        inner = left[:, first:last].clone()
        errors = torch.empty_like(inner)
        for column in range(last - first):
            at = where[first + column] // block
            if grids[at] is None:
                grids[at] = Grid.of(left[:, first + column : first + column + block], options.grid)
            grid = grids[at]
            assert grid is not None
            code = grid.codes(inner[:, column, None])
            codes[:, first + column] = code[:, 0]
            value = grid.values(code)
            if kept is not None:
                value = value * kept[:, first + column, None]
            error = (inner[:, column, None] - value) / factor[first + column, first + column]
            inner[:, column:] -= error @ factor[first + column, first + column : last][None]
            errors[:, column] = error[:, 0]
        left[:, last:] -= errors @ factor[first:last, last:]
    inverse = order.argsort()
    return Rounded(codes[:, inverse], tuple(grid for grid in grids if grid is not None), mask)
