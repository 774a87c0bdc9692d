"""Fake quantization as `torch.ao.quantization` does it: what rounds, without what observes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from mlpress.converter.capture.errors import CaptureError

aten = torch.ops.aten


def check_not_packed(module: nn.Module) -> None:
    """Looks for layers whose weights torch has packed for its own quantized kernels.

    Raises:
        CaptureError: There are some; the message says which, and what to convert in their place.
    """
    packed = [name for name, part in module.named_modules() if hasattr(part, "_packed_params")]
    # The packed weights are modules themselves, of the same name.
    layers = [name or "the model" for name in packed if not name.endswith("_packed_params")]
    if layers:
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        raise CaptureError(
            f"torch has packed the weights of {', '.join(map(repr, layers[:3]))}{more} for its own quantized "
            "kernels; convert the model as it was before torch.ao.quantization.convert, or as a pt2e program"
        )


@contextmanager
def observing_nothing(module: nn.Module) -> Iterator[None]:
    """Lets the fake quantizers in `module` only round: whether they also observe depends on their buffers."""
    # Only a program that has imported them can have made any.
    library = sys.modules.get("torch.ao.quantization.fake_quantize")
    kind: Any = getattr(library, "FakeQuantizeBase", None)
    # Not isinstance, which is true of those that only take the same switches.
    found: list[Any] = [part for part in module.modules() if kind in type(part).__mro__]
    for part in found:
        part.__dict__["forward"] = partial(_rounded if part.fake_quant_enabled[0] else _same, part)
    try:
        yield
    finally:
        for part in found:
            del part.__dict__["forward"]


def rounding_only(program: ExportedProgram) -> ExportedProgram:
    """A program in which fake quantizers only round, by the scales that they have; the given one stays.

    A trace or an exported program has the operator that also observes whether or not its buffers let it.
    """
    fused = aten.fused_moving_avg_obs_fake_quant.default
    if not program.graph.find_nodes(op="call_function", target=fused):
        return program
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(program.graph, copies))
    for old, new in copies.items():
        new.name = old.name
    for node in graph.find_nodes(op="call_function", target=fused):
        _only_round(program, node)
    return program._update(fx.GraphModule(program.graph_module, graph), program.graph_signature)


def _only_round(program: ExportedProgram, node: fx.Node) -> None:
    """Makes an operator that observes and rounds one that rounds, or does nothing if it is switched off."""
    x, _, enabled, _, _, scale, zero, _, low, high, axis, *flags = node.args
    assert isinstance(enabled, fx.Node)
    names = program.graph_signature.inputs_to_buffers
    stored = program.state_dict.get(names.get(enabled.name, ""))
    if stored is not None and not stored.any():
        node.target, node.args = aten.clone.default, (x,)
    elif flags and flags[0]:
        node.target = aten.fake_quantize_per_channel_affine.default
        node.args = (x, scale, zero, axis, low, high)
    else:
        node.target = aten.fake_quantize_per_tensor_affine.tensor_qparams
        node.args = (x, scale, zero, low, high)


def _rounded(part: Any, x: Tensor) -> Tensor:
    low, high = int(part.activation_post_process.quant_min), int(part.activation_post_process.quant_max)
    zero = part.zero_point.to(torch.int32)
    if part.is_per_channel:
        return torch.fake_quantize_per_channel_affine(x, part.scale, zero, part.ch_axis, low, high)
    return torch.fake_quantize_per_tensor_affine(x, part.scale, zero, low, high)


def _same(part: Any, x: Tensor) -> Tensor:
    del part
    return x
