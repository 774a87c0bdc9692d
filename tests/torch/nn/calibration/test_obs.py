"""GPTQ and SparseGPT against their formulas, column by column, with explicit inverses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mlpress.errors import NotApplicableError
from mlpress.nn.calibration.gptq import GPTQOptions, gptq, gptq_groups
from mlpress.nn.calibration.grids import Grid, GridOptions
from mlpress.nn.calibration.hessian import Hessian, add_products, inverse_factor
from mlpress.nn.calibration.sparse_gpt import SparseGPTOptions, sparse_gpt


def problem(rows: int = 6, columns: int = 24, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A weight, and the Hessian of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    inputs, mixing, weight = (
        torch.randn(*shape, generator=generator)
        for shape in ((200, columns), (columns, columns), (rows, columns))
    )
    mixed = inputs @ mixing
    return weight, 2 / 200 * mixed.T @ mixed


def by_the_book(weight: Tensor, hessian: Tensor, choose) -> Tensor:
    """Equations 2 and 3 of the GPTQ paper: quantize column q, then update the others.

    The inverse is that of the Hessian without the columns before q. `choose` gives the new column.
    """
    left, found = weight.double().clone(), torch.zeros_like(weight, dtype=torch.float64)
    damped = hessian.double() + 0.01 * hessian.diagonal().mean().double() * torch.eye(len(hessian))
    for q in range(weight.shape[1]):
        inverse = torch.linalg.inv(damped[q:, q:])
        found[:, q] = choose(left, q, inverse)
        error = (left[:, q] - found[:, q]) / inverse[0, 0]
        left[:, q:] -= error[:, None] * inverse[0][None]
    return found


def loss(weight: Tensor, found: Tensor, hessian: Tensor) -> float:
    difference = (weight - found).double()
    return float(torch.einsum("ri,ij,rj->", difference, hessian.double(), difference))


def decoded(result) -> Tensor:
    block = result.codes.shape[1] // len(result.grids)
    parts = result.codes.split(block, dim=1)
    return torch.cat([grid.values(part) for grid, part in zip(result.grids, parts, strict=True)], dim=1)


@pytest.mark.parametrize("group", [128, 8, 1])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq_updates_columns_by_the_book(group: int, symmetric: bool) -> None:
    weight, hessian = problem()
    options = GridOptions(4, symmetric)
    grid = Grid.of(weight, options)
    expected = by_the_book(
        weight, hessian, lambda left, q, _: grid.values(grid.codes(left[:, q, None].float()))[:, 0]
    )
    found = decoded(gptq(weight, hessian, GPTQOptions(options, group=group)))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        GPTQOptions(GridOptions(3)),
        GPTQOptions(GridOptions(3, per_channel=False)),
        GPTQOptions(GridOptions(3), block=8),
        GPTQOptions(GridOptions(3), by_activation=True),
        GPTQOptions(GridOptions(3), block=8, by_activation=True, group=5),
        GPTQOptions(GridOptions(4, normal_float=True)),
    ],
    ids=str,
)
def test_gptq_is_closer_than_rounding(options: GPTQOptions) -> None:
    weight, hessian = problem(rows=32)
    block = options.block or weight.shape[1]
    rounded = torch.cat(
        [
            grid.values(grid.codes(part))
            for part in weight.split(block, dim=1)
            for grid in [Grid.of(part, options.grid)]
        ],
        dim=1,
    )
    found = decoded(gptq(weight, hessian, options))
    assert loss(weight, found, hessian) < 0.7 * loss(weight, rounded, hessian)


def test_values_on_the_grid_stay() -> None:
    weight = torch.tensor([[-7.0, 7, 3, 0], [14, -14, 2, 4]])
    found = decoded(gptq(weight, torch.eye(4), GPTQOptions(GridOptions(4, symmetric=False))))
    torch.testing.assert_close(found, weight, rtol=0, atol=1)


def test_a_row_of_one_sign_keeps_its_range() -> None:
    weight = torch.tensor([[1.0, 2, 3, 4]])
    grid = Grid.of(weight, GridOptions(8))
    torch.testing.assert_close(grid.values(grid.codes(weight)), weight, rtol=0, atol=0.02)


@pytest.mark.parametrize("group", [128, 8])
def test_sparse_gpt_updates_columns_by_the_book(group: int) -> None:
    weight, hessian = problem()
    result = sparse_gpt(weight, hessian, SparseGPTOptions(sparsity=0.5, group=group))
    expected = by_the_book(weight, hessian, lambda left, q, _: left[:, q] * result.mask[:, q])
    torch.testing.assert_close(result.values.double(), expected, rtol=1e-3, atol=1e-4)


def test_sparse_gpt_drops_what_costs_least() -> None:
    weight, hessian = problem(columns=16)
    result = sparse_gpt(weight, hessian, SparseGPTOptions(sparsity=0.5))
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(16)
    # The diagonal of the factor: each column's inverse without the columns before (SparseGPT, section 3.3).
    diagonal = torch.stack([torch.linalg.inv(damped[q:, q:])[0, 0] for q in range(16)])
    costs = weight.square() / diagonal
    assert costs[~result.mask].max() <= costs[result.mask].min() * 1.0001
    assert (~result.mask).float().mean() == pytest.approx(0.5, abs=0.02)


def test_sparse_gpt_in_patterns_and_on_a_grid() -> None:
    weight, hessian = problem()
    result = sparse_gpt(weight, hessian, SparseGPTOptions(n_m_ratio=(2, 4), grid=GridOptions(4)))
    assert (result.mask.reshape(6, 6, 4).sum(-1) == 2).all()
    assert result.grid is not None
    assert result.codes is not None
    torch.testing.assert_close(result.grid.values(result.codes), result.values)
    assert (result.values[~result.mask] == 0).all()


def test_inputs_that_are_never_used_are_dropped() -> None:
    weight, hessian = problem()
    hessian[3], hessian[:, 3] = 0, 0
    assert not sparse_gpt(weight, hessian, SparseGPTOptions()).mask[:, 3].any()


def test_a_hessian_that_cannot_be_factored() -> None:
    with pytest.raises(NotApplicableError, match="more hessian_dampening than 1e-09 is needed"):
        inverse_factor(torch.tensor([[1.0, 2], [2, 1]]), 1e-9)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("padding", [0, 1, "same"])
def test_the_hessian_is_that_of_the_output_error(padding: object, groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 6, 3, padding=padding, bias=False, groups=groups)
    hessian = Hessian(layer)
    inputs = torch.randn(4, 3, 6, 6)
    hessian.add(inputs[:1])
    hessian.add(inputs[1:])
    change = torch.randn_like(layer.weight)
    outputs = nn.functional.conv2d(inputs, change, padding=padding, groups=groups)
    rows = change.reshape(groups, 6 // groups, -1)
    found = torch.einsum("gri,gij,grj->", rows, hessian.sums, rows)
    torch.testing.assert_close(found, outputs.square().sum() * 2 / 4)


def groups_of_rows(count: int = 3) -> tuple[Tensor, Tensor]:
    """A weight whose groups of rows have inputs of their own, and the Hessians of these."""
    parts = [problem(columns=12, seed=seed) for seed in range(count)]
    return torch.cat([weight for weight, _ in parts]), torch.stack([hessian for _, hessian in parts])


@pytest.mark.parametrize(
    "options",
    [
        GPTQOptions(GridOptions(4)),
        GPTQOptions(GridOptions(4, symmetric=False), by_activation=True),
        GPTQOptions(GridOptions(3, normal_float=True), block=4),
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True])
def test_gptq_treats_groups_as_layers_of_their_own(options: GPTQOptions, masked: bool) -> None:
    weight, hessians = groups_of_rows()
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(9)) < 0.7 if masked else None
    weight = weight if mask is None else weight * mask
    found = gptq_groups(weight, hessians, options, mask)
    masks = [None] * 3 if mask is None else mask.chunk(3)
    alone = [gptq(*each[:2], options, each[2]) for each in zip(weight.chunk(3), hessians, masks, strict=True)]
    assert torch.equal(decoded(found), torch.cat([decoded(each) for each in alone]))


def test_groups_share_the_scale_of_a_tensor() -> None:
    weight, hessians = groups_of_rows()
    options = GridOptions(4, per_channel=False)
    grid = Grid.of(weight, options)
    found = gptq_groups(weight, hessians, GPTQOptions(options))
    expected = [
        by_the_book(
            rows, hessian, lambda left, q, _, own=own: own.values(own.codes(left[:, q, None].float()))[:, 0]
        )
        for rows, hessian, own in zip(weight.chunk(3), hessians, grid.split(3), strict=True)
    ]
    assert len(found.grids[0].scale.unique()) == 1
    torch.testing.assert_close(decoded(found).double(), torch.cat(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_m_ratio", [None, (2, 4)])
def test_sparse_gpt_updates_each_group_by_the_book(n_m_ratio: tuple[int, int] | None) -> None:
    weight, hessians = groups_of_rows()
    rows = weight.reshape(3, -1, 12)
    result = sparse_gpt(rows, hessians, SparseGPTOptions(sparsity=0.5, n_m_ratio=n_m_ratio))
    for own, hessian, mask, values in zip(rows, hessians, result.mask, result.values, strict=True):
        expected = by_the_book(own, hessian, lambda left, q, _, mask=mask: left[:, q] * mask[:, q])
        torch.testing.assert_close(values.double(), expected, rtol=1e-3, atol=1e-4)
    assert (~result.mask).float().mean() == pytest.approx(0.5, abs=0.01)


def test_sparse_gpt_drops_what_costs_least_in_whichever_group() -> None:
    weight, hessians = groups_of_rows()
    hessians[0] *= 100  # its inputs are ten times as large
    mask = sparse_gpt(weight.reshape(3, -1, 12), hessians, SparseGPTOptions(sparsity=0.5)).mask
    assert mask[0].float().mean() > 0.8 > 0.5 > mask[1:].float().mean()


def test_products_of_millions_of_rows_lose_nothing() -> None:
    rows = 1 + torch.rand(1 << 21, 3, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(3, 3)
    for _ in range(4):
        add_products(total, rows)
    exact = 4 * rows.double().T @ rows.double()
    torch.testing.assert_close(total.double(), exact, rtol=1e-5, atol=0)
