"""A layer of gated recurrent units as a loop over its steps, for opsets whose op computes something else."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress import bits
from mlpress.converter.lowering.context import Context
from mlpress.converter.lowering.sizes import known
from mlpress.mil import Block, TensorType, Value
from mlpress.ops.builder import Builder


def gru_loop(context: Context, x: Value, h: Value, weights: Any, direction: str) -> tuple[Value, ...]:
    """Returns the states after all steps, in the order in which they were made, and the last one.

    Args:
        context: Where to append.
        x: [steps, b, i].
        h: [b, h].
        weights: Of the layer, gates in the order reset, new, update; see `recurrent.Weights`.
        direction: ``"forward"`` or ``"reverse"``.
    """
    input_weight, state_weight, input_bias, bias = weights
    x = x if direction == "forward" else context.op("reverse", x=x, axes=[0])
    gates = context.op("linear", x=x, weight=input_weight, bias=input_bias)
    steps, width = context.shape(x)[0], state_weight.shape[1]
    weight = context.constant(state_weight, "gru_state_weight")
    offset = None if bias is None else context.constant(bias, "gru_state_bias")
    shape = context.sizes.vector([steps, context.shape(x)[1], width])
    fake = context.builder.inference.fresh(_type(context, x, width))
    made = context.typed("fill", fake, shape=shape, value=np.float32(0))
    count = context.number(steps if known(steps) is None else known(steps))
    start = (context.constant(0), h, made)
    types = [value.type for value in start]
    name = "gru" if context.node is None else context.node.name
    condition, inputs = _block(context, types, name)
    condition_block = condition.block(inputs, [condition.op("less", x=inputs[0], y=count)])
    body, inputs = _block(context, types, name)
    body_block = _step(body, inputs, gates, weight, offset)
    _, last, states = context.builder.structural_op(
        "while_loop",
        name,
        types,
        blocks=[condition_block, body_block],
        fakes=[context.fake(value) for value in start],
        loop_vars=start,
    )
    return states, last


def _type(context: Context, x: Value, width: int) -> TensorType:
    shape = tuple(known(size) for size in context.shape(x)[:2])
    return TensorType(bits.FLOAT32, (*shape, width))


def _block(context: Context, types: Any, name: str) -> tuple[Builder, list[Value]]:
    builder = context.builder.nested()
    return builder, [builder.input(f"{name}_value", kind) for kind in types]


def _step(builder: Builder, inputs: list[Value], gates: Value, weight: Value, bias: Value | None) -> Block:
    step, h, made = inputs
    index = builder.op("expand_dims", "step", x=step, axes=[0])
    now = builder.op(
        "squeeze", "gates", x=builder.op("gather", "gates", x=gates, indices=index, axis=0), axes=[0]
    )
    from_r, from_o, from_z = builder.op("split", "from_input", x=now, num_splits=3, axis=1)
    product = builder.op("linear", "from_state", x=h, weight=weight, bias=bias)
    of_r, of_o, of_z = builder.op("split", "from_state", x=product, num_splits=3, axis=1)
    r = builder.op("sigmoid", "reset", x=builder.op("add", "reset", x=from_r, y=of_r))
    z = builder.op("sigmoid", "update", x=builder.op("add", "update", x=from_z, y=of_z))
    o = builder.op("add", "new", x=from_o, y=builder.op("mul", "new", x=r, y=of_o))
    o = builder.op("tanh", "new", x=o)
    kept = builder.op("mul", "kept", x=z, y=builder.op("sub", "kept", x=h, y=o))
    state = builder.op("add", "state", x=o, y=kept)  # (1 - z) o + z h
    row = builder.op("expand_dims", "state", x=state, axes=[0])
    states = builder.op("scatter", "states", data=made, indices=index, updates=row, axis=0, mode="update")
    following = builder.op("add", "step", x=step, y=1)
    return builder.block(inputs, [following, state, states])
