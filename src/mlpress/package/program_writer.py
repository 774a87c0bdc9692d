"""From the program to its protobuf form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message

from mlpress.encoding import Dense
from mlpress.errors import InvalidProgramError
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    Opset,
    Program,
    Value,
    literal,
    lower,
)
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.types_io import write_type
from mlpress.package.unknown_fields import graft
from mlpress.package.value_writer import ValueWriter

_CONSTEXPR: Final = "constexpr_"


def write_program(program: Program, proto: pb.Program, values: ValueWriter) -> None:
    """Fills the empty `proto` with `program`, constants lowered to the operators of each function's opset.

    Args:
        program: Left as it is.
        proto: The program of a model file.
        values: Takes the constants and plans the blob file; no weight is read.

    Raises:
        LegalityError: An opset can't express the encoding of a constant.
        InvalidProgramError: A value is used that nothing before defines, or a name is defined twice in a
            block.
    """
    proto.version = program.version
    proto.docString = program.doc
    _write_literals(program.attributes, proto.attributes, values)
    for name, function in program.functions.items():
        _FunctionWriter(function, values).write(proto.functions[name])
    _restore(program.unknown, proto)


class _FunctionWriter:
    def __init__(self, function: Function, values: ValueWriter) -> None:
        self._function = function
        self._values = values
        self._taken = {value.name for value in function.inputs}
        self._taken.update(value.name for node in function.block.walk() for value in node.outputs)

    def write(self, proto: pb.Function) -> None:
        function = self._function
        scope: dict[Value, str] = {}
        _define(function.inputs, proto.inputs, scope, set())
        proto.opset = function.opset.name
        self._block(function.block, proto.block_specializations[function.opset.name], scope)
        for opset, body in function.other_blocks.items():
            proto.block_specializations[opset].MergeFromString(body)
        _write_literals(function.attributes, proto.attributes, self._values)
        _restore(function.unknown, proto)

    def _block(self, block: Block, proto: pb.Block, outer: Mapping[Value, str]) -> None:
        scope = dict(outer)
        defined: set[str] = set()
        _define(block.inputs, proto.inputs, scope, defined)
        for node in block.operations:
            if isinstance(node, Constant):
                self._constant(node, proto, scope, defined)
            else:
                self._operation(node, proto.operations.add(), scope, defined)
        proto.outputs.extend(_name(value, scope, "a block output") for value in block.outputs)
        _write_literals(block.attributes, proto.attributes, self._values)
        _restore(block.unknown, proto)

    def _constant(
        self, constant: Constant, block: pb.Block, scope: dict[Value, str], defined: set[str]
    ) -> None:
        chain = lower(constant, self._function.opset)
        for operation in chain:
            for value in operation.outputs:
                if value is not constant.output:
                    value.name = self._fresh(value.name)
            self._operation(operation, block.operations.add(), scope, defined)
        if isinstance(constant.data, Literal):
            self._const(constant, constant.data, block.operations.add(), scope, defined)
        elif isinstance(constant.data, Dense):
            self._const(constant, literal(constant.data.values), block.operations.add(), scope, defined)
        _restore(constant.unknown, block.operations[-1])

    def _const(
        self,
        constant: Constant,
        value: Literal,
        proto: pb.Operation,
        scope: dict[Value, str],
        defined: set[str],
    ) -> None:
        proto.type = "const"
        _write_name(constant.name, proto.attributes)
        self._values.constant(value, proto.attributes["val"])
        _define([constant.output], proto.outputs, scope, defined)

    def _operation(
        self, operation: Operation, proto: pb.Operation, scope: dict[Value, str], defined: set[str]
    ) -> None:
        proto.type = operation.type
        _write_name(operation.name, proto.attributes)
        if operation.type.startswith(_CONSTEXPR):
            self._constexpr_inputs(operation, proto, scope)
        else:
            for parameter, bound in operation.inputs.items():
                argument = proto.inputs[parameter].arguments
                for operand in bound if isinstance(bound, tuple) else (bound,):
                    self._bind(operand, argument.add(), scope, f"{operation.type} {operation.name!r}")
        for block in operation.blocks:
            self._block(block, proto.blocks.add(), scope)
        _write_literals(operation.attributes, proto.attributes, self._values)
        _define(operation.outputs, proto.outputs, scope, defined)
        _restore(operation.unknown, proto)

    def _constexpr_inputs(
        self, operation: Operation, proto: pb.Operation, scope: Mapping[Value, str]
    ) -> None:
        label = f"{operation.type} {operation.name!r}"
        for parameter, operand in operation.operands():
            if isinstance(operand, Value):
                proto.inputs[parameter].arguments.add(name=_name(operand, scope, label))
            elif self._function.opset < Opset.CoreML8:
                self._values.constant(operand, proto.attributes[parameter])
            else:
                self._values.constant(operand, proto.inputs[parameter].arguments.add().value)

    def _bind(
        self, operand: Operand, proto: pb.Argument.Binding, scope: Mapping[Value, str], label: str
    ) -> None:
        if isinstance(operand, Value):
            proto.name = _name(operand, scope, label)
        else:
            self._values.inline(operand, proto.value)

    def _fresh(self, name: str) -> str:
        """Returns `name`, with a number behind it if the function has another value of that name."""
        number, free = 0, name
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


def _define(
    values: Iterable[Value],
    protos: RepeatedCompositeFieldContainer[pb.NamedValueType],
    scope: dict[Value, str],
    defined: set[str],
) -> None:
    for value in values:
        if value.name in defined:
            raise InvalidProgramError(f"value {value.name!r} is defined twice")
        defined.add(value.name)
        scope[value] = value.name
        proto = protos.add()
        proto.name = value.name
        write_type(value.type, proto.type)


def _name(value: Value, scope: Mapping[Value, str], user: str) -> str:
    if value not in scope:
        raise InvalidProgramError(f"{user} uses the value {value.name!r}, which nothing before it defines")
    return scope[value]


def _write_name(name: str, attributes: MutableMapping[str, pb.Value]) -> None:
    """Writes the name of an operator, as a string scalar."""
    if name:
        value = attributes["name"]
        value.type.tensorType.dataType = pb.STRING
        value.immediateValue.tensor.strings.values.append(name)


def _write_literals(
    literals: Mapping[str, Literal], protos: MutableMapping[str, pb.Value], values: ValueWriter
) -> None:
    for key, value in literals.items():
        values.inline(value, protos[key])


def _restore(unknown: bytes, proto: Message) -> None:
    if unknown:
        graft(proto, type(proto).FromString(unknown))
