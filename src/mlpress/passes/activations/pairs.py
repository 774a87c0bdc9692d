"""Makes pairs of ``quantize`` and ``dequantize``, each once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mlpress.bits import Tensor
from mlpress.encoding import Dense
from mlpress.mil import Block, Constant, Literal, Operation, StringType, TensorType, Value
from mlpress.passes.activations.grid import Grid


class Pairs:
    """The operations of a block in the making, and the quantized values in it.

    Attributes:
        operations: What the block consists of so far.
    """

    def __init__(self, block: Block, inputs: Iterable[Value]) -> None:
        """Takes note of the names in use.

        Args:
            block: The block that the new one is a copy of.
            inputs: Of the function.
        """
        self.operations: list[Operation | Constant] = []
        self._names = {value.name for value in inputs}
        for node in block.walk():
            self._names |= {node.name, *(value.name for value in node.outputs)}
            for nested in node.blocks if isinstance(node, Operation) else ():
                self._names |= {value.name for value in nested.inputs}
        self._integers: dict[tuple[Value, Grid], Value] = {}
        self._floats: dict[tuple[Value, Grid], Value] = {}
        self._parameters: dict[tuple[Value, Grid], dict[str, Value]] = {}

    def unique(self, name: str) -> str:
        """Returns a name close to `name` that nothing has, and reserves it."""
        found, number = name, 0
        while found in self._names:
            found, number = f"{name}_{number}", number + 1
        self._names.add(found)
        return found

    def quantized(self, value: Value, grid: Grid) -> Value:
        """Returns the integers of `grid` that are nearest to `value`, which has been defined."""
        if (value, grid) not in self._integers:
            parameters = self._parameters_of(value, grid)
            kind = self._constant(f"{value.name}_output_dtype", grid.dtype.name)
            self._integers[value, grid] = self._operation(
                "quantize",
                f"{value.name}_quantized",
                value,
                grid,
                input=value,
                output_dtype=kind,
                **parameters,
            )
        return self._integers[value, grid]

    def dequantized(self, value: Value, grid: Grid) -> Value:
        """Returns `value` rounded to `grid`."""
        if (value, grid) not in self._floats:
            integers = self.quantized(value, grid)
            parameters = self._parameters_of(value, grid)
            self._floats[value, grid] = self._operation(
                "dequantize", f"{value.name}_dequantized", value, grid, input=integers, **parameters
            )
        return self._floats[value, grid]

    def hold(self, value: Value, grid: Grid, integers: Value) -> None:
        """Lets `integers` be the integers of `value`."""
        self._integers[value, grid] = integers

    def _operation(self, kind: str, name: str, value: Value, grid: Grid, **inputs: Value) -> Value:
        assert isinstance(value.type, TensorType)  # the plan has looked
        dtype = grid.dtype if kind == "quantize" else value.type.dtype
        output = Value(self.unique(name), TensorType(dtype, value.type.shape))
        self.operations.append(Operation(kind, output.name, dict(inputs), [output]))
        return output

    def _parameters_of(self, value: Value, grid: Grid) -> dict[str, Value]:
        """Returns scale and zero point; a zero point of 0 is left out."""
        if (value, grid) not in self._parameters:
            assert isinstance(value.type, TensorType)  # the plan has looked
            scale = np.asarray(grid.scale, value.type.dtype.storage)
            made = {"scale": self._constant(f"{value.name}_scale", scale)}
            if grid.zero_point:
                zero = np.asarray(grid.zero_point, grid.dtype.storage)
                made["zero_point"] = self._constant(f"{value.name}_zero_point", zero)
            self._parameters[value, grid] = made
        return self._parameters[value, grid]

    def _constant(self, name: str, content: Any) -> Value:
        data: Dense | Literal
        if isinstance(content, str):
            data = Literal(StringType(), content)
            output = Value(self.unique(name), data.type)
        else:
            data = Dense(Tensor.from_numpy(content))
            output = Value(self.unique(name), TensorType(data.dtype, data.shape))
        self.operations.append(Constant(output.name, output, data))
        return output
