"""From the protobuf program to the program that passes work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from google.protobuf.message import Message

from mlpress.bits import Tensor
from mlpress.encoding import Dense
from mlpress.errors import InvalidProgramError, MlpressError, UnsupportedModelError
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    Opset,
    Program,
    StringType,
    TensorType,
    Value,
    lift,
)
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.types_io import read_type
from mlpress.package.unknown_fields import has_unknown, without
from mlpress.package.value_reader import ValueReader

Scope = dict[str, Value]

_CONST: Final = "const"
_CONSTEXPR: Final = "constexpr_"
_NAME: Final = "name"
_STRING: Final = StringType()
_BLOB_PREFIX: Final = b"@model_path"


def read_program(proto: pb.Program, values: ValueReader) -> Program:
    """Returns the program, its constants lifted to encodings over mapped weights.

    Args:
        proto: The program of a model file.
        values: Reader of the model's values and blob files.

    Raises:
        InvalidProgramError: The program names a value that nothing before defines, defines one twice, or
            states types that don't fit.
        InvalidPackageError: A weight is missing or damaged.
        UnsupportedModelError: The program uses something that mlpress doesn't know, such as a newer opset.
    """
    program = _ProgramReader(values, any_unknown=has_unknown(proto)).program(proto)
    lift(program)
    for function in program.functions.values():
        for constant in function.block.constants():
            _check_type(constant)
    return program


class _ProgramReader:
    def __init__(self, values: ValueReader, *, any_unknown: bool) -> None:
        self._values = values
        self._any_unknown = any_unknown

    def program(self, proto: pb.Program) -> Program:
        functions = {}
        for name in sorted(proto.functions):  # a map field has no order of its own
            try:
                functions[name] = self._function(proto.functions[name])
            except MlpressError as error:
                _raise_at(f"function {name!r}", error)
        attributes = self._literals(proto.attributes)
        return Program(
            functions, attributes, proto.version, proto.docString, self._unknown(proto, "functions")
        )

    def _function(self, proto: pb.Function) -> Function:
        opset = Opset.named(proto.opset)
        bodies = proto.block_specializations
        if proto.opset not in bodies:
            raise InvalidProgramError(f"no body for its opset {proto.opset}, only for {sorted(bodies)}")
        others = {key: bodies[key].SerializeToString() for key in sorted(bodies) if key != proto.opset}
        if any(_BLOB_PREFIX in body for body in others.values()):
            raise UnsupportedModelError(
                f"bodies for several opsets {sorted(bodies)} with weights in files; "
                f"supported: weights in the body for its own opset {proto.opset} only"
            )
        scope: Scope = {}
        inputs = self._define(proto.inputs, scope, set())
        block = self._block(bodies[proto.opset], scope)
        attributes = self._literals(proto.attributes)
        return Function(
            inputs, opset, block, attributes, others, self._unknown(proto, "block_specializations")
        )

    def _block(self, proto: pb.Block, outer: Scope) -> Block:
        scope = dict(outer)
        defined: set[str] = set()
        inputs = self._define(proto.inputs, scope, defined)
        operations = [self._node(operation, scope, defined) for operation in proto.operations]
        outputs = [_lookup(name, scope, "a block output") for name in proto.outputs]
        attributes = self._literals(proto.attributes)
        return Block(inputs, operations, outputs, attributes, self._unknown(proto, "operations"))

    def _node(self, proto: pb.Operation, scope: Scope, defined: set[str]) -> Operation | Constant:
        try:
            name = self._name(proto.attributes)
            attributes = self._literals(proto.attributes, besides=_NAME)
            if proto.type == _CONST:
                return self._constant(proto, name, attributes, scope, defined)
            return self._operation(proto, name, attributes, scope, defined)
        except MlpressError as error:
            _raise_at(f"{proto.type} {[output.name for output in proto.outputs]}", error)

    def _constant(
        self, proto: pb.Operation, name: str, attributes: dict[str, Literal], scope: Scope, defined: set[str]
    ) -> Constant:
        if len(proto.outputs) != 1 or attributes.keys() != {"val"} or proto.inputs or proto.blocks:
            raise InvalidProgramError(
                f"a const has one output and the attributes name and val; "
                f"this one has {len(proto.outputs)} outputs, {len(proto.inputs)} inputs and attributes "
                f"{sorted(attributes)}"
            )
        literal = attributes["val"]
        data = Dense(literal.value) if isinstance(literal.value, Tensor) else literal
        (output,) = self._define(proto.outputs, scope, defined)
        return Constant(name, output, data, self._unknown(proto, "blocks"))

    def _operation(
        self, proto: pb.Operation, name: str, attributes: dict[str, Literal], scope: Scope, defined: set[str]
    ) -> Operation:
        inputs = {
            parameter: self._operands(parameter, proto.inputs[parameter], scope)
            for parameter in sorted(proto.inputs)
        }
        if proto.type.startswith(_CONSTEXPR):
            # Before iOS 18 the parameters of these operators are attributes.
            inputs |= attributes
            attributes = {}
        blocks = [self._block(block, scope) for block in proto.blocks]
        outputs = self._define(proto.outputs, scope, defined)
        unknown = self._unknown(proto, "blocks")
        return Operation(proto.type, name, inputs, outputs, blocks, attributes, unknown)

    def _operands(self, parameter: str, proto: pb.Argument, scope: Scope) -> Operand | tuple[Operand, ...]:
        operands = tuple(self._operand(parameter, binding, scope) for binding in proto.arguments)
        return operands[0] if len(operands) == 1 else operands

    def _operand(self, parameter: str, proto: pb.Argument.Binding, scope: Scope) -> Operand:
        match proto.WhichOneof("binding"):
            case "name":
                return _lookup(proto.name, scope, f"parameter {parameter!r}")
            case "value":
                return self._values.literal(proto.value)
        raise InvalidProgramError(f"parameter {parameter!r} is bound to nothing")

    def _define(self, protos: Iterable[pb.NamedValueType], scope: Scope, defined: set[str]) -> list[Value]:
        """Makes a value for each of `protos`; an inner block may reuse a name of an outer one."""
        values = []
        for proto in protos:
            name = proto.name
            if name in defined:
                raise InvalidProgramError(f"value {name!r} is defined twice")
            defined.add(name)
            scope[name] = Value(name, read_type(proto.type))
            values.append(scope[name])
        return values

    def _literals(self, protos: Mapping[str, pb.Value], besides: str = "") -> dict[str, Literal]:
        """Returns all literals but the one called `besides`."""
        return {key: self._values.literal(protos[key]) for key in sorted(protos) if key != besides}

    def _name(self, attributes: Mapping[str, pb.Value]) -> str:
        """Returns the name of an operator, which stands among its attributes."""
        if _NAME not in attributes:
            return ""
        value = attributes[_NAME]
        strings = value.immediateValue.tensor.strings.values
        if len(strings) != 1 or read_type(value.type) != _STRING:
            type_ = self._values.literal(value).type
            raise InvalidProgramError(f"the attribute name is no string but a value of type {type_}")
        return strings[0]

    def _unknown(self, proto: Message, children: str) -> bytes:
        """Returns `proto` without the field `children` if anything in the rest is unknown, else nothing."""
        if not self._any_unknown:
            return b""
        rest = without(proto, children)
        return rest.SerializeToString() if has_unknown(rest) else b""


def _lookup(name: str, scope: Scope, user: str) -> Value:
    if name not in scope:
        raise InvalidProgramError(f"{user} uses the value {name!r}, which nothing before it defines")
    return scope[name]


def _check_type(constant: Constant) -> None:
    data, stated = constant.data, constant.output.type
    actual = data.type if isinstance(data, Literal) else TensorType(data.dtype, data.shape)
    if actual != stated:
        raise InvalidProgramError(
            f"constant {constant.output.name!r} is stated to be {stated}, but is {actual}"
        )


def _raise_at(place: str, error: MlpressError) -> NoReturn:
    raise type(error)(f"{place}: {error}") from error
