"""What is known, what is refused, and how users add to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from mlpress.converter.lowering import registry
from mlpress.converter.lowering.check import SIZE_OPERATORS, check_supported
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import UnsupportedOperatorsError
from mlpress.mil import Opset, Value
from tests.torch.converter.running import assert_lowers, captured, operations


def core_operators() -> Iterator[str]:
    """All of them: `dir` would know those only that something has used before."""
    for full_name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = full_name.partition("::")
        if namespace == "aten":
            name, _, overload = rest.partition(".")
            operator = getattr(getattr(torch.ops.aten, name), overload or "default")
            if torch.Tag.core in operator.tags:
                yield str(operator)


def test_each_core_operator_is_lowered_or_refused_with_a_reason() -> None:
    names = list(core_operators())
    assert len(names) > 180
    unknown = [
        name
        for name in names
        if registry.find(name) is None
        and registry.reason_against(name) is None
        and name not in SIZE_OPERATORS
    ]
    assert unknown == []


@pytest.fixture
def squared_relu() -> Iterator[torch._ops.OpOverload]:
    library = torch.library.Library("mlpress_test", "DEF")
    library.define("squared_relu(Tensor x) -> Tensor")
    library.impl("squared_relu", lambda x: torch.relu(x) ** 2, "CompositeExplicitAutograd")
    yield torch.ops.mlpress_test.squared_relu.default
    library._destroy()


def test_a_user_teaches_a_custom_operator(squared_relu: torch._ops.OpOverload) -> None:
    @registry.register_lowering(squared_relu)
    def lower(context: Context, x: Value) -> Value:
        return context.result("square", x=context.op("relu", x=x))

    program = assert_lowers(
        lambda x: torch.ops.mlpress_test.squared_relu(x) + 1, (torch.randn(3),), Opset.CoreML7
    )
    assert operations(program) == ["relu", "square", "add"]


class Unsupported(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spectrum = Spectrum()

    def forward(self, x: Tensor) -> Tensor:
        return self.spectrum(x) + torch.cumprod(x, 0)


class Spectrum(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x).abs().sum() + x


def test_all_unsupported_operators_are_listed_with_their_places() -> None:
    graph = captured(Unsupported(), (torch.randn(4),))
    with pytest.raises(UnsupportedOperatorsError) as error:
        check_supported(graph.graph_module)
    text = str(error.value)
    assert "aten.cumprod.default (Core ML has no cumulative product or extremes)" in text
    assert "aten._fft_r2c.default (Core ML has no Fourier transforms" in text
    assert "module 'spectrum'" in text
    assert "test_registry.py:" in text
    assert "torch.fft.rfft(x)" in text
