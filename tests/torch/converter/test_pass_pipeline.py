"""`PassPipeline`: compression that ends a conversion, under coremltools' names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import mlpress
from mlpress import PassPipeline
from mlpress.errors import LegalityError, MlpressError
from mlpress.optimize.coreml import OpPalettizerConfig, OptimizationConfig
from mlpress.optimize.torch.quantization import PostTrainingQuantizer


def network() -> nn.Sequential:
    """Returns layers with few values, with zeros for the most part, and with neither."""
    layers = nn.Sequential(*(nn.Linear(64, 64) for _ in range(3))).eval()
    few, sparse = layers[0].weight.data, layers[1].weight.data
    few.copy_((few * 60).round() / 60)
    sparse[torch.rand(64, 64) < 0.7] = 0
    return layers


def treated(model: nn.Module, pipeline: Any, target: str = "iOS16") -> list[bool]:
    """Converts, and says of each weight whether the pipeline compressed it."""
    made = mlpress.convert(
        model,
        inputs=[mlpress.TensorType(shape=(1, 64))],
        minimum_deployment_target=mlpress.target[target],
        pass_pipeline=pipeline,
    )
    report = made.compression_report
    return [] if report is None else [row.status == "compressed" for row in report if len(row.shape) == 2]


def test_a_pipeline_compresses_what_is_trained_for_it() -> None:
    assert treated(network(), PassPipeline.DEFAULT_PALETTIZATION) == [True, False, False]
    assert treated(network(), PassPipeline.DEFAULT_PRUNING) == [False, True, False]
    assert treated(network(), PassPipeline.DEFAULT) == []


def test_what_the_model_says_is_compressed_stays() -> None:
    compressed = PostTrainingQuantizer(network()).compress()
    assert treated(compressed, PassPipeline.DEFAULT_PALETTIZATION) == [False, False, False]


def test_a_pass_takes_a_configuration() -> None:
    pipeline = PassPipeline.DEFAULT_PALETTIZATION
    pipeline.set_options(
        "compression::palettize_weights", {"config": OptimizationConfig(OpPalettizerConfig(nbits=4))}
    )
    assert treated(network(), pipeline) == [True, True, True]
    assert treated(network(), PassPipeline.DEFAULT_PALETTIZATION) == [True, False, False]


def test_passes_can_be_put_together() -> None:
    pipeline = PassPipeline.DEFAULT
    pipeline.append_pass("compression::prune_weights")
    pipeline.insert_pass(0, "compression::palettize_weights")
    assert pipeline.passes == ["compression::palettize_weights", "compression::prune_weights"]
    assert treated(network(), pipeline, "iOS18") == [False, True, False]
    pipeline.remove_passes({"compression::palettize_weights"})
    assert pipeline.passes == ["compression::prune_weights"]
    pipeline.remove_pass(0)
    assert treated(network(), pipeline) == []


def test_other_passes_are_fixed() -> None:
    with pytest.warns(UserWarning, match="common::fuse_conv_batchnorm: this makes no difference here"):
        PassPipeline.DEFAULT.remove_passes(["common::fuse_conv_batchnorm"])
    with pytest.warns(UserWarning, match="common::const_elimination"):
        PassPipeline.DEFAULT.set_options("common::const_elimination", {"skip_const_by_size": "1e5"})
    with pytest.raises(MlpressError, match="there is no pass 'mine::own' to choose; allowed: compression::"):
        PassPipeline.DEFAULT.append_pass("mine::own")


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(LegalityError, match="need iOS 16 or later"):
        treated(network(), PassPipeline.DEFAULT_PALETTIZATION, "iOS15")
    with pytest.raises(MlpressError, match="pass_pipeline is a str; allowed: PassPipeline"):
        treated(network(), "default")
    with pytest.raises(MlpressError, match="allowed: config, an mlpress"):
        PassPipeline.DEFAULT_PRUNING.set_options("compression::prune_weights", {"config": {}})
