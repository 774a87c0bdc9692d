"""Models that coremltools compressed go through our converter in the form that they carry."""

from __future__ import annotations

from typing import Any

import coremltools.optimize.torch as cto
import numpy as np
import pytest
import torch
from torch import nn

import mlpress
from mlpress.encoding import describe
from mlpress.mil import Literal
from tests.torch.optimize.training_loop import batch, train


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 8)
    ).eval()


def post_training(kind: str, **config: Any) -> nn.Module:
    home = cto.palettization if kind == "PostTrainingPalettizer" else cto.quantization
    made = getattr(home, f"{kind}Config").from_dict({"global_config": config})
    return getattr(home, kind)(network(), made).compress()


def layerwise(**config: Any) -> nn.Module:
    made = cto.layerwise_compression.LayerwiseCompressorConfig.from_dict({"global_config": config})
    compressor = cto.layerwise_compression.LayerwiseCompressor(network(), made)
    return compressor.compress([batch(index)[0] for index in range(4)], "cpu")


def trained(home: Any, kind: str, *arguments: Any, **config: Any) -> nn.Module:
    optimizer = getattr(home, kind)(
        network(), getattr(home, f"{kind}Config").from_dict({"global_config": config})
    )
    model = optimizer.prepare(*arguments)
    train(model, [optimizer], steps=2)
    return optimizer.finalize().eval()


CASES = {
    "palette": (lambda: post_training("PostTrainingPalettizer", n_bits=4), "4-bit palette · float16 table"),
    "integer table": (
        lambda: post_training("PostTrainingPalettizer", n_bits=4, lut_dtype="int8"),
        "4-bit palette · int8 table",
    ),
    "quantized": (lambda: post_training("PostTrainingQuantizer"), "int8 · 32 scales"),
    "blocks": (
        lambda: post_training(
            "PostTrainingQuantizer",
            weight_dtype="int4",
            granularity="per_block",
            block_size=1,
        ),
        "int4",
    ),
    "GPTQ": (lambda: layerwise(algorithm="gptq", weight_dtype="uint4"), "uint4 · 32 scales · offset"),
    "SparseGPT": (lambda: layerwise(algorithm="sparse_gpt", weight_dtype="uint8"), "sparse"),
    "pruned": (lambda: trained(cto.pruning, "MagnitudePruner"), "sparse 50% · float16"),
    "DKM": (
        lambda: trained(cto.palettization, "DKMPalettizer", n_bits=2, weight_threshold=100),
        "2-bit palette · float16 table",
    ),
    "trained integers": (
        lambda: trained(
            cto.quantization, "LinearQuantizer", (torch.zeros(1, 3, 6, 6),), activation_dtype="float32"
        ),
        "int8 · 32 scales",
    ),
    "trained integers and activations": (
        lambda: trained(cto.quantization, "LinearQuantizer", (torch.zeros(1, 3, 6, 6),)),
        "int8 · 32 scales",
    ),
}


@pytest.mark.parametrize(("compress", "expected"), CASES.values(), ids=CASES)
def test_our_converter_takes_what_coremltools_compressed(compress: Any, expected: str) -> None:
    compressed, image = compress().eval(), batch(9)[0]
    made = mlpress.convert(
        torch.jit.trace(compressed, image),
        inputs=[mlpress.TensorType("image", tuple(image.shape))],
        minimum_deployment_target=mlpress.target.iOS18,
    )
    weights = [
        describe(constant.data)
        for constant in made.program.functions["main"].block.constants()
        if not isinstance(constant.data, Literal) and constant.data.shape == (32, 256)
    ]
    assert len(weights) == 1
    assert weights[0].startswith(expected)
    (found,) = made.predict({"image": image.numpy()}).values()
    np.testing.assert_allclose(found, compressed(image).detach().numpy(), rtol=2e-2, atol=5e-3)
