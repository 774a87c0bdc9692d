"""Models that torchao quantized through `torch.export`: the same integers, scales and results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress.encoding import Encoding, describe
from mlpress.errors import MlpressError
from tests.torch.converter.running import operations

X = (2, 3, 16, 16)


class Residual(nn.Module):
    """Convolutions with batch norm and ReLU, a sum, a pool and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.other_norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.other_norm(self.second(x)) + x)
        return self.head(nn.functional.max_pool2d(x, 2).mean((2, 3)))


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Torchao says which of its compiled parts are for another build of torch."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def x86(**options: bool) -> Any:
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as home

    config = home.get_default_x86_inductor_quantization_config(**options)
    return home.X86InductorQuantizer().set_global(config)


def arm() -> Any:
    from torchao.quantization.pt2e.quantizer import arm_inductor_quantizer as home

    config = home.get_default_arm_inductor_quantization_config()
    return home.ArmInductorQuantizer().set_global(config)


def quantized(quantizer: Any) -> nn.Module:
    from torchao.quantization.pt2e import quantize_pt2e as flow

    torch.manual_seed(0)
    graph = torch.export.export(Residual().eval(), (torch.randn(X),)).module()
    prepared = flow.prepare_pt2e(graph, quantizer)
    for _ in range(3):
        prepared(torch.randn(X))
    return flow.convert_pt2e(prepared)


def converted(model: nn.Module) -> mlpress.MLModel:
    return mlpress.convert(
        torch.export.export(model, (torch.randn(X),)),
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )


SCALES = {x86: ["5 scales", "8 scales", "8 scales"], arm: ["1 scale"] * 3}
"""Of the weights that each quantizes."""


@pytest.mark.parametrize("make", SCALES)
def test_integers_stay_integers(make: Callable[..., Any]) -> None:
    model = quantized(make())
    made, x = converted(model), torch.randn(X)
    (name,) = made.input_description
    (found,) = made.predict({name: x}).values()
    np.testing.assert_allclose(found, model(x).detach(), atol=1e-6)
    constants = [each.data for each in made.program.functions["main"].block.constants()]
    weights = [each for each in constants if isinstance(each, Encoding) and len(each.shape) > 1]
    assert sorted(map(describe, weights)) == [f"int8 · {scales}" for scales in SCALES[make]]
    kinds = operations(made.program)
    assert kinds.count("quantize") == kinds.count("dequantize") > 2
    assert "batch_norm" not in kinds


def test_scales_of_each_input_are_refused_with_the_reason() -> None:
    model = quantized(x86(is_dynamic=True))
    with pytest.raises(MlpressError, match=r"choose_qparams[^\n]*\n?.*scales that are known beforehand"):
        converted(model)
