"""Element types for the plain values that are given as operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import InvalidProgramError
from mlpress.mil import TensorType, Value
from mlpress.ops.signature import Signature


def natural_array(value: Any) -> npt.NDArray[Any]:
    """Returns `value` as an array: Python floats as float32, Python integers as int32, arrays as they are."""
    array = np.asarray(value)
    if isinstance(value, np.ndarray | np.generic):
        return array
    narrow = {"f": np.float32, "i": np.int32}.get(array.dtype.kind)
    return array if narrow is None else array.astype(narrow)


def operand_array(value: Any, name: str, signature: Signature, given: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Returns `value` as an array of an element type that parameter `name` takes.

    An array keeps its type. Numbers take the type of an operand with the same type variable, else that of
    another operand if it is allowed and of the right kind, else the widest that is allowed.

    Raises:
        InvalidProgramError: The parameter takes no such values.
    """
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    parameter = signature.parameters[name]
    natural = natural_array(value)
    ranked: list[str] = []
    for other, bound in given.items():
        if isinstance(bound, Value) and isinstance(bound.type, TensorType):
            same = (
                parameter.variable is not None and signature.parameters[other].variable == parameter.variable
            )
            ranked.insert(0 if same else len(ranked), bound.type.dtype.name)
    ranked += [natural.dtype.name, "float32", "int32", *parameter.dtypes]
    for dtype in ranked:
        if dtype in parameter.dtypes and _holds(np.dtype(dtype), natural):
            return natural.astype(dtype)
    raise InvalidProgramError(f"{name} is {value!r}; allowed: {', '.join(parameter.dtypes)}")


def _holds(dtype: np.dtype[Any], natural: npt.NDArray[Any]) -> bool:
    if dtype.kind == "f":
        return natural.dtype.kind in "fi"
    return dtype.kind == natural.dtype.kind or (natural.dtype.kind in "iu" and dtype.kind in "iu")
