"""Operations whose results leave float16's range on sample inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from mlpress import bits
from mlpress.calibration import Progress, Samples, values_inside
from mlpress.converter.passes.float16 import LARGEST
from mlpress.converter.passes.precision import LIMITS
from mlpress.mil import Constant, Function, Operation, TensorType, Value
from mlpress.models import MLModel

_MOVES: Final = frozenset(
    {
        *(
            "cast",
            "concat",
            "expand_dims",
            "gather",
            "identity",
            "reshape",
            "slice_by_index",
            "slice_by_size",
        ),
        *("split", "squeeze", "stack", "tile", "transpose"),
    }
)
"""Ops that move numbers and compute none."""


def leaving_range(
    model: MLModel, samples: Samples, clamped: Collection[str], progress: Progress | None = None
) -> dict[str, str]:
    """Runs a float16 program in float32 arithmetic, once, and finds what has to be computed in float32.

    That is each operation with a finite result that float16 rounds to infinity, and each that takes such a
    result. A result is let pass where a mask whose number has been clamped already is added to something:
    infinity means the same there. Values inside the blocks of control flow are not seen.

    Args:
        model: Converted to float16, without run options; is not changed.
        samples: Inputs by name, as `MLModel.predict` takes them; lists of them for models with states.
        clamped: Names of the constants that were clamped to float16's range.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Returns:
        By name of an operation: the reason.

    Raises:
        MlpressError: There are no samples, or one does not fit the model or holds NaN.
        TypeError: `samples`, or one of them, has the wrong type.
    """
    function = model.program.functions["main"]
    masks = _masks(function, clamped)
    largest: dict[str, float] = {}
    for taps in values_inside(model, samples, progress):
        for tap in taps:
            allowed = 2 * LARGEST if tap.name in masks else LARGEST
            found = _largest_finite(tap.tensor)
            if found > max(allowed, largest.get(tap.name, 0.0)):
                largest[tap.name] = found
    return _reasons(function, largest)


def _largest_finite(tensor: Any) -> float:
    if not tensor.is_floating_point() or not tensor.numel():
        return 0.0
    low, high = (float(end) for end in tensor.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = tensor[tensor.isfinite()]
        return float(finite.abs().max()) if finite.numel() else 0.0
    return max(-low, high)


def _masks(function: Function, clamped: Collection[str]) -> set[str]:
    """Returns the names of values in which the largest number stands for more than anything."""
    masks: set[Value] = set()
    for node in function.block.operations:
        if isinstance(node, Constant):
            if node.name in clamped:
                masks.add(node.output)
        elif (node.type in LIMITS or node.type in _MOVES) and any(
            isinstance(operand, Value) and operand in masks for _, operand in node.operands()
        ):
            masks.update(node.outputs)
    return {value.name for value in masks}


def _reasons(function: Function, largest: Mapping[str, float]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for node in function.block.operations:
        if not isinstance(node, Operation):
            continue
        made = [largest[value.name] for value in node.outputs if _is_half(value) and value.name in largest]
        if made:
            reasons[node.name] = f"its result reaches {max(made):.6g} on the samples, beyond float16's range"
            continue
        for parameter, operand in node.operands():
            if isinstance(operand, Value) and _is_half(operand) and operand.name in largest:
                reasons[node.name] = f"{parameter} reaches {largest[operand.name]:.6g} on the samples"
    return reasons


def _is_half(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype == bits.FLOAT16
