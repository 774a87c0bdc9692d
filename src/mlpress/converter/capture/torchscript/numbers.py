"""Operators of TorchScript on numbers, strings and lists.

Traces compute with sizes as tensors of rank 0. Here they are Python or symbolic numbers, so that what is made
of them is known while the graph is captured.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

import torch

Number = int | float | bool | torch.SymInt | torch.SymFloat | torch.SymBool

sym_int: Final[Callable[[Any], Any]] = torch.sym_int
sym_float: Final[Callable[[Any], Any]] = torch.sym_float
sym_min: Final[Callable[[Any, Any], Any]] = torch.sym_min
sym_max: Final[Callable[[Any, Any], Any]] = torch.sym_max

DTYPES: Final = {
    0: torch.uint8,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.int64,
    5: torch.float16,
    6: torch.float32,
    7: torch.float64,
    8: torch.complex32,
    9: torch.complex64,
    10: torch.complex128,
    11: torch.bool,
    15: torch.bfloat16,
}
"""Element types by the numbers that TorchScript has for them."""

DTYPE_NUMBERS: Final = {dtype: number for number, dtype in DTYPES.items()}


def is_number(value: Any) -> bool:
    """Whether a value is a plain or symbolic number."""
    return isinstance(value, Number)


def natural_dtype(value: Any) -> torch.dtype:
    """The element type of the tensor that torch makes of a number."""
    if isinstance(value, bool | torch.SymBool):
        return torch.bool
    return torch.get_default_dtype() if isinstance(value, float | torch.SymFloat) else torch.int64


def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    return a + b if alpha == 1 else a + b * alpha


def _sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    return a - b if alpha == 1 else a - b * alpha


def _divide(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return a // b
    if rounding_mode == "trunc":
        return _truncated(a, b)
    return sym_float(a) / b


def _truncated(a: Any, b: Any) -> Any:
    return a // b if a >= 0 and b > 0 else math.trunc(a / b)


def _to(value: Any, *args: Any) -> Any:
    """`aten::to` on a number: its element type is the first argument that can be one."""
    dtype = next((DTYPES.get(each, each) for each in args if not isinstance(each, bool | None)), None)
    if not isinstance(dtype, torch.dtype):
        return value
    if dtype.is_floating_point:
        return sym_float(value)
    return bool(value) if dtype is torch.bool else sym_int(value)


def _range_length(start: Any, stop: Any, step: int) -> Any:
    if all(isinstance(each, int) for each in (start, stop, step)):
        return len(range(start, stop, step))
    return (stop - start + step - 1) // step


def _length(value: Any) -> Any:
    return value.shape[0] if isinstance(value, torch.Tensor) else len(value)


def _set_item(container: Any, key: Any, value: Any) -> None:
    container[key] = value


def _slice(values: Any, start: int | None = None, stop: int | None = None, step: int = 1) -> Any:
    return values[start:stop:step]


def _smallest(*values: Any) -> Any:
    (values,) = values if len(values) == 1 else (values,)
    result = values[0]
    for value in values[1:]:
        result = sym_min(result, value)
    return result


def _largest(*values: Any) -> Any:
    (values,) = values if len(values) == 1 else (values,)
    result = values[0]
    for value in values[1:]:
        result = sym_max(result, value)
    return result


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "aten::add": _add,
    "aten::sub": _sub,
    "aten::rsub": lambda a, b, alpha=1: _sub(b, a, alpha),
    "aten::mul": operator.mul,
    "aten::div": _divide,
    "aten::true_divide": _divide,
    "aten::floor_divide": operator.floordiv,
    "aten::floordiv": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::fmod": math.fmod,
    "aten::pow": operator.pow,
    "aten::neg": operator.neg,
    "aten::abs": abs,
    "aten::sqrt": torch.sym_sqrt,
    "aten::exp": math.exp,
    "aten::log": math.log,
    "aten::ceil": math.ceil,
    "aten::floor": math.floor,
    "aten::trunc": math.trunc,
    "aten::round": round,
    "aten::eq": operator.eq,
    "aten::ne": operator.ne,
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::__and__": operator.and_,
    "aten::__or__": operator.or_,
    "aten::__xor__": operator.xor,
    "aten::logical_not": operator.not_,
    "aten::__not__": torch.sym_not,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__contains__": operator.contains,
    "aten::__getitem__": operator.getitem,
    "aten::_set_item": _set_item,
    "aten::__range_length": _range_length,
    "aten::__derive_index": lambda index, start, step: start + index * step,
    "aten::len": _length,
    "aten::append": list.append,
    "aten::extend": list.extend,
    "aten::insert": list.insert,
    "aten::pop": lambda values, *position: values.pop(*position),
    "aten::reverse": list.reverse,
    "aten::list": list,
    "aten::keys": lambda values: list(values.keys()),
    "aten::values": lambda values: list(values.values()),
    "aten::items": lambda values: list(values.items()),
    "aten::format": str.format,
    "aten::slice": _slice,
    "aten::to": _to,
    "aten::type_as": lambda value, other: (
        _to(value, other.dtype) if isinstance(other, torch.Tensor) else value
    ),
    "aten::detach": lambda value: value,
    "aten::clone": lambda value, memory_format=None: value,
    "aten::minimum": sym_min,
    "aten::maximum": sym_max,
    "prim::min": _smallest,
    "prim::max": _largest,
    "prim::abs": abs,
}
"""By kind of node; used where no argument is a tensor."""

# fmt: off
ARITHMETIC: Final = frozenset({
    "aten::add", "aten::sub", "aten::rsub", "aten::mul", "aten::div", "aten::true_divide",
    "aten::floor_divide", "aten::remainder", "aten::fmod", "aten::pow", "aten::eq", "aten::ne", "aten::lt",
    "aten::le", "aten::gt", "aten::ge", "aten::__and__", "aten::__or__", "aten::add_", "aten::sub_",
    "aten::mul_", "aten::div_", "aten::pow_", "aten::minimum", "aten::maximum", "aten::clamp",
    "aten::clamp_min", "aten::clamp_max",
})
# fmt: on
"""Operators in which a tensor constant of rank 0 means a number: traces write numbers so."""

ON_ANYTHING: Final = frozenset({"aten::__is__", "aten::__isnot__", "aten::len", "aten::list"})
"""Operators whose arguments may be tensors, and that are Python's all the same."""
