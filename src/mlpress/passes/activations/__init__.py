"""Quantization of activations: from a program and the ranges of its values to a program of 8-bit values."""

from mlpress.passes.activations.insert import quantize
from mlpress.passes.activations.plan import Plan, make_plan
from mlpress.passes.activations.ranges import Range
from mlpress.passes.activations.report import ActivationReport

__all__ = ["ActivationReport", "Plan", "Range", "make_plan", "quantize"]
