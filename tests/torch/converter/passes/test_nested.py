"""Branches and bodies of loops are made as good as the rest of a program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
import mlpress.mil
from mlpress.mil import Block, Constant, Operation


def convert(module: nn.Module | torch.jit.ScriptModule, *shape: int) -> mlpress.MLModel:
    return mlpress.convert(
        module.eval(),
        inputs=[mlpress.TensorType("x", shape)],
        minimum_deployment_target=mlpress.target.iOS17,
        compute_precision=mlpress.precision.FLOAT32,
    )


def blocks_of(model: mlpress.MLModel, kind: str) -> list[Block]:
    operations = model.program.functions["main"].block.operations
    (found,) = (each for each in operations if isinstance(each, Operation) and each.type == kind)
    return found.blocks


def kinds(block: Block) -> list[str]:
    return [each.type for each in block.operations if not isinstance(each, Constant)]


class Branches(nn.Module):
    """One branch normalizes what the convolution makes, the other does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(
            x.sum() > 0,
            lambda x: 0.5 * self.conv(x),
            lambda x: nn.functional.gelu(self.norm(self.conv(x))),
            (x,),
        )


def test_layers_that_two_branches_share_take_in_what_follows_in_each() -> None:
    module = Branches().eval()
    made = convert(module, 2, 3, 8, 8)
    assert [kinds(block) for block in blocks_of(made, "cond")] == [["conv"], ["conv", "gelu"]]
    for sign in (1, -1):
        x = sign * torch.rand(2, 3, 8, 8)
        (found,) = made.predict({"x": x}).values()
        np.testing.assert_allclose(found, module(x).detach(), rtol=1e-4, atol=1e-5)


class Windows(nn.Module):
    """Swaps the windows of an image again and again, which takes six axes."""

    def forward(self, x: Tensor) -> Tensor:
        count = int(x.sum().long())
        for _ in range(count):
            x = x.reshape(1, 2, 2, 2, 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 2, 4, 4) * 2
        return x


@pytest.mark.parametrize("count", [0, 1, 3])
def test_more_than_five_axes_in_a_loop(count: int) -> None:
    made = convert(torch.jit.script(Windows()), 1, 2, 4, 4)
    assert all(len(value.type.shape) <= 5 for value in made_by(blocks_of(made, "while_loop")[1]))
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    x *= (count + 0.5) / x.sum()
    (found,) = made.predict({"x": x}).values()
    np.testing.assert_allclose(found, Windows()(x), rtol=1e-5)


def made_by(block: Block) -> list[mlpress.mil.Value]:
    return [value for each in block.operations if isinstance(each, Operation) for value in each.outputs]


def turned(x: Tensor) -> Tensor:
    return (x.permute(5, 1, 3, 0, 2, 4) * 2).contiguous()


def turned_and_sum(x: Tensor) -> tuple[Tensor, Tensor]:
    return turned(x), x.sum()


def turned_and_mean(x: Tensor) -> tuple[Tensor, Tensor]:
    return -turned(x), x.mean()


class WideResult(nn.Module):
    """Branches give six axes."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.reshape(2, 1, 2, 3, 2, 2)
        y, z = torch.cond(x.sum() > 0, turned_and_sum, turned_and_mean, (wide,))
        return y.permute(1, 0, 2, 5, 4, 3).reshape(6, 8) + z


class WideCarried(nn.Module):
    """A loop carries six axes."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.reshape(2, 2, 2, 2, 3, 1).sin()
        _, y = torch._higher_order_ops.while_loop(
            lambda i, y: (i < 3) & (y.sum() < 100),
            lambda i, y: (i + 1, y.permute(1, 2, 3, 0, 4, 5).contiguous() * 2 + wide),
            (torch.tensor(0), wide.cos()),
        )
        return y.reshape(6, 8)


class WideAround(nn.Module):
    """A branch inside a branch looks at six axes made outside."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.reshape(2, 1, 2, 3, 2, 2).cos()

        def inner(x: Tensor) -> Tensor:
            return torch.cond(x.sum() > 20, lambda x: turned(x).sum(0), lambda x: x.sum(3) + 1, (x,)).clone()

        return torch.cond(x.sum() > 0, lambda x: turned(x).sum(3), lambda x: x.sum(0), (wide,)).sum()


@pytest.mark.parametrize("module", [WideResult(), WideCarried(), WideAround()])
@pytest.mark.parametrize("sign", [1, -1])
def test_more_than_five_axes_go_into_blocks_and_out(module: nn.Module, sign: int) -> None:
    made = convert(module, 48)
    x = sign * torch.rand(48)
    (found,) = made.predict({"x": x}).values()
    np.testing.assert_allclose(found, module(x), rtol=1e-5, atol=1e-6)
