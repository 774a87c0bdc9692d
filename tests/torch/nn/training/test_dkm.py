"""Differentiable k-means against its formula written out for autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mlpress.nn.training import dkm as module
from mlpress.nn.training.dkm import dkm


def plain(
    weights: Tensor,
    mask: Tensor | None,
    centroids: Tensor,
    *,
    tau: float = 1e-4,
    iterations: int = 3,
    floor: float = 1e-7,
    bonus: float = 0.0,
    zero_first: bool = False,
    tolerance: float = 0.0,
    mode: str = "dkm",
    noise: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """DKM, sections 3.1 and 3.2: attention, weighted means, and again."""
    kept = 1.0 if mask is None else mask.to(weights).unsqueeze(-1)
    for step in range(iterations):
        distances = (weights.unsqueeze(2) - centroids.unsqueeze(1)).square().sum(-1)
        first = one_hot(torch.tensor(0), distances.shape[-1]).bool()
        if bonus == -torch.inf:  # for zeros alone
            others = (weights != 0).any(-1, keepdim=True)
            distances = distances.masked_fill(first & others, torch.inf)
        else:
            distances = distances - first.to(weights) * bonus
        attention = torch.softmax(-distances / tau, dim=-1).clamp(min=floor)
        if mode == "gsm":
            attention = torch.softmax(-distances / tau + noise[step], dim=-1)
        if mode == "hard":
            attention = one_hot(distances.argmin(-1), distances.shape[-1]).to(weights)
        attention_kept = attention * kept
        centroids = attention_kept.mT @ weights / attention_kept.sum(1).unsqueeze(-1)
        if zero_first:
            centroids = torch.cat([torch.zeros_like(centroids[:, :1]), centroids[:, 1:]], dim=1)
    return attention @ centroids * kept, centroids


CASES = {
    "defaults": {},
    "warm": {"tau": 0.05},
    "one iteration": {"tau": 0.05, "iterations": 1},
    "high floor": {"tau": 0.01, "floor": 1e-3},
    "bonus": {"tau": 0.05, "bonus": 0.02},
    "zero first": {"tau": 0.05, "zero_first": True},
    "zero for zeros alone": {"tau": 0.05, "zero_first": True, "bonus": -torch.inf},
    "hard": {"mode": "hard"},
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_value_and_gradient_are_those_of_autograd(
    options: dict[str, float], length: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PART", 64)  # several parts
    torch.manual_seed(0)
    weights = torch.randn(2, 50, length, dtype=torch.float64) * 0.3
    weights[:, ::5] = 0
    weights.requires_grad_()
    mask = torch.rand(2, 50) < 0.6 if masked else None
    start = weights[:, :4].detach().clone() + 0.01
    expected, their_centroids = plain(weights, mask, start, **options)
    found, centroids = dkm(weights, mask, start, tolerance=0, **options)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(centroids, their_centroids, rtol=1e-9, atol=1e-12)
    towards = torch.randn_like(expected)
    (expected_gradient,) = torch.autograd.grad(expected, weights, towards)
    (gradient,) = torch.autograd.grad(found, weights, towards)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-9)


def noise_of(seed: int, weights: Tensor, clusters: int, iterations: int) -> list[Tensor]:
    """The noise of each iteration, [groups, points, clusters]."""
    groups, points, _ = weights.shape
    table = weights.new_zeros(groups, clusters, 1)
    found = []
    for step in range(iterations):
        parts = [
            module.gumbel_noise(
                weights.new_zeros(groups, clusters, points)[..., part], seed, step, part.start
            )
            for part in module._parts(weights.mT, table)
        ]
        found.append(torch.cat(parts, dim=-1).mT)
    return found


@pytest.mark.parametrize("length", [1, 2])
def test_gumbel_softmax_is_that_of_autograd(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 64)
    torch.manual_seed(0)
    weights = (torch.randn(2, 50, length, dtype=torch.float64) * 0.3).requires_grad_()
    start = weights[:, :4].detach().clone() + 0.01
    noise = noise_of(7, weights.detach(), 4, 3)
    expected, their_centroids = plain(weights, None, start, tau=0.05, mode="gsm", noise=noise)
    found, centroids = dkm(weights, None, start, tau=0.05, tolerance=0, mode="gsm", seed=torch.tensor(7))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(centroids, their_centroids, rtol=1e-9, atol=1e-12)
    towards = torch.randn_like(expected)
    (expected_gradient,) = torch.autograd.grad(expected, weights, towards)
    (gradient,) = torch.autograd.grad(found, weights, towards)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-9)


def test_noise_is_gumbel_noise_and_another_for_each_seed_and_step() -> None:
    draws = [
        module.gumbel_noise(torch.empty(1, 4, 50_000), *each) for each in ((0, 0, 0), (1, 0, 0), (0, 1, 0))
    ]
    for draw in draws:
        assert float(draw.mean()) == pytest.approx(0.5772, abs=0.02)  # Euler's constant
        assert float(draw.var()) == pytest.approx(torch.pi**2 / 6, abs=0.03)
    assert abs(torch.corrcoef(torch.stack([draw.flatten() for draw in draws])).triu(1)).max() < 0.01


def test_a_step_ends_when_the_error_settles() -> None:
    points = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]).unsqueeze(0)
    start = torch.tensor([-1.0, 1.0]).reshape(1, 2, 1)
    *_, done = module._dkm(points, start, 1e-4, 10, 1e-4, 1e-7, 0.0, False, "dkm", None, 0)
    assert done == 2


def test_centroids_lie_on_the_grid_of_integers() -> None:
    torch.manual_seed(0)
    weights = torch.randn(2, 200, 1)
    out, centroids = dkm(weights, None, weights[:, :8].clone(), levels=127)
    integers = centroids / centroids.abs().max() * 127
    torch.testing.assert_close(integers, integers.round(), rtol=0, atol=1e-4)
    assert out.isfinite().all()


def test_dropped_points_are_zero_and_have_no_gradient() -> None:
    torch.manual_seed(0)
    weights = torch.randn(1, 40, 1, requires_grad=True)
    mask = torch.arange(40)[None] % 2 == 0
    out, _ = dkm(weights, mask, torch.tensor([[[-1.0], [1.0]]]), tau=0.1)
    out.square().sum().backward()
    assert (out[~mask] == 0).all()
    assert (weights.grad[~mask] == 0).all()
    assert (weights.grad[mask] != 0).any()


def test_it_compiles_into_one_graph() -> None:
    torch._dynamo.reset()
    weights = torch.randn(1, 64, 1, requires_grad=True)
    start = weights[:, :4].detach().clone()

    def step(values: Tensor) -> Tensor:
        return dkm(values, None, start, tau=0.1)[0] * 2

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(weights), step(weights))
    compiled(weights).sum().backward()
    assert weights.grad is not None
