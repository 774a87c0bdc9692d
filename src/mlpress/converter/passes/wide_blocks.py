"""Control flow through whose blocks tensors of more than five axes go, while they are made flat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlpress.converter.passes.editor import Editor, operands_of, shape_of, swap, typed_like
from mlpress.converter.passes.rank import product
from mlpress.converter.passes.wide_site import CannotNarrowError, Site, is_wide, sizes_of
from mlpress.mil import Block, Operation, Value


def narrow_control_flow(site: Site) -> None:
    """Lets a wide tensor go into blocks and come out of them with one axis; inside it is wide at first."""
    editor, operation = site.editor, site.operation
    seen = list(dict.fromkeys(_seen(editor, operation)))
    carried: Any = operation.inputs.get("loop_vars", ())
    wide = [value for value in (*seen, *carried, *operation.outputs) if is_wide(value)]
    if not wide:
        return
    for value in wide:
        sizes_of(shape_of(value))
        if editor.is_output(value) and value in operation.outputs:
            raise CannotNarrowError
    editor.remove(operation)  # while its blocks change
    for value in seen:
        flat = site.fold(value, _flat(value))
        for block in operation.blocks:
            _widen(editor, block, value, flat)
    if carried:
        for block in operation.blocks:
            block.inputs = [_narrow_input(editor, block, value) for value in block.inputs]
    for block in operation.blocks:
        block.outputs = [_narrow_output(editor, block, value) for value in block.outputs]
    loop_vars = tuple(site.fold(value, _flat(value)) if is_wide(value) else value for value in carried)
    site.rebuilt(operation.inputs | ({"loop_vars": loop_vars} if carried else {}), _flat)


def _seen(editor: Editor, operation: Operation) -> Iterator[Value]:
    """Yields the wide values around an operation that its blocks use."""
    inside = {value for block in operation.blocks for value in _made(block)}
    for block in operation.blocks:
        for node in block.operations:
            if isinstance(node, Operation):
                yield from (
                    value
                    for value in operands_of(node)
                    if is_wide(value) and value not in inside and editor.constant(value) is None
                )
        yield from (value for value in block.outputs if is_wide(value) and value not in inside)


def _made(block: Block) -> Iterator[Value]:
    yield from block.inputs
    for node in block.operations:
        yield from node.outputs
        if isinstance(node, Operation):
            for nested in node.blocks:
                yield from _made(nested)


def _flat(value: Value) -> list[int | None]:
    return [product(shape_of(value))]


def _widen(editor: Editor, block: Block, value: Value, flat: Value) -> None:
    """Lets a block use what it makes of `flat` in place of `value`."""
    reshape = editor.nested("reshape", value.type, flat.name, x=flat, shape=sizes_of(shape_of(value)))
    swap(block, value, reshape.outputs[0])
    block.operations.insert(0, reshape)


def _narrow_input(editor: Editor, block: Block, value: Value) -> Value:
    if not is_wide(value):
        return value
    flat = Value(editor.unique(f"{value.name}_flat"), typed_like(value, _flat(value)))
    _widen(editor, block, value, flat)
    return flat


def _narrow_output(editor: Editor, block: Block, value: Value) -> Value:
    if not is_wide(value):
        return value
    kind, sizes = typed_like(value, _flat(value)), sizes_of(_flat(value))
    reshape = editor.nested("reshape", kind, f"{value.name}_flat", x=value, shape=sizes)
    block.operations.append(reshape)
    return reshape.outputs[0]
