"""The operations that compute in float16, as users choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlpress.converter.passes.precision import Selector
from mlpress.converter.targets import ComputePrecision, FP16ComputePrecision
from mlpress.errors import MlpressError
from mlpress.mil import Operand, Operation, TensorType, Value


@dataclass(frozen=True, slots=True)
class SelectedValue:
    """An operand or a result as a selector sees it.

    Attributes:
        name: Its name.
        shape: Its shape; an open size is None. None for what is no tensor.
        dtype: Its element type.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, slots=True)
class SelectedOperation:
    """An operation as a selector sees it, with coremltools' names.

    Attributes:
        op_type: Such as ``"conv"``.
        name: Its name.
        inputs: Operands by parameter; several in a list.
        outputs: Results.
    """

    op_type: str
    name: str
    inputs: dict[str, Any]
    outputs: list[SelectedValue]


def selector(precision: ComputePrecision | FP16ComputePrecision | None) -> Selector | None:
    """Returns what tells whether an operation computes in float16; None if none does.

    Raises:
        MlpressError: `precision` is none of these.
    """
    if precision is None or getattr(precision, "name", None) == "FLOAT16":
        return lambda _: True
    if getattr(precision, "name", None) == "FLOAT32":
        return None
    chosen = getattr(precision, "op_selector", None)
    if chosen is None:
        raise MlpressError(
            f"compute_precision is {precision!r}; allowed: precision.FLOAT16, precision.FLOAT32, "
            f"FP16ComputePrecision"
        )
    return lambda operation: bool(chosen(_shown(operation)))


def _shown(operation: Operation) -> SelectedOperation:
    inputs = {
        name: [_value(part) for part in bound] if isinstance(bound, tuple) else _value(bound)
        for name, bound in operation.inputs.items()
    }
    return SelectedOperation(
        operation.type, operation.name, inputs, [_value(value) for value in operation.outputs]
    )


def _value(operand: Operand) -> SelectedValue:
    kind = operand.type
    shape, dtype = (kind.shape, kind.dtype.name) if isinstance(kind, TensorType) else (None, "string")
    return SelectedValue(operand.name if isinstance(operand, Value) else "", shape, dtype)
