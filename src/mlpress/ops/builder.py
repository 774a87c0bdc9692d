"""Builds blocks of programs; the types of results come from the ops' definitions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from mlpress import bits
from mlpress.encoding import Dense, Encoding
from mlpress.errors import InvalidProgramError
from mlpress.mil import (
    Block,
    Constant,
    Literal,
    Operand,
    Operation,
    Opset,
    StringType,
    TensorType,
    Type,
    Value,
)
from mlpress.ops.infer import Inference, type_of
from mlpress.ops.literals import natural_array, operand_array
from mlpress.ops.op import Version, lookup, versions

_SMALL: Final = 256
"""Bytes up to which a block holds equal constants once."""


class Builder:
    """Appends constants and operations to a block.

    Attributes:
        opset: Opset whose ops are used.
        operations: What has been appended so far.
        inference: Tells the types of results; builders of nested blocks share it.
    """

    def __init__(self, opset: Opset, inference: Inference | None = None) -> None:
        self.opset = opset
        self.operations: list[Operation | Constant] = []
        self.inference = inference or Inference()
        self._names: set[str] = set()
        self._small: dict[object, Value] = {}

    def nested(self) -> Builder:
        """Returns a builder for a block inside this one; it knows the constants made here so far."""
        made = Builder(self.opset, self.inference)
        made._names, made._small = self._names, dict(self._small)
        return made

    def unique(self, name: str) -> str:
        """Returns a legal name close to `name` that nothing in the block has, and reserves it."""
        legal = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
        legal = f"_{legal}" if legal[0].isdigit() else legal
        found, number = legal, 0
        while found in self._names:
            found, number = f"{legal}_{number}", number + 1
        self._names.add(found)
        return found

    def input(self, name: str, kind: Type) -> Value:
        """Returns a new value for an input of the function or of a nested block."""
        return Value(self.unique(name), kind)

    def constant(self, value: Any, name: str = "const") -> Value:
        """Returns a constant; appends it unless it is a small one that the block knows already.

        Args:
            value: An encoding, a string, or anything that NumPy makes an array of; Python floats become
                float32, Python integers int32.
            name: What to call it.
        """
        data: Encoding | Literal
        kind: Type
        key: object
        if isinstance(value, str):
            kind = StringType()
            data, key = Literal(kind, value), value
        elif isinstance(value, Encoding):
            data, kind, key = value, TensorType(value.dtype, value.shape), None
        else:
            data = Dense(bits.Tensor.from_numpy(natural_array(value)))
            kind = TensorType(data.dtype, data.shape)
            key = (kind, bytes(data.values.buffer)) if data.values.nbytes <= _SMALL else None
        if key is not None and key in self._small:
            return self._small[key]
        output = Value(self.unique(name), kind)
        constant = Constant(output.name, output, data)
        self.operations.append(constant)
        self.inference.know(constant)
        if key is not None:
            self._small[key] = output
        return output

    def op(self, kind: str, name: str | None = None, /, **operands: Any) -> Any:
        """Appends an operation and returns its value, or a tuple of its values.

        Args:
            kind: The op, such as ``"conv"``.
            name: What to call the operation and its value.
            **operands: By parameter. What is no value becomes a constant; floats take the element type of
                the other operands with the same type variable. None is left out. So that every reader of the
                file sees them, parameters that are left out are written with their defaults.

        Raises:
            InvalidProgramError: The opset lacks the op or a parameter, or the operands do not fit it.
        """
        version = self._version(kind)
        operation = self._operation(version, name, operands)
        fakes = self.inference.results(operation, version)
        operation.outputs = self._outputs(operation.name, [type_of(fake) for fake in fakes])
        for value, fake in zip(operation.outputs, fakes, strict=True):
            self.inference.hold(value, fake)
        self.operations.append(operation)
        return operation.outputs[0] if len(fakes) == 1 else tuple(operation.outputs)

    def typed_op(
        self,
        kind: str,
        name: str | None,
        types: Sequence[Type],
        /,
        *,
        fakes: Sequence[Any] = (),
        **operands: Any,
    ) -> tuple[Value, ...]:
        """Appends an operation whose results have `types`, and returns its values.

        For results that are known already, or that depend on values in a run.

        Args:
            kind: The op.
            name: What to call the operation and its value.
            types: Of the results.
            fakes: Fake tensors that stand for the results from now on, if there are any.
            **operands: As for `op`.
        """
        operation = self._operation(self._version(kind), name, operands)
        operation.outputs = self._outputs(operation.name, types)
        self.operations.append(operation)
        for value, fake in zip(operation.outputs, fakes, strict=False):
            self.inference.hold(value, fake)
        return tuple(operation.outputs)

    def structural_op(
        self,
        kind: str,
        name: str,
        types: Sequence[Type],
        /,
        *,
        blocks: Sequence[Block] = (),
        fakes: Sequence[Any] = (),
        **operands: Value | tuple[Value, ...],
    ) -> tuple[Value, ...]:
        """Appends an operation that is no function of tensors, and returns its values.

        Args:
            kind: ``"cond"``, ``"while_loop"``, ``"read_state"`` or ``"write_state"``.
            name: What to call it.
            types: Of the results.
            blocks: As MIL orders them: true and false, or condition and body.
            fakes: Fake tensors that stand for the results, if there are any.
            **operands: By parameter.
        """
        chosen = self.unique(name)
        operation = Operation(kind, chosen, dict(operands), self._outputs(chosen, types), list(blocks))
        self.operations.append(operation)
        for value, fake in zip(operation.outputs, fakes, strict=False):
            self.inference.hold(value, fake)
        return tuple(operation.outputs)

    def block(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Block:
        """Returns the block that has been built."""
        return Block(list(inputs), self.operations, list(outputs))

    def _version(self, kind: str) -> Version:
        version = lookup(kind, self.opset)
        if version is None:
            first = ", ".join(known.opset.target for known in versions(kind)[:1]) or "no opset"
            raise InvalidProgramError(f"{self.opset.target} has no op {kind!r}; it is known from {first} on")
        return version

    def _operation(self, version: Version, name: str | None, operands: dict[str, Any]) -> Operation:
        given = {key: bound for key, bound in operands.items() if bound is not None}
        unknown = sorted(set(given) - set(version.signature.parameters))
        if unknown:
            allowed = ", ".join(version.signature.parameters)
            raise InvalidProgramError(f"op {version.name!r} has no parameters {unknown}; it has {allowed}")
        given |= {
            key: default for key, default in _defaults(version.name, self.opset).items() if key not in given
        }
        chosen = self.unique(name or version.name)
        bound = {key: self._bound(version, key, given, chosen) for key in given}
        return Operation(version.name, chosen, bound, [])

    def _bound(
        self, version: Version, key: str, given: Mapping[str, Any], name: str
    ) -> Operand | tuple[Operand, ...]:
        value = given[key]
        if version.signature.parameters[key].structure != "tensors" or isinstance(value, Value | Literal):
            return self._operand(version, key, value, given, name)
        return tuple(self._operand(version, key, item, given, name) for item in value)

    def _operand(
        self, version: Version, key: str, value: Any, given: Mapping[str, Any], name: str
    ) -> Operand:
        if isinstance(value, Value | Literal):
            return value
        if version.signature.parameters[key].dtypes and not isinstance(value, Encoding):
            value = operand_array(value, key, version.signature, given)
        return self.constant(value, f"{name}_{key}")

    def _outputs(self, name: str, types: Sequence[Type]) -> list[Value]:
        if len(types) == 1:
            return [Value(name, types[0])]
        return [Value(self.unique(f"{name}_{index}"), kind) for index, kind in enumerate(types)]


@cache
def _defaults(name: str, opset: Opset) -> dict[str, Any]:
    """Returns what the parameters of an op are that are left out; those without a value are not there."""
    version = lookup(name, opset)
    assert version is not None  # the caller has it
    declared = inspect.signature(version.function).parameters
    optional = [key for key, parameter in version.signature.parameters.items() if parameter.optional]
    return {key: declared[key].default for key in optional if declared[key].default is not None}
