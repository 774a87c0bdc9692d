"""Small operands brought to the type and the shape of the large one they go with."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mlpress.errors import InvalidProgramError


def like(operand: Tensor, x: Tensor) -> Tensor:
    """Returns `operand` in the element type of `x`: from iOS 17 on, weights may have another one."""
    return operand if operand.dtype is x.dtype else operand.to(x.dtype)


def like_or_none(operand: Tensor | None, x: Tensor) -> Tensor | None:
    """Returns what `like` does, and None for an operand that was left out."""
    return operand if operand is None or operand.dtype is x.dtype else operand.to(x.dtype)


def along(vector: Tensor, axis: int, x: Tensor) -> Tensor:
    """Returns `vector`, one value for each index of `axis` of `x`, in a form that broadcasts against `x`."""
    shape = [1] * x.dim()
    shape[axis] = -1
    return like(vector, x).reshape(shape)


def check_choice(op: str, parameter: str, value: str, allowed: Sequence[str]) -> None:
    """Checks a string parameter.

    Raises:
        InvalidProgramError: `value` is not among `allowed`.
    """
    if value not in allowed:
        raise InvalidProgramError(f"{op}: {parameter} is {value!r}; allowed: {', '.join(map(repr, allowed))}")
