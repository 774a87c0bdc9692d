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
        n_m_ratio: ``(n, m)``: drop n of each m neighbours of a row instead. The last ones of a row are
            completed with zeros, which go first.
        grid: To which values the others are rounded; None leaves them.
        dampening: See `inverse_factor`.
        group: Columns among which weights to drop are chosen; in patterns, rounded to whole ones.
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
        values: Of the shape of the weight, zero where dropped.
        mask: bool of that shape, True for what is kept.
        codes: Of that shape, on the grid, or None.
        grid: What the values are rounded to, with the rows of all groups, or None.
    """

    values: Tensor
    mask: Tensor
    codes: Tensor | None
    grid: Grid | None


@torch.no_grad()
def sparse_gpt(weight: Tensor, hessian: Tensor, options: SparseGPTOptions) -> Pruned:
    """Prunes a weight so that a layer's outputs change least.

    Args:
        weight: [rows, columns], or [groups, rows, columns] where groups of rows have inputs of their own:
            what costs least is dropped wherever it is. Zeros stay zeros, and count among what is dropped.
        hessian: [columns, columns], or one for each group; see `Hessian`.
        options: How.

    Raises:
        NotApplicableError: The Hessian cannot be factored.
    """
    left, hessian = weight.float().clone(), hessian.clone()
    grid = None if options.grid is None else Grid.of(left.flatten(0, -2), options.grid)
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    left *= (diagonal != 0).unsqueeze(-2)
    diagonal[diagonal == 0] = 1
    factor = inverse_factor(hessian, options.dampening)
    columns = left.shape[-1]
    dropped = left == 0
    codes = None if grid is None else torch.empty_like(left)
    n, m = options.n_m_ratio or (0, 1)
    group = max(options.group // m, 1) * m
    for first in range(0, columns, group):
        last = min(first + group, columns)
        inner, part = left[..., first:last].clone(), factor[..., first:last, first:last]
        scales, out = part.diagonal(dim1=-2, dim2=-1).unsqueeze(-2), dropped[..., first:last]
        if options.n_m_ratio is None:
            costs = _costs(inner, scales, out).reshape(1, -1)
            # One more than the fraction says, as in the paper's code.
            count = int(costs.numel() * options.sparsity) + 1 if options.sparsity else 0
            out |= _least(costs, count).reshape(out.shape)
        errors = torch.empty_like(inner)
        for column in range(last - first):
            if options.n_m_ratio is not None and column % m == 0:
                ahead = slice(column, column + m)
                costs = _costs(inner[..., ahead], scales[..., ahead], out[..., ahead])
                out[..., ahead] |= _least(costs, n - (m - costs.shape[-1]))
            value = torch.where(out[..., column], 0, inner[..., column])[..., None]
            if grid is not None and codes is not None:
                code = grid.codes(value.reshape(-1, 1))
                codes[..., first + column] = code.reshape(value.shape[:-1])
                value = grid.values(code).reshape(value.shape)
            error = (inner[..., column, None] - value) / scales[..., column, None]
            left[..., first + column] = value[..., 0]
            inner[..., column:] -= error @ part[..., column, None, column:]
            errors[..., column] = error[..., 0]
        left[..., last:] -= errors @ factor[..., first:last, last:]
    return Pruned(left, ~dropped, codes, grid)


def _costs(weight: Tensor, scales: Tensor, dropped: Tensor) -> Tensor:
    """Returns what dropping each weight costs; less than nothing for what is dropped already."""
    return torch.where(dropped, -1, weight.square() / scales.square())


def _least(costs: Tensor, count: int) -> Tensor:
    """Returns a mask of as many of the least costs of each row."""
    smallest = costs.argsort(dim=-1, stable=True)[..., : max(count, 0)]
    return torch.zeros_like(costs, dtype=torch.bool).scatter_(-1, smallest, True)
