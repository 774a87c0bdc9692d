"""What a lowering works with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from mlpress import bits
from mlpress.bits import DType
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.sizes import Size, Sizes, known
from mlpress.converter.lowering.values import number, program_dtype, program_type
from mlpress.encoding import decode
from mlpress.mil import Block, Literal, Opset, TensorType, Value
from mlpress.ops.builder import Builder

Number = bool | int | float
Operand = Value | Number | torch.SymInt | torch.SymFloat

_MIL_NAMES = {"float16": "fp16", "float32": "fp32", "int32": "int32", "bool": "bool"}

LowerGraph = Callable[["Context", fx.GraphModule, Sequence[Any], Sequence[Value]], Block]
"""Lowers a graph to a nested block, from the outer context, the graph's inputs and the block's own ones."""


class Context:
    """The block that is built, and the node of the graph that is lowered now.

    Attributes:
        builder: Appends to the block.
        sizes: Values of sizes that only a run knows.
        node: The node.
        lower_graph: Lowers the graph of a nested block, for control flow.
    """

    def __init__(
        self,
        builder: Builder,
        sizes: Sizes,
        lower_graph: LowerGraph,
    ) -> None:
        self.builder = builder
        self.sizes = sizes
        self.node: fx.Node | None = None
        self.lower_graph = lower_graph

    @property
    def opset(self) -> Opset:
        """The opset of the program."""
        return self.builder.opset

    @property
    def expected(self) -> Any:
        """What torch says the node gives: a fake tensor, a number, or a tuple of those."""
        return None if self.node is None else self.node.meta.get("val")

    # ---- operations ----

    def op(self, kind: str, /, **operands: Any) -> Value:
        """Appends an operation on the way to the result, and returns its value.

        Args:
            kind: The op of MIL, such as ``"conv"``.
            **operands: By parameter; values, numbers, strings, lists, arrays. None is left out.
        """
        return self.ops(kind, **operands)[0]

    def ops(self, kind: str, /, **operands: Any) -> tuple[Value, ...]:
        """Does what `op` does and returns all values of the operation."""
        made: Value | tuple[Value, ...] = self.builder.op(kind, self._name(kind), **operands)
        return made if isinstance(made, tuple) else (made,)

    def result(self, kind: str, /, **operands: Any) -> Value:
        """Appends the operation that gives what the node gives, and returns its value.

        Its type is the one that torch says, so nothing has to be inferred.
        """
        return self.results(kind, **operands)[0]

    def results(self, kind: str, /, **operands: Any) -> tuple[Value, ...]:
        """Does what `result` does for a node with several results."""
        fakes = self.expected if isinstance(self.expected, tuple | list) else (self.expected,)
        if not all(isinstance(fake, torch.Tensor) for fake in fakes):
            return self.ops(kind, **operands)
        name = None if self.node is None else self.node.name
        types = [program_type(fake) for fake in fakes]
        return self.builder.typed_op(kind, name, types, fakes=fakes, **operands)

    def typed(self, kind: str, fake: torch.Tensor, /, **operands: Any) -> Value:
        """Appends an operation whose result is like `fake`, which a run alone could tell."""
        return self.builder.typed_op(kind, self._name(kind), [program_type(fake)], fakes=[fake], **operands)[
            0
        ]

    def constant(self, value: Any, name: str | None = None) -> Value:
        """Appends a constant: an array, a number or a list."""
        return self.builder.constant(value, name or self._name("const"))

    def successor(self, old: Value, value: Any) -> Value:
        """Appends a constant that takes the name of one that it is computed from."""
        name = old.name
        constant = self.builder.inference.constant(old)
        assert constant is not None
        constant.name = old.name = self.builder.unique(f"{name}_before")
        made = self.builder.constant(value, name)
        made_constant = self.builder.inference.constant(made)
        assert made_constant is not None
        made_constant.name = made.name = name
        return made

    def _scalar(self, size: torch.SymInt | torch.SymFloat) -> Value:
        scalar = self.sizes.scalar(size)
        return scalar if isinstance(scalar, Value) else self.constant(number(scalar))

    def _name(self, kind: str) -> str:
        return kind if self.node is None else f"{self.node.name}_{kind}"

    # ---- what is known of values ----

    def shape(self, value: Value) -> tuple[Size, ...]:
        """Returns the sizes of `value`."""
        return self.builder.inference.shape(value)

    def size(self, value: Value, axis: int) -> int:
        """Returns one size of `value`, which has to be known.

        Raises:
            LoweringError: It is open.
        """
        size = known(self.shape(value)[axis])
        if size is None:
            raise LoweringError(f"axis {axis} of {value.name!r} has to have a fixed size here")
        return size

    def rank(self, value: Value) -> int:
        """Returns the number of axes of `value`."""
        return len(_tensor_type(value).shape)

    def dtype(self, operand: Operand) -> DType:
        """Returns the element type: float32, int32 or bool."""
        if isinstance(operand, Value):
            dtype = _tensor_type(operand).dtype
            return bits.FLOAT32 if dtype.is_float else dtype
        if isinstance(operand, torch.SymInt | torch.SymFloat):
            return bits.INT32 if isinstance(operand, torch.SymInt) else bits.FLOAT32
        return bits.dtype_of(np.asarray(number(operand)))

    def fake(self, value: Value) -> torch.Tensor:
        """Returns the fake tensor that stands for `value`."""
        fake: torch.Tensor = self.builder.inference.tensor(value)
        return fake

    def array(self, value: Value) -> npt.NDArray[Any] | None:
        """Returns what `value` holds if it is a constant, decoded; None if a run has to tell."""
        constant = self.builder.inference.constant(value)
        if constant is None or isinstance(constant.data, Literal):
            return None
        return decode(constant.data)

    # ---- small steps that many lowerings take ----

    def cast(self, operand: Operand, dtype: DType) -> Value:
        """Returns `operand` with elements of `dtype`; a number becomes a constant."""
        if isinstance(operand, torch.SymInt | torch.SymFloat):
            return self.cast(self._scalar(operand), dtype)
        if not isinstance(operand, Value):
            return self.constant(np.asarray(number(operand)).astype(dtype.storage))
        if self.dtype(operand) == dtype:
            return operand
        array = self.array(operand)
        if array is not None:
            return self.constant(array.astype(dtype.storage))
        return self.op("cast", x=operand, dtype=_MIL_NAMES[dtype.name])

    def number(self, operand: Any) -> Value:
        """Returns a value of rank 0 for a number or a size; a value as it is."""
        if isinstance(operand, Value):
            return operand
        return self.constant(number(operand)) if isinstance(operand, Number) else self._scalar(operand)

    def floats(self, operand: Operand) -> Value:
        """Returns `operand` as floats."""
        return self.cast(operand, bits.FLOAT32)

    def as_result(self, value: Value) -> Value:
        """Returns `value` with the element type that torch says the node gives."""
        return self.cast(value, program_dtype(self.expected.dtype))

    def reshape(self, x: Value, sizes: Sequence[Size]) -> Value:
        """Returns `x` in another shape; sizes may be open."""
        if _same(self.shape(x), sizes):
            return x
        if not sizes:
            return self.squeeze(x, range(self.rank(x)))
        plain = [known(size) for size in sizes]
        if plain.count(None) == 0:
            return self.op("reshape", x=x, shape=plain)
        fake = self.fake(x).reshape(tuple(sizes))
        if plain.count(None) == 1 and 0 not in plain:
            shape: Any = [-1 if size is None else size for size in plain]
        else:
            shape = self.sizes.vector(sizes)
        return self.typed("reshape", fake, x=x, shape=shape)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """Returns `x` with its axes in another order."""
        if list(perm) == list(range(len(perm))):
            return x
        return self.op("transpose", x=x, perm=list(perm))

    def expand_dims(self, x: Value, axes: Sequence[int]) -> Value:
        """Returns `x` with new axes of size 1 at these positions of the result."""
        return self.op("expand_dims", x=x, axes=list(axes)) if axes else x

    def squeeze(self, x: Value, axes: Sequence[int]) -> Value:
        """Returns `x` without these axes of size 1."""
        return self.op("squeeze", x=x, axes=list(axes)) if axes else x

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Returns `values` joined along `axis`."""
        return values[0] if len(values) == 1 else self.op("concat", values=list(values), axis=axis)

    def slice(self, x: Value, axis: int, start: int, stop: int | None, step: int = 1) -> Value:
        """Returns elements start, start + step, ... before stop (to the end, if None) along `axis`.

        Where the size is known, bounds are counted from the beginning: coremltools infers types by changing
        negative ones in place, which goes wrong if two slices share them.
        """
        rank = self.rank(x)
        total = known(self.shape(x)[axis])
        if total is not None:
            start += total if start < 0 else 0
            stop = stop + total if stop is not None and stop < 0 else stop
        begin, end, stride = [0] * rank, [0] * rank, [1] * rank
        begin[axis], end[axis], stride[axis] = start, stop or 0, step
        return self.op(
            "slice_by_index",
            x=x,
            begin=begin,
            end=end,
            stride=stride,
            begin_mask=[i != axis for i in range(rank)],
            end_mask=[i != axis or stop is None for i in range(rank)],
        )

    def count(self, x: Value, axes: Sequence[int]) -> Value | float:
        """Returns the number of elements along `axes`, as a float."""
        sizes = [self.shape(x)[axis] for axis in axes]
        product = math.prod(sizes)
        if known(product) is not None:
            return float(known(product) or 0)
        return self.floats(self.sizes.scalar(product))


def _tensor_type(value: Value) -> TensorType:
    if not isinstance(value.type, TensorType):
        raise LoweringError(f"{value.name!r} is no tensor")
    return value.type


def _same(shape: Sequence[Size], other: Sequence[Size]) -> bool:
    """Whether two shapes are equal whatever their open sizes are."""
    return len(shape) == len(other) and all(
        a is b or (known(a) is not None and known(a) == known(b)) or _expression(a) == _expression(b)
        for a, b in zip(shape, other, strict=True)
    )


def _expression(size: Size) -> Any:
    return size.node.expr if isinstance(size, torch.SymInt) else size
