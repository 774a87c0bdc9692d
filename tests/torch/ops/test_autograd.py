"""Gradients of every op that computes floats from floats are its slopes along a random direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.torch.ops.example import Example, call, in_floats, leaves
from tests.torch.ops.examples import EXAMPLES

CONSTANT = {
    "cast": "also rounds to float32, so that there is no slope to measure",
    "fill": "the value is a plain one",
    "make_list": "makes zeros",
    "one_hot": "the values are plain ones",
    "random_bernoulli": "drawn",
    "random_categorical": "drawn",
    "random_normal": "drawn",
    "random_uniform": "drawn",
    "range_1d": "the bounds are plain values",
}
"""Ops whose results do not depend on tensors, or not smoothly."""


class Line:
    """Makes operands along a line: each one is the example's, moved by `step` times a random direction."""

    def __init__(self, step: float) -> None:
        self.operands: list[Tensor] = []
        self.directions: list[Tensor] = []
        self._step = step
        self._generator = torch.Generator().manual_seed(1)

    def __call__(self, array: Any) -> Tensor:
        tensor = torch.tensor(array)
        if not tensor.is_floating_point():
            return tensor
        direction = torch.randn(tensor.shape, generator=self._generator, dtype=torch.float64)
        moved = (tensor.double() + self._step * direction).requires_grad_()
        self.operands.append(moved)
        self.directions.append(direction)
        return moved


def weighted_sum(results: Sequence[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    terms = [(x * torch.randn(x.shape, generator=generator, dtype=torch.float64)).sum() for x in results]
    return torch.stack(terms).sum()


def evaluate(example: Example, line: Line) -> Tensor | None:
    """Returns a number that depends on all floats of the result, None if none depends on floats."""
    results = [x for x in leaves(call(in_floats(example), line)) if x.is_floating_point()]
    return weighted_sum(results) if results and line.operands else None


def is_smooth(example: Example) -> bool:
    return example.op not in CONSTANT and evaluate(example, Line(0)) is not None


@pytest.mark.parametrize("example", list(filter(is_smooth, EXAMPLES)), ids=str)
def test_gradients_are_slopes(example: Example) -> None:
    # Off the example itself: some stand where a function jumps.
    at, step = 0.01, 1e-6
    line = Line(at)
    value = evaluate(example, line)
    assert value is not None and value.requires_grad
    gradients = torch.autograd.grad(value, line.operands, allow_unused=True)
    slope = sum(
        float((gradient * direction).sum())
        for gradient, direction in zip(gradients, line.directions, strict=True)
        if gradient is not None
    )
    after, before = evaluate(example, Line(at + step)), evaluate(example, Line(at - step))
    assert after is not None and before is not None
    assert slope == pytest.approx((after - before).item() / (2 * step), rel=1e-5, abs=1e-5)
