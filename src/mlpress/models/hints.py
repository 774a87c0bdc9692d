"""Hints for Core ML, kept with a model under coremltools' names; without effect here."""

from __future__ import annotations

from enum import Enum


class ReshapeFrequency(Enum):
    """How often the shapes of inputs are expected to change: `optimization_hints["reshapeFrequency"]`."""

    Frequent = 1
    Infrequent = 2


class SpecializationStrategy(Enum):
    """What Core ML prepares a model for: `optimization_hints["specializationStrategy"]`."""

    Default = 1
    FastPrediction = 2
