"""Settles the types of all floats: what computes in float16, and casts where two precisions meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from mlpress import bits, ops
from mlpress.bits import DType, Spool
from mlpress.converter.passes.float16 import Narrowed, away_from_zero, narrowed
from mlpress.converter.passes.islands import (
    angles_of_positions,
    between,
    integers_of_integers,
    numbers_of_sizes,
)
from mlpress.encoding import Encoding, in_dtype, map_tensors
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    StateType,
    StringType,
    TensorType,
    Value,
)
from mlpress.ops.builder import Builder

Selector = Callable[[Operation], bool]
"""Tells whether an operation should compute in float16."""

MIL_NAMES: Final = {bits.FLOAT16: "fp16", bits.FLOAT32: "fp32", bits.INT32: "int32", bits.BOOL: "bool"}

LIMITS: Final = [
    "add",
    "clip",
    "equal",
    "fill",
    "fill_like",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "maximum",
    "minimum",
    "not_equal",
    "pad",
    "scaled_dot_product_attention",
    "select",
    "sub",
    "threshold",
]
"""Ops for which a number beyond float16's range means "more than anything", and one below it "more than
nothing": the largest and the smallest number do as well."""

_CONTROL: Final = ("cond", "while_loop")
_STATES: Final = ("read_state", "write_state")


@dataclass(slots=True)
class PrecisionReport:
    """What does not compute in float16, and why.

    Attributes:
        islands: By name of an operation that stays in float32: the reason.
        clamped: By name of a constant in which numbers beyond float16's range became its largest: the largest
            magnitude before.
    """

    islands: dict[str, str] = field(default_factory=dict)
    clamped: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """A line for each operation and constant."""
        islands = [f"{name} stays in float32: {reason}" for name, reason in self.islands.items()]
        clamped = [
            f"{name} holds {largest:g}, which became float16's largest number, 65504"
            for name, largest in self.clamped.items()
        ]
        return "\n".join([*islands, *clamped])


def set_precision(
    function: Function, wants_float16: Selector | None, overflows: Mapping[str, str] = MappingProxyType({})
) -> PrecisionReport:
    """Settles the types of all floats of a function, in place; its inputs keep theirs, states become float16.

    An operation computes in float16 if that is wanted, if its op can, and if no constant that matters leaves
    the range.

    Args:
        function: With floats of any type.
        wants_float16: None for float32 everywhere.
        overflows: By name of an operation that has to stay in float32: the reason.
    """
    settling = _Settling(function, wants_float16, overflows)
    for value in function.inputs:
        if isinstance(value.type, StateType):
            assert isinstance(value.type.wrapped, TensorType)
            value.type = StateType(TensorType(bits.FLOAT16, value.type.wrapped.shape))
    settling.block(function.block, {})
    function.block.operations[:0] = settling.new_constants
    return settling.report


