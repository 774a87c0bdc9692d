"""What a solver has to know about the operators that use a weight."""

from __future__ import annotations

from dataclasses import dataclass

from mlpress.errors import NotApplicableError


@dataclass(frozen=True, slots=True)
class Layout:
    """The roles of a weight's axes.

    Attributes:
        output_axis: Axis of the output channels, or None when the operators that use the weight disagree.
        input_axis: Axis of the input channels, likewise.
        groups: Into how many parts a grouped convolution cuts axis 0.
        prunable_in_patterns: Whether block and n:m sparsity mean something: the weight of conv and linear
            operators.
    """

    output_axis: int | None = 0
    input_axis: int | None = 1
    groups: int = 1
    prunable_in_patterns: bool = True

    def require_output_axis(self, rank: int) -> int:
        """Returns the output axis of a weight of `rank` axes.

        Raises:
            NotApplicableError: It is ambiguous or not there.
        """
        return _require("output", self.output_axis, rank)

    def require_input_axis(self, rank: int) -> int:
        """Returns the input axis of a weight of `rank` axes.

        Raises:
            NotApplicableError: It is ambiguous or not there.
        """
        return _require("input", self.input_axis, rank)


def _require(what: str, axis: int | None, rank: int) -> int:
    if axis is None:
        raise NotApplicableError(f"the operators that use it disagree on its {what} channels")
    if not 0 <= axis < rank:
        raise NotApplicableError(f"it has no axis {axis} for {what} channels; its rank is {rank}")
    return axis
