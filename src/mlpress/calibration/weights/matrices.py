"""A weight as matrices whose columns are what an output sums over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import NotApplicableError
from mlpress.fit.layout import Layout

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Matrices:
    """The form [groups, rows, columns] of a weight: outputs of a group are rows.

    Attributes:
        shape: Shape of the weight.
        groups: Groups of a convolution.
        transposed: Whether the weight is [inputs, outputs] and not [outputs, inputs, ...].
    """

    shape: tuple[int, ...]
    groups: int
    transposed: bool

    @classmethod
    def of(cls, shape: tuple[int, ...], layout: Layout) -> Matrices:
        """Finds the form of a weight.

        Raises:
            NotApplicableError: It has none.
        """
        axes = layout.require_output_axis(len(shape)), layout.require_input_axis(len(shape))
        if axes == (0, 1):
            return cls(shape, layout.groups, False)
        if axes == (1, 0) and len(shape) == 2:
            return cls(shape, 1, True)
        raise NotApplicableError(
            f"its shape is {shape} with the output channels on axis {axes[0]}; samples help with matrices "
            f"and weights of convolutions"
        )

    @property
    def columns(self) -> int:
        """Inputs to one output."""
        return self.shape[0] if self.transposed else math.prod(self.shape[1:])

    @property
    def kernel(self) -> int:
        """Elements of the window of a convolution; 1 for others. Those of an input channel are neighbours."""
        return 1 if self.transposed else math.prod(self.shape[2:])

    def split(self, weight: Array) -> Array:
        """Returns a copy of an array of the weight's shape as matrices."""
        outputs_first = weight.T if self.transposed else weight
        return np.array(outputs_first, order="C").reshape(self.groups, -1, self.columns)

    def join(self, matrices: Array) -> Array:
        """Inverse of `split`."""
        if self.transposed:
            return np.ascontiguousarray(matrices[0].T)
        return matrices.reshape(self.shape)