class _Settling:
    def __init__(
        self, function: Function, wants_float16: Selector | None, overflows: Mapping[str, str]
    ) -> None:
        self.report = PrecisionReport()
        self.new_constants: list[Constant] = []
        self._opset = function.opset
        self._wants_float16 = wants_float16
        self._overflows = overflows
        self._islands: set[Operation] = set()
        self._names = names_of(function)
        self._constants: dict[Value, Constant] = {}
        self._narrowed: dict[Constant, Narrowed] = {}
        self._spool = Spool()
        self._stored: dict[tuple[Value, DType], Constant] = {}
        self._strings: dict[str, Value] = {}

    def block(self, block: Block, casts: dict[tuple[Value, DType], Value]) -> None:
        """Settles a block.

        Args:
            block: Changed in place.
            casts: Values around the block that have been cast already.
        """
        self._find_islands(block)
        place = _Place([], dict(casts))
        for node in block.operations:
            if isinstance(node, Constant):
                place.operations.append(node)
                continue
            if node.type in _CONTROL:
                self._control_flow(node, place)
            else:
                self._operation(node, place)
            place.operations.append(node)
        block.operations = place.operations

    def finish_block(self, block: Block, types: list[DType | None]) -> None:
        """Brings the outputs of a nested block to `types`."""
        place = _Place(block.operations, {})
        block.outputs = [
            value if dtype is None else self._cast(value, dtype, place)
            for value, dtype in zip(block.outputs, types, strict=True)
        ]

    # ---- one operation ----

    def _operation(self, node: Operation, place: _Place) -> None:
        dtype = bits.FLOAT16 if self._computes_in_float16(node) else bits.FLOAT32
        signature = None if node.type in _STATES else self._signature(node)
        for parameter, bound in node.inputs.items():
            allowed = () if signature is None else signature.parameters[parameter].dtypes
            if node.type == "shape" or (node.type == "cast" and parameter == "x"):
                continue  # any float will do
            own = dtype if not allowed or dtype.name in allowed else bits.FLOAT32
            if isinstance(bound, tuple):
                node.inputs[parameter] = tuple(self._brought(part, own, place) for part in bound)
            else:
                node.inputs[parameter] = self._brought(bound, own, place)
        for value in node.outputs:
            _set_float(value, dtype)
        if node.type == "cast" and _is_float(node.outputs[0]):
            node.inputs["dtype"] = self._string(MIL_NAMES[dtype])

    def _signature(self, node: Operation) -> ops.Signature:
        version = ops.lookup(node.type, self._opset)
        assert version is not None  # it was built from the catalogue
        return version.signature

    def _find_islands(self, block: Block) -> None:
        """Decides which operations of a block stay in float32."""
        for node in block.operations:
            if isinstance(node, Constant):
                self._constants[node.output] = node
        if self._wants_float16 is None:
            return
        angles = angles_of_positions(block)
        self.report.islands |= {node.name: "angles of integers" for node in angles}
        integers = integers_of_integers(block) | numbers_of_sizes(block)
        self.report.islands |= {node.name: "computed from integers" for node in integers}
        operations = [node for node in block.operations if isinstance(node, Operation)]
        found = angles | integers | {node for node in operations if not self._may_be_float16(node)}
        self._islands |= found | between(block, found)

    def _may_be_float16(self, node: Operation) -> bool:
        if node.type in (*_STATES, *_CONTROL) or not _has_floats(node):
            return True
        if self._wants_float16 is None or not self._wants_float16(node):
            return False
        if node.name in self._overflows:
            self.report.islands[node.name] = self._overflows[node.name]
            return False
        return self._can_compute_in_float16(node) and self._constants_fit(node)

    def _computes_in_float16(self, node: Operation) -> bool:
        return node.type in _STATES or (self._wants_float16 is not None and node not in self._islands)

    def _can_compute_in_float16(self, node: Operation) -> bool:
        """Whether the op of this opset takes float16 for some operand, or makes floats from none."""
        parameters = self._signature(node).parameters
        floats = [name for name, value in node.operands() if isinstance(value, Value) and _is_float(value)]
        known = [parameters[name] for name in floats]
        return not known or any(not parameter.dtypes or "float16" in parameter.dtypes for parameter in known)

    def _constants_fit(self, node: Operation) -> bool:
        if node.type in LIMITS:
            return True
        for parameter, operand in node.operands():
            constant = self._constants.get(operand)  # type: ignore[arg-type]  # literals are not there
            if constant is None or not _is_float(constant.output):
                continue
            found = self._half(constant)
            if found.largest is not None:
                self.report.islands[node.name] = (
                    f"{parameter} has {found.largest:.6g}, beyond float16's range"
                )
                return False
            if found.is_coarse and parameter != "epsilon":
                self.report.islands[node.name] = f"{parameter} is too small for float16"
                return False
        return True

    # ---- operands ----

    def _brought(self, operand: Operand, dtype: DType, place: _Place) -> Operand:
        if not isinstance(operand, Value) or not _is_float(operand):
            return operand
        if operand in self._constants:
            return self._constant(operand, dtype)
        return self._cast(operand, dtype, place)

    def _constant(self, value: Value, dtype: DType) -> Value:
        if _dtype(value) == dtype:
            return value
        if (value, dtype) not in self._stored:
            constant = self._constants[value]
            data = self._in(constant, dtype)
            name, constant.name = constant.name, self._names.unique(f"{constant.name}_before")
            value.name = constant.name  # the name stays with what is used
            made = Constant(name, Value(name, TensorType(dtype, data.shape)), data)
            self._stored[value, dtype] = made
            self._constants[made.output] = made
            self.new_constants.append(made)
        return self._stored[value, dtype].output

    def _in(self, constant: Constant, dtype: DType) -> Encoding:
        assert not isinstance(constant.data, Literal)
        if dtype != bits.FLOAT16:
            return in_dtype(constant.data, dtype)
        found = self._half(constant)
        if found.largest is not None:
            self.report.clamped[constant.name] = found.largest
        # What is to be kept from zero by a number such as 1e-12 has to be so in float16, too.
        return away_from_zero(found.data) if found.is_coarse else found.data

    def _half(self, constant: Constant) -> Narrowed:
        if constant not in self._narrowed:
            assert not isinstance(constant.data, Literal)
            found = narrowed(constant.data)
            # In a file, as all that compression makes: the model itself may fill the memory.
            self._narrowed[constant] = replace(found, data=map_tensors(found.data, self._spool.store))
        return self._narrowed[constant]

    def _cast(self, value: Value, dtype: DType, place: _Place) -> Value:
        if not _is_float(value) or _dtype(value) == dtype:
            return value
        if (value, dtype) not in place.casts:
            assert isinstance(value.type, TensorType)
            name = self._names.unique(f"{value.name}_{MIL_NAMES[dtype]}")
            result = Value(name, TensorType(dtype, value.type.shape))
            operands: dict[str, Operand | tuple[Operand, ...]] = {
                "x": value,
                "dtype": self._string(MIL_NAMES[dtype]),
            }
            place.operations.append(Operation("cast", name, operands, [result]))
            place.casts[value, dtype] = result
        return place.casts[value, dtype]

    def _string(self, text: str) -> Value:
        if text not in self._strings:
            name = self._names.unique(f"dtype_{text}")
            constant = Constant(name, Value(name, StringType()), Literal(StringType(), text))
            self.new_constants.append(constant)
            self._strings[text] = constant.output
        return self._strings[text]

    # ---- control flow ----

    def _control_flow(self, node: Operation, place: _Place) -> None:
        """What a loop carries and what branches return has one precision: the one that is wanted."""
        wanted = self._wants_float16 is not None and self._wants_float16(node)
        dtype = bits.FLOAT16 if wanted else bits.FLOAT32
        for parameter, bound in node.inputs.items():
            several = bound if isinstance(bound, tuple) else (bound,)
            brought = tuple(self._brought(part, dtype, place) for part in several)
            node.inputs[parameter] = brought if isinstance(bound, tuple) else brought[0]
        for value in (*node.outputs, *(value for nested in node.blocks for value in nested.inputs)):
            _set_float(value, dtype)
        for nested in node.blocks:
            self.block(nested, place.casts)
            self.finish_block(nested, [dtype if _is_float(value) else None for value in nested.outputs])


@dataclass(slots=True)
class _Place:
    """Where operations are appended, and the casts that can be seen from there."""

    operations: list[Operation | Constant]
    casts: dict[tuple[Value, DType], Value]


def names_of(function: Function) -> Builder:
    """Returns a builder that knows all names of a function, for its `unique`."""
    names = Builder(function.opset)
    for value in function.inputs:
        names.unique(value.name)
    for node in function.block.walk():
        names.unique(node.name)
        for value in node.outputs:
            if value.name != node.name:
                names.unique(value.name)
    return names


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype.is_float


def _dtype(value: Value) -> DType:
    assert isinstance(value.type, TensorType)
    return value.type.dtype


def _set_float(value: Value, dtype: DType) -> None:
    if _is_float(value):
        assert isinstance(value.type, TensorType)
        value.type = TensorType(dtype, value.type.shape)


def _floats(node: Operation) -> Iterator[Value]:
    for _, operand in node.operands():
        if isinstance(operand, Value) and _is_float(operand):
            yield operand
    yield from filter(_is_float, node.outputs)


def _has_floats(node: Operation) -> bool:
    return next(_floats(node), None) is not None
