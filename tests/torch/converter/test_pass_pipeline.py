"""`PassPipeline`: weights that a model was trained to have few values or many zeros of are stored so."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

import mlpress
from mlpress import PassPipeline
from mlpress.encoding import describe
from mlpress.errors import MlpressError
from mlpress.optimize.coreml import OpPalettizerConfig, OptimizationConfig
from mlpress.optimize.torch.quantization import PostTrainingQuantizer
from mlpress.passes import weights


class Net(torch.nn.Module):
    """The convolution has 13 different weights, the linear layer has zeros in 80 % of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = torch.nn.Conv2d(16, 64, 3), torch.nn.BatchNorm2d(64)
        self.linear = torch.nn.Linear(64 * 36, 32)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.randint(-6, 7, self.conv.weight.shape) * 0.125)
            self.linear.weight.mul_(torch.rand_like(self.linear.weight) > 0.8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(torch.relu(self.norm(self.conv(x))).flatten(1))
        return y


X = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))


def convert(
    pipeline: Any, target: mlpress.target = mlpress.target.iOS16, model: torch.nn.Module | None = None
) -> mlpress.MLModel:
    return mlpress.convert(
        torch.jit.trace(Net().eval() if model is None else model, (X,)),
        inputs=[mlpress.TensorType(name="x", shape=tuple(X.shape))],
        outputs=[mlpress.TensorType(name="y")],
        minimum_deployment_target=target,
        pass_pipeline=pipeline,
    )


def stored(model: mlpress.MLModel) -> dict[str, str]:
    return {
        operation: describe(weight.encoding)
        for weight in weights(model.program)
        for operation, _ in weight.operations
        if len(weight.encoding.shape) > 1
    }


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("DEFAULT", {"conv": "float16", "linear": "float16"}),
        ("DEFAULT_PALETTIZATION", {"conv": "4-bit palette", "linear": "float16"}),
        ("DEFAULT_PRUNING", {"conv": "float16", "linear": "sparse 80%"}),
    ],
)
def test_default_pipelines(pipeline: str, expected: dict[str, str]) -> None:
    model = convert(getattr(PassPipeline, pipeline))
    found = stored(model)
    assert all(found[kind].startswith(words) for kind, words in expected.items())
    assert (model.compression_report is None) == (pipeline == "DEFAULT")
    with torch.no_grad():
        reference = Net().eval()(X).numpy()
    np.testing.assert_allclose(model.predict({"x": X.numpy()})["y"], reference, atol=2e-3)


def test_a_configuration_of_ones_own() -> None:
    pipeline = PassPipeline.DEFAULT_PALETTIZATION
    config = OptimizationConfig(op_type_configs={"conv": OpPalettizerConfig(nbits=2)})
    pipeline.set_options("compression::palettize_weights", {"config": config})
    assert stored(convert(pipeline))["conv"].startswith("2-bit palette")
    assert stored(convert(PassPipeline.DEFAULT_PALETTIZATION))["conv"].startswith("4-bit palette")


def test_ios15_has_no_compressed_weights(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        model = convert(PassPipeline.DEFAULT_PRUNING, mlpress.target.iOS15)
    assert stored(model)["linear"] == "float16"
    assert "weights are stored dense" in caplog.text


def test_what_the_model_says_is_compressed_stays() -> None:
    compressed = PostTrainingQuantizer(Net().eval()).compress()
    assert "palette" not in stored(convert(PassPipeline.DEFAULT_PALETTIZATION, model=compressed))["conv"]


def test_passes_can_be_put_together() -> None:
    pipeline = PassPipeline.DEFAULT
    pipeline.append_pass("compression::prune_weights")
    pipeline.insert_pass(0, "compression::palettize_weights")
    assert pipeline.passes == ["compression::palettize_weights", "compression::prune_weights"]
    found = stored(convert(pipeline))
    assert found["conv"].startswith("4-bit palette")
    assert found["linear"].startswith("sparse 80%")
    pipeline.remove_passes({"compression::palettize_weights"})
    assert pipeline.passes == ["compression::prune_weights"]
    pipeline.remove_pass(0)
    assert stored(convert(pipeline)) == {"conv": "float16", "linear": "float16"}


def test_other_passes_are_fixed() -> None:
    with pytest.warns(UserWarning, match="common::fuse_conv_batchnorm: this makes no difference here"):
        PassPipeline.DEFAULT.remove_passes(["common::fuse_conv_batchnorm"])
    with pytest.warns(UserWarning, match="common::const_elimination"):
        PassPipeline.DEFAULT.set_options("common::const_elimination", {"skip_const_by_size": "1e5"})
    with pytest.raises(MlpressError, match="there is no pass 'mine::own' to choose; allowed: compression::"):
        PassPipeline.DEFAULT.append_pass("mine::own")


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(MlpressError, match="pass_pipeline is 'default'; allowed: a"):
        convert("default")
    with pytest.raises(MlpressError, match="allowed: config, an mlpress"):
        PassPipeline.DEFAULT_PRUNING.set_options("compression::prune_weights", {"config": {}})
