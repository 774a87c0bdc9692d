"""Puts the operators ``quantize`` and ``dequantize`` where a plan says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlpress.bits import DType
from mlpress.errors import StrictError
from mlpress.mil import Block, Constant, Function, Operand, Operation, Program, TensorType, Value, uses
from mlpress.passes.activations.grid import Grid, grid_of
from mlpress.passes.activations.pairs import Pairs
from mlpress.passes.activations.plan import Plan, Site
from mlpress.passes.activations.ranges import Range, share
from mlpress.passes.activations.report import ActivationReport, ActivationRow, Skipped


def quantize(
    program: Program, plan: Plan, ranges: Mapping[str, Range], strict: bool = False
) -> tuple[Program, ActivationReport]:
    """Returns a copy of `program` whose activations pass through 8 bits, and what was done.

    Values are shared between both programs, operations of the function are not. An output of the function
    keeps its floats.

    Args:
        program: The program that `plan` was made for.
        plan: What to quantize.
        ranges: By name, what each of `plan.wanted` lies between; operators on values without one are left
            alone.
        strict: Raise if something that was asked for cannot be done.

    Raises:
        StrictError: With `strict`; all problems are listed.
    """
    shared = share(ranges, plan.joined)
    lacking = {
        site.operation: site.value.name
        for site in (*plan.results, *plan.inputs)
        if site.value.name not in shared
    }
    skipped = [
        Skipped(operation.type, operation.name, f"the value {name!r} has no finite range")
        for operation, name in lacking.items()
    ]
    done = replace(
        plan,
        inputs=tuple(site for site in plan.inputs if site.operation not in lacking),
        results=tuple(site for site in plan.results if site.operation not in lacking),
        skipped=(*plan.skipped, *skipped),
    )
    function = program.functions[plan.function_name]
    report = ActivationReport(_rows(function, done, shared), done.skipped, done.unmatched)
    if strict and report.problems:
        lines = "".join(f"\n  {problem}" for problem in report.problems)
        raise StrictError(f"the activations cannot be quantized as asked:{lines}")
    block = _Insertion(function.block, function.inputs, done, shared).block()
    changed = replace(function, block=block)
    return replace(program, functions={**program.functions, plan.function_name: changed}), report


class _Insertion:
    """A copy of the outer block of a function in the making."""

    def __init__(self, block: Block, inputs: list[Value], plan: Plan, ranges: Mapping[str, Range]) -> None:
        self._source = block
        self._uses = uses(block)
        self._results = {site.value: _grid(site, ranges) for site in plan.results}
        self._inputs = {(site.operation, site.parameter): _grid(site, ranges) for site in plan.inputs}
        self._pairs = Pairs(block, inputs)

    def block(self) -> Block:
        for node in self._source.operations:
            if isinstance(node, Constant):
                self._pairs.operations.append(node)
            elif not self._reshaped_integers(node):
                self._pairs.operations.append(self._copy(node))
        return replace(self._source, operations=self._pairs.operations)

    def _copy(self, operation: Operation) -> Operation:
        inputs: dict[str, Operand | tuple[Operand, ...]] = {}
        for parameter, bound in operation.inputs.items():
            if isinstance(bound, tuple):
                inputs[parameter] = tuple(self._operand(operation, parameter, each) for each in bound)
            else:
                inputs[parameter] = self._operand(operation, parameter, bound)
        return replace(operation, inputs=inputs, blocks=[self._nested(block) for block in operation.blocks])

    def _nested(self, block: Block) -> Block:
        operations = [node if isinstance(node, Constant) else self._copy(node) for node in block.operations]
        return replace(block, operations=operations)

    def _operand(self, operation: Operation, parameter: str, operand: Operand) -> Operand:
        """Returns what `operation` reads in place of `operand`."""
        if not isinstance(operand, Value):
            return operand
        behind, before = self._results.get(operand), self._inputs.get((operation, parameter))
        if behind is not None:
            operand = self._pairs.dequantized(operand, behind)
        return operand if before in (None, behind) else self._pairs.dequantized(operand, before)

    def _reshaped_integers(self, operation: Operation) -> bool:
        """Reshapes integers instead of floats where the integers on both sides mean the same numbers.

        Returns whether it could: what is reshaped has to be quantized, and all use of the result on the same
        grid. Where the grids differ the floats in between are needed.
        """
        source = operation.inputs.get("x")
        if operation.type != "reshape" or not isinstance(source, Value) or source not in self._results:
            return False
        grid, result = self._results[source], operation.outputs[0]
        users = self._uses.get(result, [])
        if result in self._results or len(users) != 1 or users[0].operation is None:
            return False
        if self._inputs.get((users[0].operation, users[0].parameter)) != grid:
            return False
        integers = self._pairs.quantized(source, grid)
        assert isinstance(result.type, TensorType)  # it is quantized
        reshaped = Value(
            self._pairs.unique(f"{result.name}_quantized"), TensorType(grid.dtype, result.type.shape)
        )
        inputs = {**operation.inputs, "x": integers}
        self._pairs.operations.append(replace(operation, inputs=inputs, outputs=[reshaped]))
        self._pairs.hold(result, grid, reshaped)
        return True


def _grid(site: Site, ranges: Mapping[str, Range]) -> Grid:
    return grid_of(ranges[site.value.name], site.stage, _element(site.value))


def _element(value: Value) -> DType:
    assert isinstance(value.type, TensorType)  # the plan has looked
    return value.type.dtype


def _rows(function: Function, plan: Plan, ranges: Mapping[str, Range]) -> tuple[ActivationRow, ...]:
    defined = [*function.inputs, *(value for node in function.block.walk() for value in node.outputs)]
    position = {value: index for index, value in enumerate(defined)}
    users: dict[tuple[Value, Grid], list[tuple[str, str]]] = {}
    everyone = {(site.value, _grid(site, ranges)) for site in plan.results}
    for site in (*plan.results, *plan.inputs):
        user = (site.operation.type, site.operation.name)
        users.setdefault((site.value, _grid(site, ranges)), []).append(user)
    return tuple(
        ActivationRow(
            value.name,
            () if (value, grid) in everyone else tuple(dict.fromkeys(by)),
            grid.dtype.name,
            ranges[value.name].low,
            ranges[value.name].high,
            grid.scale,
            grid.zero_point,
        )
        for (value, grid), by in sorted(users.items(), key=lambda item: position[item[0][0]])
    )
