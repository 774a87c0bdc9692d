"""A block of a function while passes change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy.typing as npt

from mlpress.encoding import Dense, Encoding, decode
from mlpress.mil import Block, Constant, Function, Operation, TensorType, Type, Value
from mlpress.ops.builder import Builder


class Editor:
    """Knows who makes and who uses each value of a block, and keeps that true through changes.

    The program is one that is being made, so it is changed in place. Nested blocks are seen as users of outer
    values; their insides stay as they are.

    Attributes:
        function: The function whose block is edited.
        block: The block.
    """

    def __init__(
        self, function: Function, block: Block | None = None, outer: Iterable[Constant] = ()
    ) -> None:
        """Takes what is edited.

        Args:
            function: The function.
            block: A block inside of its own, which is edited if this is None.
            outer: Constants of the blocks around, to look at.
        """
        self.function = function
        self.block = function.block if block is None else block
        self._outer = {constant.output: constant for constant in outer}
        self._builder = Builder(function.opset)
        self._constants = dict(self._outer)
        self._makers: dict[Value, Operation] = {}
        self._users: dict[Value, dict[Operation, None]] = {}
        self._order: list[Operation] = []
        self._before: dict[Operation, list[Operation]] = {}
        self._removed: set[Operation] = set()
        self._read()

    # ---- looking ----

    def operations(self, *kinds: str) -> Iterator[Operation]:
        """Yields the operations of these types that are there, in order; all if none are named."""
        for operation in list(self._order):
            if operation not in self._removed and (not kinds or operation.type in kinds):
                yield operation

    def maker(self, value: Any, *kinds: str) -> Operation | None:
        """Returns the operation of one of these types that makes `value`, None if there is none."""
        operation = self._makers.get(value)
        return operation if operation is not None and (not kinds or operation.type in kinds) else None

    def users(self, value: Value) -> list[Operation]:
        """Returns the operations that use `value`."""
        return list(self._users.get(value, ()))

    def is_output(self, value: Value) -> bool:
        """Whether the block returns `value`."""
        return value in self.block.outputs

    def used_once(self, value: Any) -> bool:
        """Whether one operation uses `value`, and the block does not return it."""
        return len(self._users.get(value, ())) == 1 and not self.is_output(value)

    def only_user(self, value: Value, *kinds: str) -> Operation | None:
        """Returns the one operation that uses `value`, if it is of one of these types."""
        if not self.used_once(value):
            return None
        user = next(iter(self._users[value]))
        return user if not kinds or user.type in kinds else None

    def constant(self, value: Any) -> Constant | None:
        """Returns the constant that `value` is, None if it is none."""
        return self._constants.get(value)

    def constants(self) -> list[Constant]:
        """Returns all constants, outer ones first."""
        return list(self._constants.values())

    def array(self, value: Any) -> npt.NDArray[Any] | None:
        """Returns what a constant tensor holds, decoded; None for anything else."""
        constant = self._constants.get(value)
        return decode(constant.data) if constant is not None and isinstance(constant.data, Encoding) else None

    def dense(self, value: Any) -> npt.NDArray[Any] | None:
        """Returns what a constant holds that is not compressed; None for anything else."""
        constant = self._constants.get(value)
        if constant is None or not isinstance(constant.data, Dense):
            return None
        return constant.data.values.numpy()

    def number(self, value: Any) -> float | None:
        """Returns the one number that a constant holds; None for anything else."""
        constant = self._constants.get(value)
        if constant is None or not isinstance(constant.data, Dense) or constant.data.values.size != 1:
            return None
        return float(constant.data.values.numpy().reshape(-1)[0])

    def literal(self, operation: Operation, parameter: str) -> Any:
        """Returns a parameter that is a constant as a plain value, None if it is none or left out."""
        constant = self._constants.get(operation.inputs.get(parameter))  # type: ignore[arg-type]
        if constant is None:
            return None
        data = constant.data
        return decode(data).tolist() if isinstance(data, Encoding) else data.value

    # ---- changing ----

    def insert(
        self, before: Operation, kind: str, result: Value | Type, /, name: str | None = None, **operands: Any
    ) -> Value:
        """Inserts an operation and returns its value.

        Args:
            before: Where to.
            kind: The op.
            result: The value that the operation makes from now on, or the type of a new one.
            name: What to call the operation; as the value, or as `before` if it is new.
            **operands: As for `Builder.op`.
        """
        chosen = name or (result.name if isinstance(result, Value) else before.name)
        kinds = [result.type if isinstance(result, Value) else result]
        self._builder.operations = []
        self._builder.typed_op(kind, chosen, kinds, **operands)
        for node in self._builder.operations:
            if isinstance(node, Constant):
                self._constants[node.output] = node
                continue
            if isinstance(result, Value):
                self.remove(self._makers[result])
                node.outputs = [result]
            self.put(before, node)
        return node.outputs[0]

    def insert_several(
        self, before: Operation, kind: str, types: Sequence[Type], /, **operands: Any
    ) -> tuple[Value, ...]:
        """Inserts an operation with several new results and returns them."""
        self._builder.operations = []
        values = self._builder.typed_op(kind, f"{before.name}_{kind}", types, **operands)
        for node in self._builder.operations:
            if isinstance(node, Constant):
                self._constants[node.output] = node
            else:
                self.put(before, node)
        return values

    def put(self, before: Operation, operation: Operation) -> None:
        """Inserts an operation that is made already."""
        self._before.setdefault(before, []).append(operation)
        self._order.append(operation)
        self._adopt(operation)

    def nested(self, kind: str, result: Type, name: str, /, **operands: Any) -> Operation:
        """Makes an operation for a block inside of this one; its constants stand in this one."""
        self._builder.operations = []
        self._builder.typed_op(kind, name, [result], **operands)
        *constants, made = self._builder.operations
        for constant in constants:
            assert isinstance(constant, Constant)
            self._constants[constant.output] = constant
        assert isinstance(made, Operation)
        return made

    def unique(self, name: str) -> str:
        """Returns `name`, or one like it that nothing has."""
        return self._builder.unique(name)

    def add_constant(self, value: Any, name: str) -> Value:
        """Adds a constant and returns its value."""
        self._builder.operations = []
        made = self._builder.constant(value, name)
        for node in self._builder.operations:
            assert isinstance(node, Constant)
            self._constants[node.output] = node
        return made

    def successor(self, old: Any, value: Any) -> Value:
        """Adds a constant that takes the place and the name of a constant that it is computed from."""
        name, old.name = old.name, self._builder.unique(f"{old.name}_before")
        constant = self._constants[old]
        constant.name = old.name
        made = self.add_constant(value, name)
        self._constants[made].name = made.name = name
        return made

    def take_over(self, operation: Operation, follower: Operation) -> None:
        """Lets `operation` make the one result of `follower`, which comes right behind it."""
        result = follower.outputs[0]
        self.remove(follower)
        self.rename_result(operation, operation.outputs[0], result)

    def rebind(self, operation: Operation, parameter: str, value: Value) -> None:
        """Gives an operation another operand."""
        self._forget(operation)
        operation.inputs[parameter] = value
        self._adopt(operation)

    def replace(self, old: Value, new: Value) -> None:
        """Lets operations that use `old` use `new`; an output of the block stays what it is."""
        for user in self.users(old):
            self._forget(user)
            for parameter, bound in user.inputs.items():
                several = bound if isinstance(bound, tuple) else (bound,)
                swapped = tuple(new if operand is old else operand for operand in several)
                user.inputs[parameter] = swapped if isinstance(bound, tuple) else swapped[0]
            for block in user.blocks:
                swap(block, old, new)
            self._adopt(user)

    def rename_result(self, operation: Operation, old: Value, new: Value) -> None:
        """Lets `operation` make `new` in place of `old`, for its users too."""
        operation.outputs = [new if value is old else value for value in operation.outputs]
        self._makers.pop(old, None)
        self._makers[new] = operation
        self.replace(old, new)

    def remove(self, operation: Operation) -> None:
        """Takes an operation out."""
        self._removed.add(operation)
        self._forget(operation)
        for value in operation.outputs:
            if self._makers.get(value) is operation:
                del self._makers[value]

    def finish(self) -> None:
        """Writes the block: constants in use first, then the operations."""
        block = self.block
        operations: list[Operation] = []
        for node in block.operations:
            if isinstance(node, Operation):
                self._emit(node, operations)
        used = {operand for node in operations for operand in operands_of(node)} | set(block.outputs)
        own = {value: constant for value, constant in self._constants.items() if value not in self._outer}
        constants = [constant for value, constant in own.items() if value in used]
        block.operations = [*constants, *operations]

    # ---- inside ----

    def _emit(self, node: Operation, operations: list[Operation]) -> None:
        for inserted in self._before.get(node, ()):
            self._emit(inserted, operations)
        if node not in self._removed:
            operations.append(node)

    def _read(self) -> None:
        for value in self.function.inputs:
            self._builder.unique(value.name)
        for node in self.function.block.walk():
            self._builder.unique(node.name)
            for value in node.outputs:
                if value.name != node.name:
                    self._builder.unique(value.name)
        for node in self.block.operations:
            if isinstance(node, Constant):
                self._constants[node.output] = node
            else:
                self._order.append(node)
                self._adopt(node)

    def _adopt(self, operation: Operation) -> None:
        for operand in operands_of(operation):
            self._users.setdefault(operand, {})[operation] = None
        for value in operation.outputs:
            self._makers[value] = operation

    def _forget(self, operation: Operation) -> None:
        for operand in operands_of(operation):
            self._users.get(operand, {}).pop(operation, None)


def operands_of(operation: Operation) -> Iterator[Value]:
    """Yields the values that an operation uses, those that its blocks use included."""
    for _, operand in operation.operands():
        if isinstance(operand, Value):
            yield operand
    for block in operation.blocks:
        yield from block.outputs
        for node in block.operations:
            if isinstance(node, Operation):
                yield from operands_of(node)


def swap(block: Block, old: Value, new: Value) -> None:
    """Lets a block, and those inside of it, use `new` in place of `old`."""
    block.outputs = [new if value is old else value for value in block.outputs]
    for node in block.operations:
        if isinstance(node, Operation):
            for parameter, bound in node.inputs.items():
                several = bound if isinstance(bound, tuple) else (bound,)
                swapped = tuple(new if operand is old else operand for operand in several)
                node.inputs[parameter] = swapped if isinstance(bound, tuple) else swapped[0]
            for nested in node.blocks:
                swap(nested, old, new)


def shape_of(value: Any) -> tuple[int | None, ...]:
    """Returns the shape of a tensor; an open size is None."""
    assert isinstance(value, Value)
    assert isinstance(value.type, TensorType)
    return value.type.shape


def rank_of(value: Any) -> int:
    """Returns the number of axes of a tensor."""
    return len(shape_of(value))


def typed_like(value: Any, shape: Sequence[int | None]) -> TensorType:
    """Returns the element type of `value` with another shape."""
    assert isinstance(value, Value)
    assert isinstance(value.type, TensorType)
    return TensorType(value.type.dtype, tuple(shape))
