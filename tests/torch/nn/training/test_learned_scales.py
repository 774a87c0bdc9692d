"""Gradients of learned scales and zero points against the formulas of LSQ and LSQ+, element by element."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mlpress.nn.training.fake_quantize import LearnedQuantize
from mlpress.nn.training.ranges import Integers, RangeObserver

SHAPE = (4, 50)


def learned(symmetric: bool, axis: int | None) -> tuple[LearnedQuantize, Tensor, Tensor]:
    """A quantizer whose scales are a little too small for the values; values; gradients of its output."""
    torch.manual_seed(0)
    values = torch.randn(SHAPE).requires_grad_()
    integers = Integers(4, signed=True, symmetric=symmetric)
    quantizer = LearnedQuantize(integers, RangeObserver("min_max", axis, SHAPE[0]), SHAPE)
    quantizer(values)
    quantizer.observing = False
    with torch.no_grad():
        quantizer.start_scale *= 0.5
        if not symmetric:
            quantizer.start_zero_point += 0.3
    return quantizer, values, torch.randn(SHAPE)


def by_row(gradient: Tensor, axis: int | None) -> Tensor:
    return gradient.sum(1, keepdim=True) if axis == 0 else gradient.sum().reshape(1, 1)


@pytest.mark.parametrize("axis", [None, 0])
def test_the_gradient_of_a_scale_is_that_of_lsq(axis: int | None) -> None:
    """Equation 3: v/s rounded minus v/s within the range, the nearest end of the range beyond it.

    As in torch's and coremltools' fake quantization, what rounds to an end of the range is within it.
    """
    quantizer, values, towards = learned(symmetric=True, axis=axis)
    quantizer(values).backward(towards)
    low, high = quantizer.integers.low, quantizer.integers.high
    ratio = values.detach() / quantizer.start_scale
    inside = (ratio.round() >= low) & (ratio.round() <= high)
    of_scale = torch.where(inside, ratio.round() - ratio, ratio.clamp(low, high))
    count = values.numel() / quantizer.start_scale.numel()
    factor = 1 / (count * high) ** 0.5  # section 2.2
    expected = by_row(of_scale * towards, axis) * factor
    torch.testing.assert_close(quantizer.scale_change.grad.reshape(expected.shape), expected)
    # Equation 5: the gradient of a value passes within the range.
    torch.testing.assert_close(values.grad, torch.where(inside, towards, 0))
    assert (~inside).any()


@pytest.mark.parametrize("axis", [None, 0])
def test_the_gradient_of_a_zero_point_is_that_of_lsq_plus(axis: int | None) -> None:
    """Within the range a zero point moves nothing; beyond it the value moves by a scale."""
    quantizer, values, towards = learned(symmetric=False, axis=axis)
    quantizer(values).backward(towards)
    low, high = quantizer.integers.low, quantizer.integers.high
    position = (values.detach() / quantizer.start_scale + quantizer.start_zero_point.round()).round()
    outside = (position < low) | (position > high)
    of_zero = torch.where(outside, -quantizer.start_scale, 0.0)
    factor = 1 / (values.numel() / quantizer.start_scale.numel() * high) ** 0.5
    expected = by_row(of_zero * towards, axis) * factor
    torch.testing.assert_close(quantizer.zero_point_change.grad.reshape(expected.shape), expected)
    assert outside.any()
