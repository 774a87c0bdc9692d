"""The weights of a program: constants worth looking at, who uses them, and the roles of their axes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, nbytes, nbytes_by_address, size_of, storage_key
from mlpress.fit.layout import Layout
from mlpress.mil import (
    Constant,
    Function,
    Literal,
    Operation,
    Program,
    Use,
    Value,
    canonical_nbytes,
    uses,
)

MINIMUM_SIZE = 10
"""Elements from which on a constant is stored in the weight file (Core ML's own rule) and counts as a
weight."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A numeric constant of a function.

    Attributes:
        function_name: Function that it belongs to.
        function: The same.
        constant: The constant.
        encoding: How it is stored.
        users: Operations that use it; a block output is None.
        layout: Roles of its axes, as its users see them.
    """

    function_name: str
    function: Function
    constant: Constant
    encoding: Encoding
    users: tuple[Use, ...]
    layout: Layout

    @property
    def operations(self) -> list[tuple[str, str]]:
        """Type and name of each operation that uses it, without repetition."""
        found = [(use.operation.type, use.operation.name) for use in self.users if use.operation is not None]
        return list(dict.fromkeys(found))


def weights(program: Program) -> Iterator[Weight]:
    """Yields every numeric constant of at least `MINIMUM_SIZE` elements, in program order."""
    for name, function in program.functions.items():
        found = uses(function.block)
        constants = {constant.output: constant for constant in function.block.constants()}
        for constant in constants.values():
            if isinstance(constant.data, Literal) or size_of(constant.data) < MINIMUM_SIZE:
                continue
            users = tuple(found.get(constant.output, ()))
            layout = _layout(constant, users, constants)
            yield Weight(name, function, constant, constant.data, users, layout)


@dataclass(frozen=True, slots=True)
class Totals:
    """Size of several weights; what they share counts once.

    Attributes:
        size: Elements.
        nbytes: Bytes in the file, tables that an opset wants repeated included.
    """

    size: int
    nbytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits that an element takes."""
        return 8 * self.nbytes / self.size if self.size else 0.0


def totals(found: Iterable[Weight]) -> Totals:
    """Adds up the sizes of weights."""
    size = repeated = 0
    lengths: dict[tuple[int, int], int] = {}
    seen: set[Hashable] = set()
    for weight in found:
        encoding, opset = weight.encoding, weight.function.opset
        key = storage_key(encoding)
        if key not in seen:
            size += size_of(encoding)
        if (key, opset) not in seen:
            repeated += canonical_nbytes(encoding, opset) - nbytes(encoding)
        seen |= {key, (key, opset)}
        lengths |= nbytes_by_address(encoding)
    return Totals(size, sum(lengths.values()) + repeated)


def _layout(constant: Constant, users: tuple[Use, ...], constants: dict[Value, Constant]) -> Layout:
    assert not isinstance(constant.data, Literal)
    rank = len(constant.data.shape)
    operations = [use for use in users if use.operation is not None]
    axes = {_axes(use, rank, constants) for use in operations} or {(0, 1)}
    outputs, inputs = {output for output, _ in axes}, {entry for _, entry in axes}
    return Layout(
        output_axis=outputs.pop() if len(outputs) == 1 else None,
        input_axis=inputs.pop() if len(inputs) == 1 else None,
        groups=max((_groups(use, constants) for use in operations), default=1),
        prunable_in_patterns=all(
            use.operation is not None
            and use.operation.type in ("conv", "linear")
            and use.parameter == "weight"
            for use in operations
        ),
    )


def _axes(use: Use, rank: int, constants: dict[Value, Constant]) -> tuple[int, int]:
    """Returns the axes of output and input channels, as one user sees them."""
    operation = use.operation
    assert operation is not None
    if operation.type == "conv_transpose":
        return 1, 0
    if operation.type == "matmul":
        transposed = bool(_scalar(operation, f"transpose_{use.parameter}", constants) or 0)
        # x is [.., M, K] and y is [.., K, N], each with the last two axes swapped when transposed.
        last_is_output = transposed if use.parameter == "x" else not transposed
        return (rank - 1, rank - 2) if last_is_output else (rank - 2, rank - 1)
    return 0, 1


def _groups(use: Use, constants: dict[Value, Constant]) -> int:
    operation = use.operation
    if operation is None or operation.type not in ("conv", "conv_transpose") or use.parameter != "weight":
        return 1
    return int(_scalar(operation, "groups", constants) or 1)


def _scalar(operation: Operation, parameter: str, constants: dict[Value, Constant]) -> float | None:
    """Returns a number bound to a parameter, or None where it is absent or not constant."""
    operand = operation.inputs.get(parameter)
    data: object = operand.value if isinstance(operand, Literal) else None
    if isinstance(operand, Value) and operand in constants:
        bound = constants[operand].data
        data = bound.values if isinstance(bound, Dense) else None
    return data.numpy().reshape(-1)[0].item() if isinstance(data, Tensor) and data.size == 1 else None
