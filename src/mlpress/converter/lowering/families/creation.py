"""Tensors made from sizes and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from mlpress import bits
from mlpress.converter.lowering.context import Context, Operand
from mlpress.converter.lowering.counting import count
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import Function, lowers
from mlpress.converter.lowering.sizes import Size, known
from mlpress.converter.lowering.values import program_dtype
from mlpress.mil import Value

_SMALL: Final = 4096
"""Number of elements up to which a filled tensor is stored."""


def _creates(*names: str) -> Callable[[Function], Function]:
    """Registers a lowering that need not take `dtype`: it looks at the expected result."""

    def register(function: Function) -> Function:
        def without_type(context: Context, *arguments: Any, dtype: torch.dtype | None = None) -> Any:
            del dtype
            return function(context, *arguments)

        lowers(*names)(without_type)
        return function

    return register


def _filled(context: Context, sizes: Sequence[Size], value: Operand) -> Value:
    dtype = program_dtype(context.expected.dtype)
    number = context.cast(value, dtype)
    plain = [size for size in map(known, sizes) if size is not None]
    array = context.array(number)
    if len(plain) == len(sizes) and array is not None and math.prod(plain) <= _SMALL:
        return context.constant(np.full(plain, array.reshape(()), dtype.storage))
    if array is not None:
        return context.result("fill", shape=context.sizes.vector(sizes), value=array.reshape(()))
    zeros = context.result("fill", shape=context.sizes.vector(sizes), value=np.zeros((), dtype.storage))
    return context.op("add", x=zeros, y=number)


@_creates("aten.full.default")
def full(context: Context, sizes: Sequence[Size], value: Operand) -> Value:
    """One value everywhere."""
    return _filled(context, sizes, value)


@_creates("aten.full_like.default", "aten.fill.Scalar", "aten.fill.Tensor")
def full_like(context: Context, x: Value, value: Operand) -> Value:
    """One value everywhere, in the shape of x."""
    return _filled(context, context.shape(x), value)


@_creates("aten.new_full.default")
def new_full(context: Context, x: Value, sizes: Sequence[Size], value: Operand) -> Value:
    """One value everywhere."""
    del x
    return _filled(context, sizes, value)


def _of_sizes(value: int) -> Callable[..., Value]:
    def function(context: Context, sizes: Sequence[Size]) -> Value:
        return _filled(context, sizes, value)

    return function


def _new(value: int) -> Callable[..., Value]:
    def function(context: Context, x: Value, sizes: Sequence[Size], *rest: Any) -> Value:
        del x, rest
        return _filled(context, sizes, value)

    return function


def _like(value: int) -> Callable[..., Value]:
    def function(context: Context, x: Value) -> Value:
        return _filled(context, context.shape(x), value)

    return function


for _name, _value in {"zeros": 0, "ones": 1, "empty": 0}.items():
    _creates(f"aten.{_name}.default", f"aten.{_name}.memory_format")(_of_sizes(_value))
    _creates(f"aten.new_{_name}.default")(_new(_value))
    _creates(f"aten.{_name}_like.default")(_like(_value))
_creates("aten.new_empty_strided.default")(_new(0))


@_creates("aten.empty_strided.default", "aten.empty_permuted.default")
def empty_strided(context: Context, sizes: Sequence[Size], order: Sequence[Size]) -> Value:
    """Zeros: what is not set yet."""
    del order
    return _filled(context, sizes, 0)


@_creates("aten.scalar_tensor.default")
def scalar_tensor(context: Context, value: Operand) -> Value:
    """One number."""
    return context.cast(value, program_dtype(context.expected.dtype))


@_creates("aten.arange.default")
def arange(context: Context, stop: Any) -> Value:
    """0, 1, ... before stop."""
    return arange_step(context, 0, stop, 1)


@_creates("aten.arange.start")
def arange_start(context: Context, start: Any, stop: Any) -> Value:
    """Start, start + 1, ... before stop."""
    return arange_step(context, start, stop, 1)


@_creates("aten.arange.start_step")
def arange_step(context: Context, start: Any, stop: Any, step: Any = 1) -> Value:
    """Start, start + step, ... before stop."""
    dtype = program_dtype(context.expected.dtype)
    if all(isinstance(part, int | float) for part in (start, stop, step)):
        return context.constant(torch.arange(start, stop, step).numpy().astype(dtype.storage))
    parts = {"start": start, "end": stop, "step": step}
    return context.result("range_1d", **{key: context.cast(part, dtype) for key, part in parts.items()})


@_creates("aten.linspace.default")
def linspace(context: Context, start: Any, stop: Any, steps: Size) -> Value:
    """Numbers at equal distances."""
    if not isinstance(start, int | float) or not isinstance(stop, int | float):
        raise LoweringError("linspace between bounds that only a run knows")
    number = known(steps)
    if number is not None:
        return context.constant(torch.linspace(start, stop, number).numpy())
    gaps = context.op("maximum", x=context.op("sub", x=context.number(steps), y=1), y=1)
    parts = context.op("mul", x=count(context, steps), y=np.float32(stop - start))
    shares = context.op("real_div", x=parts, y=context.floats(gaps))
    return context.result("add", x=shares, y=np.float32(start))


@_creates("aten.eye.default", "aten.eye.m")
def eye(context: Context, rows: Size, columns: Size | None = None) -> Value:
    """The identity matrix."""
    dtype = program_dtype(context.expected.dtype)
    sizes = rows, rows if columns is None else columns
    height, width = map(known, sizes)
    if height is not None and width is not None:
        return context.constant(np.eye(height, width, dtype=dtype.storage))
    down, across = (count(context, size) for size in sizes)
    return context.cast(context.op("equal", x=context.expand_dims(down, [1]), y=across), dtype)


@_creates("aten.rand.default")
def rand(context: Context, sizes: Sequence[Size]) -> Value:
    """Random numbers, uniform from 0 to 1."""
    return _drawn(context, "random_uniform", sizes, low=0.0, high=1.0)


@_creates("aten.randn.default")
def randn(context: Context, sizes: Sequence[Size]) -> Value:
    """Random numbers, standard normal."""
    return _drawn(context, "random_normal", sizes, mean=0.0, stddev=1.0)


def _drawn(context: Context, kind: str, sizes: Sequence[Size], **parameters: float) -> Value:
    """Returns what a random operator draws, which has at least one axis in Core ML."""
    if sizes:
        return context.result(kind, shape=context.sizes.vector(sizes), **parameters)
    return context.result("squeeze", x=context.op(kind, shape=[1], **parameters), axes=[0])


@_creates("aten.rand_like.default")
def rand_like(context: Context, x: Value) -> Value:
    """As `rand`."""
    return rand(context, context.shape(x))


@_creates("aten.randn_like.default")
def randn_like(context: Context, x: Value) -> Value:
    """As `randn`."""
    return randn(context, context.shape(x))


@lowers("aten.bernoulli.default", "aten.bernoulli.p")
def bernoulli(context: Context, x: Value, probability: float | None = None) -> Value:
    """1 with a probability: a given one, or that of each element."""
    sizes = context.sizes.vector(context.shape(x))
    uniform = context.op("random_uniform", shape=sizes, low=0.0, high=1.0)
    drawn = context.op("less", x=uniform, y=x if probability is None else float(probability))
    return context.cast(drawn, bits.FLOAT32)
