"""Layerwise compression of a trained network beside coremltools', and beside methods without data."""

from __future__ import annotations

from typing import Any

import coremltools.optimize.torch as cto
import pytest
from torch import nn

from mlpress.optimize.torch import layerwise_compression
from mlpress.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig
from mlpress.optimize.torch.quantization import PostTrainingQuantizer, PostTrainingQuantizerConfig
from tests.oracle.torch_optimize import digits

FIRST = {"0": None}  # coremltools cannot prune its 9 columns in patterns of 4
GPTQ = {"algorithm": "gptq", "weight_dtype": "uint4"}
PRUNE = {"algorithm": "sparse_gpt", "weight_dtype": "float32"}


def compressed(home: Any, config: dict[str, Any], names: dict[str, None] | None = None) -> nn.Module:
    data = {"global_config": dict(config), "module_name_configs": dict(names or {})}
    made = home.LayerwiseCompressorConfig.from_dict(data)
    images = [images for images, _ in digits.samples()]
    return home.LayerwiseCompressor(digits.trained(), made).compress(images, "cpu")


def rounded() -> nn.Module:
    config = {"weight_dtype": "int4", "granularity": "per_channel"}
    made = PostTrainingQuantizerConfig.from_dict({"global_config": config})
    return PostTrainingQuantizer(digits.trained(), made).compress()


def pruned(config: dict[str, Any], names: dict[str, None]) -> nn.Module:
    data = {"global_config": config, "module_name_configs": names}
    pruner = MagnitudePruner(digits.trained(), MagnitudePrunerConfig.from_dict(data))
    pruner.prepare(inplace=True)
    pruner.step()
    return pruner.finalize(inplace=True)


def test_the_network_is_trained() -> None:
    assert digits.accuracy(digits.trained()) > 0.97


def test_gptq_is_closer_than_rounding_to_nearest() -> None:
    found = compressed(layerwise_compression, GPTQ)
    assert digits.output_error(found) < 0.7 * digits.output_error(rounded())
    assert digits.accuracy(found) >= digits.accuracy(rounded()) - 0.005


@pytest.mark.parametrize(
    ("config", "by_magnitude", "names"),
    [
        ({"target_sparsity": 0.5}, {"target_sparsity": 0.5}, {}),
        ({"n_m_ratio": (2, 4)}, {"n_m_ratio": (2, 4)}, FIRST),
    ],
    ids=["half", "2 of 4"],
)
def test_sparse_gpt_is_closer_than_pruning_by_magnitude(
    config: dict[str, Any], by_magnitude: dict[str, Any], names: dict[str, None]
) -> None:
    found = compressed(layerwise_compression, {**PRUNE, **config}, names)
    assert digits.output_error(found) < 0.7 * digits.output_error(pruned(by_magnitude, names))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (GPTQ, {}),
        ({**GPTQ, "weight_dtype": "uint3"}, {}),
        ({**GPTQ, "use_activation_order_heuristic": True}, {}),
        ({**GPTQ, "weight_dtype": "uint3", "enable_normal_float": True}, {}),
        ({**PRUNE, "target_sparsity": 0.5}, {}),
        ({**PRUNE, "n_m_ratio": (2, 4)}, FIRST),
        ({**PRUNE, "weight_dtype": "uint8"}, {}),
    ],
    ids=str,
)
def test_a_trained_network_is_as_close_as_theirs(config: dict[str, Any], names: dict[str, None]) -> None:
    ours = compressed(layerwise_compression, config, names)
    theirs = compressed(cto.layerwise_compression, config, names)
    assert digits.output_error(ours) <= 1.05 * digits.output_error(theirs)
    assert digits.accuracy(ours) >= digits.accuracy(theirs) - 0.005


def test_layers_of_a_copy_are_compressed_which_theirs_pass_over() -> None:
    """coremltools looks for the modules of the model in its copy, and compresses nothing."""
    for home, changed in ((layerwise_compression, True), (cto.layerwise_compression, False)):
        model = digits.trained()
        made = home.LayerwiseCompressorConfig.from_dict({"global_config": dict(GPTQ), "layers": [model[0]]})
        found = home.LayerwiseCompressor(model, made).compress([digits.data()[0][:8]], "cpu")
        assert bool((found[0].weight != model[0].weight).any()) == changed
