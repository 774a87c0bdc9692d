"""Training models whose weights were compressed before: zeros stay, and so do tables and integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.palettization import DKMPalettizer, DKMPalettizerConfig
from mlpress.optimize.torch.pruning import MagnitudePruner
from mlpress.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig
from tests.torch.optimize.training_loop import network, train

INPUTS = (torch.zeros(2, 3, 6, 6),)
QUANTIZE: dict[str, Any] = {"activation_dtype": "float32"}


def described(model: nn.Module) -> dict[str, str]:
    return {name: describe(encoding) for name, encoding in encodings(model.state_dict()).items()}


def palettizer(model: nn.Module) -> DKMPalettizer:
    config = DKMPalettizerConfig.from_dict({"global_config": {"n_bits": 2, "weight_threshold": 100}})
    return DKMPalettizer(model, config)


def quantizer(model: nn.Module, **config: Any) -> LinearQuantizer:
    return LinearQuantizer(model, LinearQuantizerConfig.from_dict({"global_config": config}))


def at_once(optimizer: Any, *arguments: Any) -> nn.Module:
    """Compresses without training."""
    model = optimizer.prepare(*arguments, inplace=True)
    with torch.no_grad():
        model(INPUTS[0])
    optimizer.step()
    return optimizer.finalize(inplace=True)


@pytest.mark.parametrize(
    ("start", "arguments", "expected"),
    [
        (palettizer, (), "sparse 50% · 2-bit palette · float32 table"),
        (lambda model: quantizer(model, **QUANTIZE), (INPUTS,), "sparse 50% · int8 · 32 scales"),
        (lambda model: quantizer(model, weight_dtype="float32"), (INPUTS,), "sparse 50% · float32"),
    ],
    ids=["palettize", "quantize", "activations"],
)
def test_zeros_of_an_earlier_pruning_stay(start: Any, arguments: Any, expected: str) -> None:
    pruned = at_once(MagnitudePruner(network()))
    optimizer = start(pruned)
    model = optimizer.prepare(*arguments)
    train(model, [optimizer], steps=3)
    final = optimizer.finalize()
    for index in (0, 4, 6):
        assert not final.get_parameter(f"{index}.weight")[pruned[index].weight == 0].any()
    assert described(final)["4.weight"] == expected
    for name, encoding in encodings(final.state_dict()).items():
        np.testing.assert_array_equal(final.get_parameter(name).detach().numpy(), decode(encoding))


@pytest.mark.parametrize(
    ("start", "arguments", "skipped"),
    [
        (MagnitudePruner, (), True),
        (quantizer, (INPUTS,), True),
        (lambda model: quantizer(model, weight_dtype="float32"), (INPUTS,), False),
    ],
    ids=["prune", "quantize", "activations"],
)
def test_what_was_palettized_before_is_left_through_a_training(
    start: Any, arguments: Any, skipped: bool
) -> None:
    palettized = at_once(palettizer(network()))
    optimizer = start(palettized)
    model = optimizer.prepare(*arguments)
    train(model, [optimizer], steps=3)
    final = optimizer.finalize()
    names = {"0.weight", "4.weight", "6.weight"}
    reason = "it was quantized or palettized before, and stays as it is"
    assert optimizer.report().skipped == (dict.fromkeys(names, reason) if skipped else {})
    for name in names:
        assert torch.equal(final.get_parameter(name), palettized.get_parameter(name))
    assert not torch.equal(final.get_parameter("4.bias"), palettized.get_parameter("4.bias"))
    assert described(final) == described(palettized)
    assert all(parameter.requires_grad for parameter in final.parameters())
    assert not all(parameter.requires_grad for parameter in model.parameters())
    wrapped = optimizer.finalize(nn.ModuleDict({"module": model}))
    assert all(parameter.requires_grad for parameter in wrapped.parameters())
