"""Which values of a function become integers: at the inputs of which operators, and after which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlpress.encoding.nodes import FLOAT_DTYPES
from mlpress.errors import LegalityError, MlpressError
from mlpress.mil import Function, Operation, Opset, Program, TensorType, Use, Value, uses
from mlpress.passes.activations.ranges import joined_by_concat
from mlpress.passes.activations.report import Skipped
from mlpress.passes.activations.rules import ALL, DEFAULT, FOLLOWING, ON_REQUEST, checked
from mlpress.recipe import Quantize, Recipe, Stage, Step


@dataclass(frozen=True, slots=True)
class Site:
    """One value to quantize.

    Attributes:
        value: The value.
        operation: The operator on whose behalf.
        parameter: Where it goes into `operation`; empty if it comes out, or out of the activation function
            behind, for all who use it.
        stage: How.
    """

    value: Value
    operation: Operation
    parameter: str
    stage: Quantize


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become integers in a function.

    Attributes:
        function_name: The function.
        inputs: Values before operators.
        results: Values behind them.
        joined: Sets of names of values that share a range.
        skipped: Operators that are left alone though they were asked for, with the reason.
        unmatched: Rules that match nothing.
    """

    function_name: str
    inputs: tuple[Site, ...]
    results: tuple[Site, ...]
    joined: tuple[frozenset[str], ...]
    skipped: tuple[Skipped, ...]
    unmatched: tuple[str, ...]

    @property
    def wanted(self) -> dict[str, Quantize]:
        """The values whose ranges are needed, by name, and how they will be quantized."""
        found = {site.value.name: site.stage for site in (*self.results, *self.inputs)}
        for group in self.joined:
            stage = next((found[name] for name in sorted(group) if name in found), None)
            if stage is not None:
                found |= {name: stage for name in group if name not in found}
        return found


def make_plan(program: Program, function_name: str, rules: Recipe | Step | Stage) -> Plan:
    """Says what of a function becomes integers.

    The rules of coremltools: the inputs of ``conv``, ``linear``, pools, and ``add`` of two values that are
    computed; and what comes out of them, after the activation function if there is one, unless nothing but an
    output follows. ``matmul``, ``scaled_dot_product_attention`` and ``conv_transpose`` are treated alike if a
    rule by type or name asks for it. Constants, integers and what is quantized already are left alone.

    Args:
        program: Any program.
        function_name: One of its functions.
        rules: One step of `Quantize` to int8 or uint8; exceptions by type and name of operators.

    Raises:
        LegalityError: The function is for a release before iOS 17.
        MlpressError: There is no such function.
        RecipeError: The rules ask for something else.
    """
    function = program.functions.get(function_name)
    if function is None:
        raise MlpressError(
            f"no function {function_name!r} in the program; it has {', '.join(program.functions)}"
        )
    if function.opset < Opset.CoreML7:
        raise LegalityError(
            f"8-bit activations need iOS 17 or later; "
            f"function {function_name!r} targets {function.opset.target}"
        )
    return _Planner(function_name, function, checked(rules)).plan()


class _Planner:
    def __init__(self, name: str, function: Function, step: Step) -> None:
        self._name, self._function, self._step = name, function, step
        self._uses = uses(function.block)
        self._constants = {constant.output for constant in function.block.constants()}
        self._quantized = {
            value
            for node in function.block.walk()
            if isinstance(node, Operation) and node.type == "dequantize"
            for value in node.outputs
        }
        self._inputs: dict[tuple[Operation, str], Site] = {}

    def plan(self) -> Plan:
        block = self._function.block
        chosen: list[tuple[Operation, Quantize]] = []
        for node in block.operations:
            stage = self._stage(node) if isinstance(node, Operation) else None
            if isinstance(node, Operation) and stage is not None and self._enter(node, stage):
                chosen.append((node, stage))
        results: dict[Value, Site] = {}
        for operation, stage in chosen:
            for value in self._behind(operation):
                results.setdefault(value, Site(value, operation, "", stage))
        return Plan(
            self._name,
            tuple(self._inputs.values()),
            tuple(results.values()),
            tuple(joined_by_concat(block)),
            tuple(self._skipped()),
            tuple(self._unmatched()),
        )

    def _stage(self, operation: Operation) -> Quantize | None:
        kind, name = operation.type, operation.name
        asked_for = kind in self._step.op_types or self._step.names_constant(name)
        if kind not in DEFAULT and not (kind in ON_REQUEST and asked_for):
            return None
        stage = self._step.stage_for(name, [(kind, name)])
        assert stage is None or isinstance(stage, Quantize)  # `checked` has looked
        return stage

    def _enter(self, operation: Operation, stage: Quantize) -> bool:
        """Plans for the inputs of `operation`; returns whether it computes on integers then."""
        operands = {name: operation.inputs.get(name) for name in ALL[operation.type]}
        live = {
            name: operand
            for name, operand in operands.items()
            if isinstance(operand, Value) and operand not in self._constants and _is_float(operand)
        }
        if not live or (operation.type == "add" and len(live) < 2):
            return False
        for name, value in live.items():
            if value not in self._quantized:
                self._inputs[operation, name] = Site(value, operation, name, stage)
        return True

    def _behind(self, operation: Operation) -> Iterator[Value]:
        """Yields the values behind `operation` to quantize for all who use them."""
        value = operation.outputs[0]
        users = self._users(value)
        if not users or self._is_quantized_by(users):
            return
        floats = [use for use in users if not self._is_integer(use)]
        found = self._behind_function(value, floats)
        if found is not None:
            yield found
        # coremltools looks at an add once for each input, the second time past the activation function that
        # it has dealt with.
        if operation.type == "add" and found not in (None, value) and len(users) > 1:
            second = self._behind_function(value, floats[1:])
            if second is not None:
                yield second

    def _behind_function(self, value: Value, floats: list[Use]) -> Value | None:
        """Returns what the activation function makes of `value` if it is the first of those that use floats.

        `value` itself without such a function; None if nothing has to be done behind the function.
        """
        function = floats[0].operation if floats else None
        if function is None or function.type not in FOLLOWING:
            return value
        users = self._users(function.outputs[0])
        if not users:
            return value
        return None if self._is_quantized_by(users) else function.outputs[0]

    def _users(self, value: Value) -> list[Use]:
        return [use for use in self._uses.get(value, ()) if use.operation is not None]

    def _is_quantized_by(self, users: list[Use]) -> bool:
        """Whether the only user takes integers, so that nothing has to be done for the others."""
        return len(users) == 1 and self._is_integer(users[0])

    def _is_integer(self, use: Use) -> bool:
        assert use.operation is not None
        return use.operation.type == "quantize" or (use.operation, use.parameter) in self._inputs

    def _skipped(self) -> Iterator[Skipped]:
        for outer in self._function.block.operations:
            if not isinstance(outer, Operation):
                continue
            for block in outer.blocks:
                for node in block.walk():
                    if isinstance(node, Operation) and self._stage(node) is not None:
                        yield Skipped(node.type, node.name, f"it is inside {outer.type} {outer.name!r}")

    def _unmatched(self) -> list[str]:
        able = [
            (node.type, node.name)
            for node in self._function.block.walk()
            if isinstance(node, Operation) and node.type in ALL
        ]
        return self._step.unmatched([(name, [(kind, name)]) for kind, name in able])


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.dtype in FLOAT_DTYPES
