"""`mlpress inspect`: what a model holds."""

from __future__ import annotations

from mlpress.cli.arguments import Json, Model
from mlpress.cli.render import Column, count, emit, print_json, print_table, shape

_COLUMNS: tuple[Column, ...] = (
    ("weight", "left"),
    ("used by", "left"),
    ("shape", "left"),
    ("stored as", "left"),
    ("bytes", "right"),
    ("bits", "right"),
)


def inspect(model: Model, json: Json = False) -> None:
    """List operators and weights.

    For each weight: the operators that use it, its shape, how it is stored, its bytes and bits per weight.
    """
    from mlpress.models import MLModel
    from mlpress.passes.inspect import inspect as inspect_program
    from mlpress.passes.report import human_bytes

    found = inspect_program(MLModel(model).program)
    if json:
        print_json(found.to_dict())
        return
    for function in found.functions:
        operators = ", ".join(f"{name} {uses}" for name, uses in function.operators.items())
        emit(f"{function.name} ({function.opset}): {operators}")
    print_table(
        _COLUMNS,
        [
            (
                row.name if len(found.functions) == 1 else f"{row.function}/{row.name}",
                ", ".join(dict.fromkeys(kind for kind, _ in row.operations)),
                shape(row.shape),
                row.encoding,
                count(row.nbytes),
                f"{row.bits_per_weight:.2f}",
            )
            for row in found.rows
        ],
    )
    emit(
        f"{count(found.totals.size)} weights in {human_bytes(found.totals.nbytes)}, "
        f"{found.totals.bits_per_weight:.2f} bits a weight"
    )
