"""Palettization in which a weight counts by how much the outputs depend on it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.encoding import Encoding
from mlpress.fit.layout import Layout
from mlpress.nn.calibration.weighted import palettize_weighted
from mlpress.recipe import Palettize

Array = npt.NDArray[Any]

_LEAST: Final = 1e-12
"""What a weight counts at least, of what the most sensitive one does: each has to be in some cluster."""


def palettize_by_sensitivity(
    stage: Palettize, encoding: Encoding, layout: Layout, sensitivity: Array
) -> Encoding:
    """Palettizes a weight with the tables of least weighted squared error.

    (Kim et al. 2023, "SqueezeLLM", section 4.1.)

    Args:
        stage: How.
        encoding: Floats, pruned or not.
        layout: Axes of the weight.
        sensitivity: Sums of squared gradients, of the weight's shape.

    Raises:
        NotApplicableError: It is quantized or palettized already, or groups or vectors do not fit it.
        NonFiniteWeightError: It holds NaN or infinity.
    """
    rank = len(encoding.shape)
    axis = stage.channel_axis
    if axis is None and (stage.group_size is not None or stage.cluster_dim > 1):
        axis = layout.require_output_axis(rank)
    own = stage.model_copy(update={"channel_axis": None if axis is None else axis % rank})
    output_axis = layout.require_output_axis(rank) if stage.per_channel_scale else 0
    importance = np.maximum(sensitivity / sensitivity.max(), _LEAST)
    return palettize_weighted(own, None, encoding, importance, output_axis)
