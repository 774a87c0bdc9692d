"""Compression with data beside coremltools' on the same seeds."""

from __future__ import annotations

import copy

import coremltools as ct
import coremltools.optimize.torch as cto
import pytest
import torch
from coremltools.optimize.torch.layerwise_compression.algorithms import GPTQ
from torch import nn

from mlpress.nn.calibration.hessian import Hessian
from mlpress.optimize.torch import layerwise_compression, palettization
from tests.oracle.chains import chains
from tests.torch.optimize.training_loop import batch, network

DATA = [batch(index)[0] for index in range(8)]
SAMPLES = [batch(index) for index in range(8)]


def layer_and_inputs(kind: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if kind == "linear":
        return nn.Linear(48, 24), torch.randn(64, 48) @ torch.randn(48, 48)
    return nn.Conv2d(8, 16, 3, padding=1), torch.randn(8, 8, 6, 6)


# Affine, because their symmetric ranges go wrong where a block has no negative weight.
BLOCKS = {"granularity": "per_block", "block_size": 4, "quantization_scheme": "affine"}
CASES = {
    "gptq": (
        {"weight_dtype": "uint8"},
        {"weight_dtype": "uint4"},
        {"weight_dtype": "uint4", "quantization_scheme": "affine"},
        {"weight_dtype": "uint4", "granularity": "per_tensor"},
        {"weight_dtype": "uint4", **BLOCKS},
        {"weight_dtype": "uint4", "use_activation_order_heuristic": True},
        {"weight_dtype": "uint4", **BLOCKS, "use_activation_order_heuristic": True},
        {"weight_dtype": "uint3", "enable_normal_float": True},
        {"weight_dtype": "uint4", "enable_normal_float": True, "processing_group_size": 8},
    ),
    "sparse_gpt": (
        {"weight_dtype": "float32"},
        {"weight_dtype": "float32", "n_m_ratio": (2, 4)},
        {"weight_dtype": "float32", "target_sparsity": 0.8, "processing_group_size": 16},
        {"weight_dtype": "uint4"},
        {"weight_dtype": "uint8", "n_m_ratio": (1, 4), "quantization_scheme": "affine"},
    ),
}


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize(
    ("algorithm", "config"),
    [(name, config) for name, configs in CASES.items() for config in configs],
    ids=str,
)
def test_a_layer_is_compressed_as_theirs_is(algorithm: str, config: dict[str, object], kind: str) -> None:
    layer, inputs = layer_and_inputs(kind)
    hessian = Hessian(layer)
    hessian.add(inputs)
    weights = []
    for home in (layerwise_compression, cto.layerwise_compression):
        compressed = copy.deepcopy(layer)
        its_config = home.LayerwiseCompressionAlgorithmConfig.get_class(algorithm).from_dict(dict(config))
        its_algorithm = home.LayerwiseCompressionAlgorithm.get_class(algorithm)(compressed, its_config)
        with torch.no_grad():
            its_algorithm.add_batch(inputs, compressed(inputs))
            found = (
                its_algorithm._hessian.sums[0] if home is layerwise_compression else its_algorithm._hessian
            )
            largest = float(hessian.sums.max())
            torch.testing.assert_close(found, hessian.sums[0], rtol=1e-4, atol=1e-6 * largest)
            its_algorithm.compress()
            its_algorithm.cleanup()
        weights.append(compressed.weight.detach())
    found, wanted = weights
    # Where a quotient is half-way between integers the two may part, and all columns after with it.
    assert ((found - wanted).abs() < 1e-4).float().mean() > 0.9
    assert output_error(layer, found, inputs) <= 1.1 * output_error(layer, wanted, inputs)


def output_error(layer: nn.Module, weight: torch.Tensor, inputs: torch.Tensor) -> float:
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.copy_(weight)
        return float((other(inputs) - layer(inputs)).square().sum())


@pytest.mark.parametrize(
    "config", [{"algorithm": "gptq", "weight_dtype": "uint4"}, {"algorithm": "sparse_gpt"}], ids=str
)
def test_a_sequential_model_is_compressed_as_theirs_is(config: dict[str, object]) -> None:
    finals = []
    for home in (layerwise_compression, cto.layerwise_compression):
        data = {"global_config": dict(config), "calibration_nsamples": 8}
        made = home.LayerwiseCompressorConfig.from_dict(data)
        finals.append(home.LayerwiseCompressor(network(), made).compress(DATA, "cpu"))
    # Who comes first in a tie decides what is pruned or rounded up, so later layers see other inputs: their
    # elements differ more, and what the networks make of the data little.
    first, *_ = zip(*(final.parameters() for final in finals), strict=True)
    assert ((first[0] - first[1]).abs() < 1e-4).float().mean() > 0.9
    inputs = torch.cat(DATA)
    reference = network()(inputs)
    ours, theirs = (float((final(inputs) - reference).square().mean()) for final in finals)
    assert ours <= 1.1 * theirs


@pytest.mark.parametrize(
    "config",
    [
        {"n_bits": 2},
        {"n_bits": 4, "granularity": "per_grouped_channel", "group_size": 8},
        {"n_bits": 4, "lut_dtype": "int8"},
        {"n_bits": 3, "enable_per_channel_scale": True},
        {"n_bits": 3, "cluster_dim": 2},
    ],
    ids=str,
)
def test_sensitive_palettes_are_as_close_or_closer(config: dict[str, object]) -> None:
    def loss(model: nn.Module, sample: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(model(sample[0]), sample[1])

    finals = []
    for home in (palettization, cto.palettization):
        palettizer = home.SKMPalettizer(
            network(), home.SKMPalettizerConfig.from_dict({"global_config": dict(config)})
        )
        if home is palettization:
            importance = palettizer.compute_sensitivity(SAMPLES, loss)
        finals.append(palettizer.compress(SAMPLES, loss))
    before = network()
    for name in ("0.weight", "4.weight", "6.weight"):
        errors = [weighted_error(final, before, name, importance) for final in finals]
        assert errors[0] <= 1.03 * errors[1], name


def weighted_error(
    model: nn.Module, before: nn.Module, name: str, importance: dict[str, torch.Tensor]
) -> float:
    difference = model.get_parameter(name) - before.get_parameter(name)
    return float((difference.square() * importance[name]).sum())


@pytest.mark.parametrize(
    ("config", "chain"),
    [
        ({"algorithm": "gptq", "weight_dtype": "uint4"}, "blockwise_shift_scale(data=uint4"),
        (
            {"algorithm": "gptq", "weight_dtype": "uint4", "enable_normal_float": True},
            "lut_to_dense(indices=uint4",
        ),
        ({"algorithm": "sparse_gpt"}, "sparse_to_dense("),
    ],
    ids=str,
)
def test_coremltools_converts_the_result(config: dict[str, object], chain: str) -> None:
    made = layerwise_compression.LayerwiseCompressorConfig.from_dict({"global_config": config})
    final = layerwise_compression.LayerwiseCompressor(network().eval(), made).compress(DATA, "cpu")
    model = ct.convert(
        torch.jit.trace(final.eval(), torch.zeros(1, 3, 6, 6)),
        inputs=[ct.TensorType(shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    # The converter folds the batch norm into the weight of the convolution in front.
    found = [text for (_, use), text in chains(model.get_spec()).items() if use == "weight"]
    assert len(found) >= 2
    assert all(text.startswith(chain) for text in found)


def test_gptq_handles_a_row_of_one_sign_that_theirs_saturates() -> None:
    """coremltools' symmetric range of a row without negative weights ends at half of its largest."""
    layer = nn.Linear(8, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(1, 2, 16).reshape(2, 8))
    ours = layerwise_compression.GPTQ(copy.deepcopy(layer), layerwise_compression.ModuleGPTQConfig())
    ours.add_batch(torch.eye(8), layer(torch.eye(8)))
    ours.compress()
    torch.testing.assert_close(ours._layer.weight, layer.weight, rtol=0, atol=0.02)
    theirs = GPTQ(layer, cto.layerwise_compression.ModuleGPTQConfig())
    theirs.add_batch(torch.eye(8), layer(torch.eye(8)))
    before = layer.weight.detach().clone()
    with torch.no_grad():
        theirs.compress()
    assert (layer.weight - before).abs().max() > 0.5
