"""Graphs with every place where activations are quantized, for coremltools' builder."""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

_random = np.random.default_rng(0)


def _weight(*shape: int) -> Any:
    return _random.standard_normal(shape).astype(np.float16)


def _conv(x: Any, name: str, channels: int = 4) -> Any:
    return mb.conv(x=x, weight=_weight(channels, x.shape[1], 1, 1), name=name)


def _end(x: Any) -> Any:
    return mb.softmax(x=x, axis=1, name="end")


def one_conv(x: Any) -> Any:
    return _conv(x, "c")


def conv_relu_output(x: Any) -> Any:
    """The only user of the activation function is the output: integers come before it."""
    return mb.relu(x=_conv(x, "c"), name="r")


def chain(x: Any) -> Any:
    x = mb.relu(x=_conv(x, "c1"), name="r1")
    x = mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="p1")
    x = mb.sigmoid(x=_conv(x, "c2"), name="s2")
    x = mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", name="p2")
    return _end(_conv(x, "c3"))


def not_fused(x: Any) -> Any:
    """``gelu`` does not belong to the operator before, and gets no integers of its own."""
    return _end(_conv(mb.gelu(x=_conv(x, "c1"), name="g"), "c2"))


def flattened(x: Any) -> Any:
    """Integers are reshaped as they are."""
    x = mb.relu(x=_conv(x, "c1"), name="r1")
    x = mb.reshape(x=x, shape=[1, -1], name="flat")
    return _end(mb.linear(x=x, weight=_weight(5, 256), name="l"))


def residual(x: Any) -> Any:
    x = mb.relu(x=_conv(x, "c1"), name="r1")
    y = _conv(mb.relu(x=_conv(x, "c2"), name="r2"), "c3")
    x = mb.relu(x=mb.add(x=x, y=y, name="sum"), name="r3")
    return _end(_conv(x, "c4"))


def bias(x: Any) -> Any:
    """An ``add`` of a constant is left alone."""
    return _end(mb.add(x=_conv(x, "c1"), y=np.float16(2.5), name="a"))


def several_users(x: Any) -> Any:
    c = _conv(x, "c1")
    return _end(mb.add(x=mb.relu(x=c, name="r"), y=mb.sigmoid(x=c, name="s"), name="a")), mb.sin(
        x=c, name="n"
    )


def sums(x: Any) -> Any:
    a, b = _conv(x, "c1"), _conv(x, "c2")
    total = mb.add(x=a, y=b, name="t")
    return _end(mb.add(x=total, y=mb.add(x=b, y=b, name="u"), name="v")), mb.cos(x=a, name="n")


def concatenated(x: Any) -> Any:
    parts = [mb.relu(x=_conv(x, f"c{i}"), name=f"r{i}") for i in range(3)]
    joined = mb.concat(values=parts[:2], axis=1, name="j")
    again = mb.concat(values=[joined, parts[2]], axis=1, name="k")
    return _end(_conv(again, "c9"))


def volume(x: Any) -> Any:
    """A convolution over three axes."""
    x = mb.expand_dims(x=x, axes=[0], name="deeper")
    x = mb.conv(x=x, weight=_weight(3, 1, 2, 2, 2), name="c3d")
    return _end(mb.relu(x=x, name="r"))


def two_float32_convolutions(x: Any) -> Any:
    weight = np.ones((4, 4, 1, 1), np.float32)
    return mb.conv(x=mb.relu(x=mb.conv(x=x, weight=weight, name="c1"), name="r"), weight=weight, name="c2")


def two_after_a_sum(x: Any) -> Any:
    """What is added goes into an activation function and into an operator on integers."""
    total = mb.add(x=x, y=_conv(x, "c1"), name="t")
    return _end(mb.mul(x=mb.relu(x=total, name="r"), y=_conv(total, "c2"), name="m"))


GRAPHS = (
    one_conv, conv_relu_output, chain, not_fused, flattened, residual, bias, several_users, sums,
    two_after_a_sum, concatenated, volume,
)  # fmt: skip


_KINDS = (
    "conv", "conv", "linear", "matmul", "add", "mul", "max_pool", "avg_pool",
    "relu", "sigmoid", "tanh", "gelu", "concat", "transpose",
)  # fmt: skip


def drawn(seed: int) -> Any:
    """Returns a graph of random operators on random values made so far."""

    def build(x: Any) -> Any:
        random = np.random.default_rng(seed)
        values = [x]
        for index in range(8):
            a, b = (values[random.integers(max(0, len(values) - 3), len(values))] for _ in range(2))
            name = f"v{index}"
            kind = str(random.choice(_KINDS))
            if kind == "conv":
                values.append(_conv(a, name))
            elif kind in ("max_pool", "avg_pool"):
                values.append(getattr(mb, kind)(x=a, kernel_sizes=[3, 3], pad_type="same", name=name))
            elif kind in ("add", "mul", "matmul"):
                values.append(getattr(mb, kind)(x=a, y=b, name=name))
            elif kind == "concat":
                halves = [mb.slice_by_size(x=each, begin=[0, 0, 0, 0], size=[1, 2, 8, 8]) for each in (a, b)]
                values.append(mb.concat(values=halves, axis=1, name=name))
            elif kind == "linear":
                values.append(mb.linear(x=a, weight=_weight(8, 8), name=name))
            elif kind == "transpose":
                values.append(mb.transpose(x=a, perm=[0, 1, 3, 2], name=name))
            elif kind == "gelu":
                values.append(mb.gelu(x=a, mode="EXACT", name=name))
            else:
                values.append(getattr(mb, kind)(x=a, name=name))
        return _end(values[-1])

    return build
