"""coremltools' converter understands our buffers, and we understand those of its optimizers."""

from __future__ import annotations

import re

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.optimize.torch.palettization import PostTrainingPalettizer, PostTrainingPalettizerConfig
from coremltools.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig
from coremltools.optimize.torch.quantization import PostTrainingQuantizer, PostTrainingQuantizerConfig

from mlpress.bits import Tensor
from mlpress.encoding import Dense, decode, describe
from mlpress.fit.apply import Fitted, Job, run
from mlpress.fit.layout import Layout
from mlpress.nn.metadata import load, mark_version, store
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.oracle.chains import chains, decoded_here

PRUNE = Prune(sparsity=0.5)
SCALED = Palettize(nbits=4, per_channel_scale=True)
# Stages -> the constexpr operators that coremltools makes, from the user of the weight back.
CHAINS: dict[str, tuple[tuple[Stage, ...], list[str]]] = {
    "pruned": ((PRUNE,), ["sparse_to_dense"]),
    "int8": ((Quantize(),), ["blockwise_shift_scale"]),
    "uint4 blocks": (
        (Quantize(dtype="uint4", granularity="per_block", block_size=8, mode="linear"),),
        ["blockwise_shift_scale"],
    ),
    "palette": ((Palettize(nbits=4, group_size=8),), ["lut_to_dense"]),
    "palette of vectors": ((Palettize(nbits=4, cluster_dim=4),), ["lut_to_dense"]),
    "palette with scales": ((SCALED,), ["lut_to_dense", "blockwise_shift_scale"]),
    "palette, int8 table": ((Palettize(nbits=4), Quantize()), ["lut_to_dense", "blockwise_shift_scale"]),
    "palette with scales, int8 table": ((SCALED, Quantize()), ["lut_to_dense", "blockwise_shift_scale"]),
    "palette of vectors, int8 table": ((Palettize(nbits=4, cluster_dim=4), Quantize()), ["lut_to_dense"]),
    "pruned, int8": ((PRUNE, Quantize()), ["sparse_to_dense", "sparse_blockwise_shift_scale"]),
    "pruned, palette": ((PRUNE, Palettize(nbits=4)), ["sparse_to_dense", "lut_to_sparse"]),
    "pruned, palette, int8 table": (
        (PRUNE, Palettize(nbits=4), Quantize()),
        ["sparse_to_dense", "lut_to_sparse"],
    ),
}


def converted(model: torch.nn.Module) -> ct.models.MLModel:
    example = torch.zeros(1, 32)
    return ct.convert(
        torch.jit.trace(model.eval(), example),
        inputs=[ct.TensorType(shape=(1, 32))],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )


@pytest.mark.parametrize(("stages", "operators"), CHAINS.values(), ids=CHAINS.keys())
def test_coremltools_converts_what_we_compressed(stages: tuple[Stage, ...], operators: list[str]) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 64)
    values = layer.weight.detach().numpy().copy()
    fitted = run(Job(Dense(Tensor.from_numpy(values)), stages, Layout()))
    assert isinstance(fitted, Fitted)
    store(layer, "weight", fitted.encoding)
    mark_version(layer)
    model = converted(layer)
    (chain,) = chains(model.get_spec()).values()
    assert list(dict.fromkeys(re.findall(r"(\w+)\(", chain))) == operators
    (decoded,) = (values for (_, use), values in decoded_here(model).items() if use == "weight")
    expected = decode(fitted.encoding)
    # Below 0.000977 coremltools zeroes what a pruned weight keeps.
    allowed = 0.000977 if stages[0] is PRUNE else 0
    assert np.abs(decoded - expected).max() <= allowed + 1e-7


def pruned(layer: torch.nn.Module) -> torch.nn.Module:
    pruner = MagnitudePruner(
        layer, MagnitudePrunerConfig.from_dict({"global_config": {"initial_sparsity": 0.5}})
    )
    pruner.prepare(inplace=True)
    return pruner.finalize(inplace=True)


def palettizer(**arguments: object):
    config = PostTrainingPalettizerConfig.from_dict({"global_config": arguments})
    return lambda layer: PostTrainingPalettizer(layer, config).compress()


def quantizer(**arguments: object):
    config = PostTrainingQuantizerConfig.from_dict({"global_config": arguments})
    return lambda layer: PostTrainingQuantizer(layer, config).compress()


GROUPS = {"granularity": "per_grouped_channel", "group_size": 16}


@pytest.mark.parametrize(
    ("compress", "description"),
    [
        (pruned, "sparse 50% · float32"),
        (palettizer(n_bits=4), "4-bit palette · float32 table"),
        (palettizer(n_bits=2, **GROUPS), "2-bit palette x4 · float32 table"),
        (
            palettizer(n_bits=2, **GROUPS, channel_axis=1),
            "2-bit palette x2 · float32 table",
        ),
        (
            palettizer(n_bits=3, cluster_dim=4),
            "3-bit palette of 4-vectors · float32 table",
        ),
        (palettizer(n_bits=4, lut_dtype="int8"), "4-bit palette · int8 table"),
        (
            palettizer(n_bits=4, lut_dtype="uint8", **GROUPS),
            "4-bit palette x4 · uint8 table",
        ),
        (
            palettizer(n_bits=4, enable_per_channel_scale=True),
            "4-bit palette · float32 table · 64 scales",
        ),
        (quantizer(), "int8 · 64 scales"),
        (quantizer(weight_dtype="uint8"), "uint8 · 64 scales · offset"),
        (
            quantizer(weight_dtype="int4", granularity="per_block", block_size=8),
            "int4 · 64x4 scales",
        ),
        (
            quantizer(weight_dtype="uint4", quantization_scheme="affine"),
            "uint4 · 64 scales · offset",
        ),
    ],
)
def test_we_read_what_coremltools_compressed(compress, description: str) -> None:
    torch.manual_seed(0)
    layer = compress(torch.nn.Linear(32, 64))
    encoding = load(layer, "weight")
    assert encoding is not None
    assert describe(encoding) == description
    # coremltools computes some of its values in float64 before it rounds them.
    np.testing.assert_allclose(decode(encoding), layer.weight.detach().numpy(), rtol=3e-7, atol=1e-9)
