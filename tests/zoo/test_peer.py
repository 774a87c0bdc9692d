"""Why `peer` changes what coremltools and torch do: without that, two common things cannot be converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlpress.models import MLModel
from tests.zoo.peer import convert
from tests.zoo.tracing import trace

pytestmark = pytest.mark.zoo


class HalfOfTheChannels(nn.Module):
    """Computes a size, which tracing turns into operators on arrays of one element."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(1, x.shape[1] // 2, -1)


class Attention(nn.Module):
    """A layer that torch calls as one operator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x, x, need_weights=False)[0]


MODULES: dict[str, Callable[[], nn.Module]] = {"sizes": HalfOfTheChannels, "attention": Attention}


@pytest.mark.parametrize("name", MODULES)
def test_converts(name: str, tmp_path: Path) -> None:
    module, x = MODULES[name]().eval(), torch.randn(1, 4, 8)
    convert(trace(module, (x,)), {"x": x}, "iOS17", "float32", tmp_path / "model.mlpackage")
    (found,) = MLModel(tmp_path / "model.mlpackage").predict({"x": x}).values()
    np.testing.assert_allclose(found, module(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tracing
@pytest.mark.parametrize(
    "name, message", [("sizes", "only 0-dimensional arrays"), ("attention", "_native_multi_head_attention")]
)
def test_coremltools_alone_does_not_convert(name: str, message: str) -> None:
    module, x = MODULES[name]().eval(), torch.randn(1, 4, 8)
    with torch.no_grad():
        traced = torch.jit.trace(module, x)
    with pytest.raises(Exception, match=message):
        ct.convert(
            traced, inputs=[ct.TensorType(shape=x.shape)], convert_to="mlprogram", skip_model_load=True
        )
