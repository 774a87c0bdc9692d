"""The program: functions of blocks of operations over values, in single static assignment form.

Values are compared by identity; their names matter only to files and people. A constant of any storage form
is one `Constant` with an encoding: the `const` and `constexpr_*` operators of the file never appear as
operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlpress.bits import Tensor
from mlpress.encoding import Encoding
from mlpress.mil.opset import Opset
from mlpress.mil.types import Type


@dataclass(eq=False, slots=True)
class Value:
    """Something that an operation, a constant or an input defines and others use."""

    name: str
    type: Type

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in place: an attribute, an inline operand, or a constant that is no numeric tensor.

    `value` is a `Tensor` for numbers and booleans, ``str`` for a string scalar, a tuple of ``str`` for an
    array of strings, a tuple of `Literal` for lists and tuples, a tuple of pairs of `Literal` for
    dictionaries.
    """

    type: Type
    value: Tensor | str | tuple[Any, ...]


Operand = Value | Literal


@dataclass(eq=False, slots=True)
class Operation:
    """One operator application.

    Attributes:
        type: Operator name, such as ``"conv"``.
        name: Name of this instance, unique for people; may differ from its outputs' names.
        inputs: Operands by parameter; a tuple where the parameter takes several.
        outputs: Values defined here; none for ``write_state``.
        blocks: Nested blocks of control flow.
        attributes: Literals beside the inputs (the name excluded).
        unknown: Fields of the file that this version does not know, kept as they were.
    """

    type: str
    name: str
    inputs: dict[str, Operand | tuple[Operand, ...]]
    outputs: list[Value]
    blocks: list[Block] = field(default_factory=list)
    attributes: dict[str, Literal] = field(default_factory=dict)
    unknown: bytes = b""

    def operands(self) -> Iterator[tuple[str, Operand]]:
        """Yields (parameter, operand) for each operand, tuples spread out."""
        for parameter, bound in self.inputs.items():
            for operand in bound if isinstance(bound, tuple) else (bound,):
                yield parameter, operand


@dataclass(eq=False, slots=True)
class Constant:
    """A value known when the model is made.

    Attributes:
        name: Name of the operator that defines it in the file.
        output: The value.
        data: Encoding of a numeric or boolean tensor, or a literal for anything else.
        unknown: Fields of the file that this version does not know, kept as they were.
    """

    name: str
    output: Value
    data: Encoding | Literal
    unknown: bytes = b""

    @property
    def outputs(self) -> list[Value]:
        return [self.output]


@dataclass(eq=False, slots=True)
class Block:
    inputs: list[Value]
    operations: list[Operation | Constant]
    outputs: list[Value]
    attributes: dict[str, Literal] = field(default_factory=dict)
    unknown: bytes = b""

    def walk(self) -> Iterator[Operation | Constant]:
        """Yields every operation and constant in program order, nested blocks right after their owner."""
        for operation in self.operations:
            yield operation
            if isinstance(operation, Operation):
                for block in operation.blocks:
                    yield from block.walk()

    def constants(self) -> Iterator[Constant]:
        """Yields every constant in program order, nested blocks included."""
        return (node for node in self.walk() if isinstance(node, Constant))


@dataclass(eq=False, slots=True)
class Function:
    """A function; `block` is its body for `opset`, `other_blocks` bodies for others, kept as they were."""

    inputs: list[Value]
    opset: Opset
    block: Block
    attributes: dict[str, Literal] = field(default_factory=dict)
    other_blocks: Mapping[str, bytes] = field(default_factory=dict)
    unknown: bytes = b""


@dataclass(eq=False, slots=True)
class Program:
    functions: dict[str, Function]
    attributes: dict[str, Literal] = field(default_factory=dict)
    version: int = 1
    doc: str = ""
    unknown: bytes = b""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a value: by `operation` under `parameter`, or as a block output when `operation` is None."""

    operation: Operation | None
    parameter: str


def uses(block: Block) -> dict[Value, list[Use]]:
    """Maps each value used in `block` or its nested blocks to its uses, in program order."""
    found: dict[Value, list[Use]] = {}
    for node in block.walk():
        if not isinstance(node, Operation):
            continue
        for parameter, operand in node.operands():
            if isinstance(operand, Value):
                found.setdefault(operand, []).append(Use(node, parameter))
        for nested in node.blocks:
            for value in nested.outputs:
                found.setdefault(value, []).append(Use(None, ""))
    for value in block.outputs:
        found.setdefault(value, []).append(Use(None, ""))
    return found


def with_constants(program: Program, replaced: Mapping[Constant, Encoding]) -> Program:
    """Returns a copy of `program` in which some constants hold another encoding of the same type.

    Values are shared between both programs, operations are not.
    """

    def copy_block(block: Block) -> Block:
        operations: list[Operation | Constant] = []
        for node in block.operations:
            if isinstance(node, Constant):
                operations.append(replace(node, data=replaced.get(node, node.data)))
            else:
                operations.append(
                    replace(
                        node,
                        inputs=dict(node.inputs),
                        outputs=list(node.outputs),
                        blocks=[copy_block(nested) for nested in node.blocks],
                        attributes=dict(node.attributes),
                    )
                )
        return replace(
            block,
            inputs=list(block.inputs),
            operations=operations,
            outputs=list(block.outputs),
            attributes=dict(block.attributes),
        )

    functions = {
        name: replace(
            function,
            inputs=list(function.inputs),
            block=copy_block(function.block),
            attributes=dict(function.attributes),
        )
        for name, function in program.functions.items()
    }
    return replace(program, functions=functions, attributes=dict(program.attributes))
