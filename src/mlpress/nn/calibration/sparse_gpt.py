"""SparseGPT: weights are dropped so that the others make up for it (Frantar and Alistarh 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mlpress.nn.calibration.grids import Grid, GridOptions
from mlpress.nn.calibration.hessian import inverse_factor


@dataclass(frozen=True, slots=True)
class SparseGPTOptions:
    """How to prune a weight.

    Attributes:
        sparsity: Fraction to drop.
        n_m_ratio: ``(n, m)``: drop n of each m neighbours of a row instead.
        grid: To which values the others are rounded; None leaves them.
        dampening: See `inverse_factor`.
        group: Columns among which weights to drop are chosen.
    """

    sparsity: float = 0.5
    n_m_ratio: tuple[int, int] | None = None
    grid: GridOptions | None = None
    dampening: float = 0.01
    group: int = 128


@dataclass(frozen=True, slots=True, eq=False)
class Pruned:
    """A pruned weight.

    Attributes:
        values: [rows, columns], zero where dropped.
        mask: bool [rows, columns], True for what is kept.
        codes: [rows, columns] on the grid, or None.
        grid: What the values are rounded to, or None.
    """

    values: Tensor
    mask: Tensor
    codes: Tensor | None
    grid: Grid | None


@torch.no_grad()
def sparse_gpt(weight: Tensor, hessian: Tensor, options: SparseGPTOptions) -> Pruned:
    """Prunes a weight so that a layer's outputs change least.

    Args:
        weight: [rows, columns].
        hessian: [columns, columns]; see `Hessian`.
        options: How.

    Raises:
        NotApplicableError: The Hessian cannot be factored.
    """
    left, hessian = weight.float().clone(), hessian.clone()
    grid = None if options.grid is None else Grid.of(left, options.grid)
    unused = hessian.diagonal() == 0
    hessian[unused, unused] = 1
    left[:, unused] = 0
    factor = inverse_factor(hessian, options.dampening)
    columns = left.shape[1]
    dropped = torch.zeros_like(left, dtype=torch.bool)
    codes = None if grid is None else torch.empty_like(left)
    for first in range(0, columns, options.group):
        last = min(first + options.group, columns)
        inner, part = left[:, first:last].clone(), factor[first:last, first:last]
        out = dropped[:, first:last]
        if options.n_m_ratio is None:
            scores = _scores(inner, part.diagonal())
            ordered = scores.flatten().sort().values
            out |= scores <= ordered[min(int(scores.numel() * options.sparsity), scores.numel() - 1)]
        errors = torch.empty_like(inner)
        for column in range(last - first):
            if options.n_m_ratio is not None and column % options.n_m_ratio[1] == 0:
                n, m = options.n_m_ratio
                scores = _scores(inner[:, column : column + m], part.diagonal()[column : column + m])
                smallest = scores.topk(min(n, scores.shape[1]), dim=1, largest=False).indices
                out.scatter_(1, column + smallest, True)
            value = torch.where(out[:, column], 0, inner[:, column])[:, None]
            if grid is not None and codes is not None:
                codes[:, first + column] = grid.codes(value)[:, 0]
                value = grid.values(codes[:, first + column, None])
            error = (inner[:, column, None] - value) / part[column, column]
            left[:, first + column] = value[:, 0]
            inner[:, column:] -= error @ part[column, column:][None]
            errors[:, column] = error[:, 0]
        left[:, last:] -= errors @ factor[first:last, last:]
    return Pruned(left, ~dropped & ~unused, codes, grid)


def _scores(weight: Tensor, diagonal: Tensor) -> Tensor:
    """Returns what dropping each weight costs."""
    return weight.square() / diagonal.square()
