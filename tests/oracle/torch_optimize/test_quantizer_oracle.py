"""Quantization in training beside coremltools' on the same seeds."""

from __future__ import annotations

import re

import coremltools as ct
import coremltools.optimize.torch as cto
import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import Affine, decode
from mlpress.nn.activations.quantizers import QuantizeDequantize
from mlpress.nn.metadata import encodings
from mlpress.nn.training.fake_quantize import LearnedQuantize
from mlpress.nn.training.ranges import Integers, RangeObserver
from mlpress.optimize.torch import quantization
from tests.oracle.chains import chains
from tests.torch.optimize.prepared import finalize, prepare
from tests.torch.optimize.training_loop import batch, network, train

INPUTS = (torch.zeros(2, 3, 6, 6),)


def both(config: dict[str, object], steps: int = 4) -> list[tuple[nn.Module, nn.Module]]:
    """(prepared and trained, finalized) as we and as coremltools have it."""
    found = []
    for home in (quantization, cto.quantization):
        optimizer = home.LinearQuantizer(
            network(), home.LinearQuantizerConfig.from_dict({"global_config": dict(config)})
        )
        model = optimizer.prepare(example_inputs=INPUTS)
        train(model, [optimizer], steps=steps)
        found.append((model, optimizer.finalize()))
    return found


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"quantization_scheme": "affine"},
        {"weight_dtype": "qint4"},
        {"weight_dtype": "quint4", "weight_per_channel": False},
        {"weight_dtype": "quint8"},
        {"activation_dtype": "float32"},
        {"weight_observer": "min_max", "activation_observer": "min_max"},
        {"weight_observer": "ema_min_max", "activation_observer": "ema_min_max"},
        {"milestones": [0, 1, 3, 2]},
        {"milestones": [0, 1000, 1000, 0]},
        {"algorithm": "learnable"},
        {"algorithm": "learnable", "quantization_scheme": "affine"},
        {"algorithm": "learnable", "milestones": [0, 1, 1, -1], "weight_dtype": "qint4"},
    ],
    ids=str,
)
def test_a_quantized_training_is_theirs(config: dict[str, object]) -> None:
    (_, ours), (_, theirs) = both(config)
    inputs, _ = batch(9)
    one, other = ours(inputs), theirs(inputs)
    # A rounding that falls the other way moves an activation by one step of its scale.
    step = 2 ** -(4 if "4" in str(config.get("weight_dtype")) else 6)
    assert (one - other).abs().max() <= step * other.abs().max()
    expected = [value for name, value in theirs.named_parameters() if name.endswith("weight")]
    for (name, encoding), wanted in zip(encodings(ours.state_dict()).items(), expected, strict=True):
        # Not of the weights as they are now: an observer may remember larger ones.
        assert isinstance(encoding, Affine)
        weight_step = float(decode(encoding.scale).max())
        change = (ours.get_parameter(name).detach() - wanted).abs()
        assert change.max() <= 1.1 * weight_step, name  # one step, and what the scales themselves moved
        assert change.mean() <= 0.05 * weight_step, name


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_learned_scales_and_their_gradients_are_theirs(symmetric: bool, per_channel: bool) -> None:
    from coremltools.optimize.torch.quantization.modules.learnable_fake_quantize import LearnableFakeQuantize
    from coremltools.optimize.torch.quantization.modules.observers import EMAMinMaxObserver

    torch.manual_seed(0)
    values = torch.randn(6, 20)
    ours = LearnedQuantize(
        Integers(8, False, symmetric), RangeObserver("ema_min_max", 0 if per_channel else None, 6), (6, 20)
    )
    schemes = ("symmetric" if symmetric else "affine", "channel" if per_channel else "tensor")
    theirs = LearnableFakeQuantize(
        EMAMinMaxObserver,
        torch.quint8,
        getattr(torch, f"per_{schemes[1]}_{schemes[0]}"),
        **({"ch_axis": 0} if per_channel else {}),
    )
    if per_channel:
        theirs.set_param_shape(list(values.shape))
    ours(values), theirs(values)
    ours.observing = False
    theirs.disable_observer()
    with torch.no_grad():
        for scale in (ours.start_scale, theirs.scale):
            scale *= 0.8  # some values are beyond the range
    one, other = (values.clone().requires_grad_() for _ in range(2))
    found, expected = ours(one), theirs(other)
    torch.testing.assert_close(found, expected)
    towards = torch.randn_like(values)
    (found * towards).sum().backward()
    (expected * towards).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    torch.testing.assert_close(ours.scale_change.grad.flatten(), theirs.scale.grad.flatten())
    if not symmetric:
        torch.testing.assert_close(ours.zero_point_change.grad.flatten(), theirs.zero_point.grad.flatten())


def test_activations_are_rounded_at_the_same_places() -> None:
    (_, ours), (_, theirs) = both({})
    scales = [module.scale for module in ours.modules() if isinstance(module, QuantizeDequantize)]
    expected = {
        round(float(value), 5)
        for name, value in theirs.state_dict().items()
        if "scale" in name and "weight" not in name and "_COREML_" not in name
    }
    assert {round(scale, 5) for scale in scales} == expected


def test_coremltools_converts_the_result() -> None:
    (_, ours), _ = both({})
    model = ct.convert(
        torch.jit.trace(ours, torch.zeros(1, 3, 6, 6)),
        inputs=[ct.TensorType(shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    spec = model.get_spec()
    found = [chain for (_, use), chain in chains(spec).items() if use == "weight"]
    assert len(found) == 3
    assert all(chain.startswith("blockwise_shift_scale(data=int8") for chain in found)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    assert sum(operation.type == "quantize" for operation in block.operations) >= 4


def test_we_read_what_their_quantizer_finalized() -> None:
    _, (_, theirs) = both({})
    found = encodings(theirs.state_dict())
    assert len(found) == 3
    for name, encoding in found.items():
        np.testing.assert_allclose(
            decode(encoding), theirs.get_parameter(name).detach().numpy(), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize(
    ("names", "operators"),
    [
        (("quantize", "prune"), ["sparse_to_dense", "sparse_blockwise_shift_scale"]),
        (("prune", "palettize"), ["sparse_to_dense", "lut_to_sparse"]),
        (("palettize", "weights"), ["lut_to_dense", "blockwise_shift_scale"]),
        # Their converter fails on tables of integers here, and gets a table of floats of the same values.
        (("prune", "palettize", "weights"), ["sparse_to_dense", "lut_to_sparse"]),
    ],
    ids=str,
)
def test_coremltools_converts_joint_compression(names: tuple[str, ...], operators: list[str]) -> None:
    model, optimizers = prepare(network(), names)
    train(model, optimizers, steps=7)
    final = finalize(model, optimizers).eval()
    converted = ct.convert(
        torch.jit.trace(final, torch.zeros(1, 3, 6, 6)),
        inputs=[ct.TensorType(shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    found = [chain for (_, use), chain in chains(converted.get_spec()).items() if use == "weight"]
    assert len(found) == 3
    for chain in found:
        assert list(dict.fromkeys(re.findall(r"(\w+)\(", chain))) == operators
