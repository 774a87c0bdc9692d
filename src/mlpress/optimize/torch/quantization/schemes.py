"""Names of schemes and observers."""

from __future__ import annotations

from enum import Enum


class QuantizationScheme(Enum):
    """Whether zero is in the middle of the range, or anywhere."""

    symmetric = "symmetric"
    affine = "affine"


class ObserverType(Enum):
    """How ranges are found from the tensors that are seen."""

    moving_average_min_max = "moving_average_min_max"
    min_max = "min_max"
    ema_min_max = "ema_min_max"
