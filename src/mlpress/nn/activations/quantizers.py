"""Modules that round activations: in training, and afterwards."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from mlpress.nn.activations.place import Place
from mlpress.nn.activations.roles import Fixed
from mlpress.nn.training.quantize import QuantizeOptions


class ActivationQuantizer(nn.Module):
    """Rounds a tensor with one scale, along a schedule.

    Attributes:
        quantizer: What observes and rounds.
        steps: Steps of the schedule so far.
    """

    def __init__(self, options: QuantizeOptions, fixed: Fixed | None = None) -> None:
        """Makes it; `fixed` is scale and zero point where they are known beforehand."""
        super().__init__()
        self.options = options
        self.fixed = fixed
        self.quantizer = options.quantizer((), None)
        self.steps = 0

    def parameters_now(self) -> tuple[float, int]:
        """Returns scale and zero point."""
        if self.fixed is not None:
            return self.fixed.scale, self.fixed.zero_point
        scale, zero = self.quantizer.parameters_now()
        return float(scale), int(zero)

    @property
    def known(self) -> bool:
        """Whether it can round for good: its range was observed, or is known beforehand."""
        milestones = self.options.milestones
        if milestones is not None and not milestones.begun(self.steps):
            return False
        return self.fixed is not None or bool(torch.isfinite(self.quantizer.observer.low))

    def forward(self, values: Tensor) -> Tensor:
        """Returns a tensor rounded; one of integers as it is."""
        if not values.is_floating_point():
            return values
        if self.fixed is None:
            rounded: Tensor = self.quantizer(values)
            return rounded
        if not self.quantizer.enabled:
            return values
        low, high = self.options.integers.low, self.options.integers.high
        scale, zero = self.parameters_now()
        return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, low, high).to(values.dtype)

    def advance(self) -> None:
        """Takes a step of the schedule."""
        self.steps += 1
        self._apply_milestones()

    def _apply_milestones(self) -> None:
        if self.options.milestones is not None:
            self.options.milestones.apply(self.steps, self.quantizer)

    def get_extra_state(self) -> Any:
        """Returns the steps."""
        return {"steps": self.steps}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        self.steps = state["steps"]
        self._apply_milestones()


class QuantizeDequantize(nn.Module):
    """Rounds a tensor to integers of 8 bits without sign, and back.

    Traces show it as ``quantize_per_tensor`` and ``dequantize``, which is what coremltools converts, and
    exported programs as ``fake_quantize_per_tensor_affine``.
    """

    def __init__(self, scale: float, zero_point: int) -> None:
        super().__init__()
        self.scale = scale
        self.zero_point = zero_point

    def forward(self, values: Tensor) -> Tensor:
        """Returns a tensor rounded."""
        scale, zero = self.scale, self.zero_point
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, 0, 255).to(values.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch is going to drop its quantized types
            return torch.quantize_per_tensor(values, scale, zero, torch.quint8).dequantize()


def make_quantizer(place: Place) -> ActivationQuantizer:
    """Makes the quantizer of a place: values that are never negative have all integers for themselves."""
    options = place.options
    if place.positive:
        options = replace(options, integers=replace(options.integers, symmetric=False))
    return ActivationQuantizer(options, place.fixed)


def finish(model: nn.Module) -> None:
    """Replaces all quantizers of activations by what rounds for good, in place.

    Those whose range was never seen have nothing to round by, and go away.
    """
    for path, module in list(model.named_modules()):
        if isinstance(module, ActivationQuantizer):
            rounding = QuantizeDequantize(*module.parameters_now()) if module.known else nn.Identity()
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, rounding)
    if isinstance(model, fx.GraphModule):
        model.recompile()
