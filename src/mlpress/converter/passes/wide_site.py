"""An operation on tensors of more than five axes, while it is written with fewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlpress.converter.passes.editor import Editor, shape_of, typed_like
from mlpress.converter.passes.moves import Shape
from mlpress.converter.passes.rank import MAX_RANK, product
from mlpress.mil import Operand, Operation, TensorType, Value


class CannotNarrowError(Exception):
    """An operation cannot be written with at most five axes."""


class Site:
    """An operation that is replaced: operands come in other shapes, and its results go back to theirs.

    Attributes:
        operation: The operation.
        x: Its operand ``x``.
    """

    def __init__(self, editor: Editor, operation: Operation) -> None:
        self.editor = editor
        self.operation = operation
        self.x: Any = operation.inputs.get("x")

    def literal(self, parameter: str, default: Any = None) -> Any:
        """Returns a parameter that is a constant.

        Raises:
            CannotNarrowError: It is computed while the model runs.
        """
        if parameter not in self.operation.inputs:
            return default
        found = self.editor.literal(self.operation, parameter)
        if found is None:
            raise CannotNarrowError
        return found

    def axis(self, default: int = -1) -> int:
        """Returns the parameter ``axis``, counted from the front."""
        return int(self.literal("axis", default)) % len(shape_of(self.x))

    def others(self, *parameters: str) -> dict[str, Any]:
        """Returns the operands of the operation but for some."""
        return {name: bound for name, bound in self.operation.inputs.items() if name not in parameters}

    def fold(self, value: Any, shape: Sequence[int | None]) -> Value:
        """Returns `value` in another shape."""
        return self.put("reshape", value, shape, x=value, shape=sizes_of(shape))

    def put(self, kind: str, like: Any, shape: Sequence[int | None], /, **operands: Any) -> Value:
        """Adds an operation whose result has the element type of `like`, and returns that."""
        if len(shape) > MAX_RANK:
            raise CannotNarrowError
        return self.editor.insert(self.operation, kind, typed_like(like, shape), **operands)

    def done(self, value: Value) -> None:
        """Lets `value`, in its right shape, be the one result of the operation."""
        (result,) = self.operation.outputs
        self._reshape(value, result, result)

    def all_done(self, values: Sequence[Value]) -> None:
        """Lets `values`, in their right shapes, be the results of the operation, none of them an output."""
        for result, value in zip(self.operation.outputs, values, strict=True):
            self.editor.replace(result, self._reshape(value, result, result.type))
        self.editor.remove(self.operation)

    def rebuilt(
        self,
        inputs: dict[str, Operand | tuple[Operand, ...]],
        shape: Callable[[Value], Sequence[int | None]],
    ) -> None:
        """Puts the operation, which is removed, back with other operands; wide results get `shape`."""
        old = self.operation
        results = [
            Value(self.editor.unique(f"{value.name}_flat"), typed_like(value, shape(value)))
            if is_wide(value)
            else value
            for value in old.outputs
        ]
        self.editor.put(old, Operation(old.type, old.name, inputs, results, old.blocks))
        for result, value in zip(old.outputs, results, strict=True):
            if value is not result:
                self.editor.replace(result, self._reshape(value, result, result.type))

    def _reshape(self, value: Value, like: Value, result: Any) -> Value:
        shape = shape_of(like)
        if shape:
            return self.editor.insert(self.operation, "reshape", result, x=value, shape=sizes_of(shape))
        return self.editor.insert(
            self.operation, "squeeze" if shape_of(value) else "identity", result, x=value
        )


def sizes_of(shape: Sequence[int | None]) -> list[int]:
    """Returns a shape as a reshape is given it.

    Raises:
        CannotNarrowError: More than one size is open.
    """
    if list(shape).count(None) > 1:
        raise CannotNarrowError
    return [-1 if size is None else size for size in shape]


def around(shape: Shape, axis: int, count: int = 1) -> list[int | None]:
    """Returns a shape with one axis in place of those before `axis`, and of those behind `count` axes."""
    return [product(shape[:axis]), *shape[axis : axis + count], product(shape[axis + count :])]


def is_wide(value: Any) -> bool:
    """Whether a value is a tensor with more axes than Core ML has."""
    return (
        isinstance(value, Value) and isinstance(value.type, TensorType) and len(value.type.shape) > MAX_RANK
    )
