"""Random numbers: other ones at each prediction, of the distribution and the shape that torch gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress.mil import Constant
from mlpress.models import MLModel

DRAWS: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "rand": (lambda x: torch.rand(x.shape), 0.5, 1 / 12**0.5),
    "rand_like": (torch.rand_like, 0.5, 1 / 12**0.5),
    "randn": (lambda x: torch.randn(x.shape), 0, 1),
    "randn_like": (torch.randn_like, 0, 1),
    "bernoulli": (lambda x: torch.bernoulli(x.sigmoid()), 0.5, 0.5),
}
"""By name: what draws, for zeros; mean and standard deviation."""


class Drawing(nn.Module):
    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        return x + self.draw(x)


def converted(module: nn.Module, *shape: int) -> MLModel:
    return mlpress.convert(
        module.eval(),
        inputs=[mlpress.TensorType("x", shape)],
        minimum_deployment_target=mlpress.target.iOS17,
        compute_precision=mlpress.precision.FLOAT32,
    )


@pytest.mark.parametrize("name", DRAWS)
def test_they_have_the_distribution(name: str) -> None:
    draw, mean, deviation = DRAWS[name]
    model, zeros = converted(Drawing(draw), 4, 5000), {"x": np.zeros((4, 5000), np.float32)}
    first, second = (next(iter(model.predict(zeros).values())) for _ in range(2))
    assert not np.array_equal(first, second)
    assert first.shape == (4, 5000)
    assert abs(first.mean() - mean) < 0.05
    assert abs(first.std() - deviation) < 0.05


class OneNumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand([]) + 10 * torch.rand_like(x.sum()).round()


def test_one_number_is_drawn_for_all() -> None:
    (found,) = converted(OneNumber(), 3, 4).predict({"x": np.zeros((3, 4), np.float32)}).values()
    assert found.shape == (3, 4)
    assert len(np.unique(found)) == 1
    assert 0 <= found[0, 0] < 11


class Unused(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.rand([])  # what layer dropout does before it looks whether the model is in training
        return 2 * x


def test_what_is_drawn_for_nothing_is_left_out() -> None:
    operations = converted(Unused(), 3).program.functions["main"].block.operations
    assert [each.type for each in operations if not isinstance(each, Constant)] == ["mul"]
