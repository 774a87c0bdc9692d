"""Branches and loops that a run decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.errors import LoweringError
from mlpress.converter.lowering.registry import lowers
from mlpress.converter.lowering.values import program_type


@lowers("higher_order.cond")
def cond(
    context: Context,
    predicate: Any,
    if_true: fx.GraphModule,
    if_false: fx.GraphModule,
    operands: Sequence[Any],
) -> Any:
    """One of two graphs, which see values around them as they are."""
    blocks = [context.lower_graph(context, module, operands, ()) for module in (if_true, if_false)]
    fakes = _fakes(context)
    types = [program_type(fake) for fake in fakes]
    name = "cond" if context.node is None else context.node.name
    return context.builder.structural_op(
        "cond", name, types, blocks=blocks, fakes=fakes, pred=context.number(predicate)
    )


@lowers("higher_order.while_loop")
def while_loop(
    context: Context,
    condition: fx.GraphModule,
    body: fx.GraphModule,
    carried: Sequence[Any],
    outer: Sequence[Any],
) -> Any:
    """A graph that is run as long as another one holds."""
    fakes = _fakes(context)
    types = [program_type(fake) for fake in fakes]
    name = "while_loop" if context.node is None else context.node.name
    start = tuple(context.number(value) for value in carried)
    blocks = []
    for module in (condition, body):
        inputs = [context.builder.input(f"{name}_value", kind) for kind in types]
        for value, fake in zip(inputs, fakes, strict=True):
            context.builder.inference.hold(value, fake)
        blocks.append(context.lower_graph(context, module, [*inputs, *outer], inputs))
    return context.builder.structural_op(
        "while_loop", name, types, blocks=blocks, fakes=fakes, loop_vars=start
    )


def _fakes(context: Context) -> tuple[torch.Tensor, ...]:
    expected = context.expected
    fakes = expected if isinstance(expected, tuple | list) else (expected,)
    if not all(isinstance(fake, torch.Tensor) for fake in fakes):
        raise LoweringError("a branch or a loop gives something else than tensors")
    return tuple(fakes)
