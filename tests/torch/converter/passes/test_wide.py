"""Tensors of more than five axes: written with fewer, or refused with the place in the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import mlpress
from mlpress.converter.lowering.program import lower
from mlpress.converter.passes.pipeline import simplify
from mlpress.converter.passes.wide_site import is_wide
from mlpress.errors import UnsupportedModelError
from mlpress.mil import Opset
from tests.torch.converter.running import Calls, assert_close, captured, results_of

Step = Callable[[Tensor], Tensor]
Draw = Callable[[st.SearchStrategy[Any]], Any]


def axis(draw: Draw, shape: tuple[int, ...]) -> int:
    return int(draw(st.integers(0, len(shape) - 1)))


def some_axes(draw: Draw, shape: tuple[int, ...]) -> list[int]:
    return list(draw(st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True)))


def ones_among(draw: Draw, shape: tuple[int, ...]) -> Tensor:
    """A tensor that broadcasts to a shape."""
    sizes = [draw(st.sampled_from((1, size))) for size in shape]
    return torch.rand(sizes[draw(st.integers(0, 2)) :]) + 0.5


def permuted(draw: Draw, shape: tuple[int, ...]) -> Step:
    order = draw(st.permutations(range(len(shape))))
    return lambda x: x.permute(order)


def activated(draw: Draw, shape: tuple[int, ...]) -> Step:
    return draw(st.sampled_from([torch.tanh, lambda x: x.relu() + 1, lambda x: x.abs().sqrt()]))


def broadcast(draw: Draw, shape: tuple[int, ...]) -> Step:
    other = ones_among(draw, shape)
    return draw(st.sampled_from([lambda x: x * other, lambda x: other - x]))


def chosen(draw: Draw, shape: tuple[int, ...]) -> Step:
    other = ones_among(draw, shape)
    return lambda x: torch.where(x > other, x, other)


def reduced(draw: Draw, shape: tuple[int, ...]) -> Step:
    axes, keep = some_axes(draw, shape), draw(st.booleans())
    kind = draw(st.sampled_from([torch.sum, torch.mean, torch.amax, torch.logsumexp]))
    return lambda x: kind(x, axes, keepdim=keep)


def sliced(draw: Draw, shape: tuple[int, ...]) -> Step:
    index: list[Any] = []
    for size in shape:
        start = draw(st.integers(0, size - 1))
        index.append(draw(st.sampled_from([slice(None), slice(None), slice(start, None), start])))
    return lambda x: x[tuple(index)]


def joined(draw: Draw, shape: tuple[int, ...]) -> Step:
    along = axis(draw, shape)
    kind = draw(st.sampled_from([torch.cat, torch.stack]))
    return lambda x: kind([x, x + 1], along)


def parted(draw: Draw, shape: tuple[int, ...]) -> Step:
    along = axis(draw, shape)
    return lambda x: sum(torch.split(torch.cat([x, x * 2], along), shape[along], along), torch.zeros(()))


def expanded(draw: Draw, shape: tuple[int, ...]) -> Step:
    sizes = [3 if size == 1 and draw(st.booleans()) else -1 for size in shape]
    return lambda x: x.expand(sizes)


def along_an_axis(draw: Draw, shape: tuple[int, ...]) -> Step:
    along = axis(draw, shape)
    kinds: list[Step] = [
        lambda x: x.softmax(along),
        lambda x: x.cumsum(along),
        lambda x: x.flip(along),
        lambda x: x.roll(1, along),
        lambda x: x.argmax(along).float(),
        lambda x: x.index_select(along, torch.tensor([0, shape[along] - 1, 0])),
        lambda x: x.gather(along, x.argsort(along)),
        lambda x: x.topk(1, along)[0],
    ]
    return draw(st.sampled_from(kinds))


def multiplied(draw: Draw, shape: tuple[int, ...]) -> Step:
    batch = ones_among(draw, shape[:-2])
    other = batch[..., None, None] * torch.rand(shape[-1], 2)
    return lambda x: x @ other


def of_the_last(draw: Draw, shape: tuple[int, ...]) -> Step:
    last = shape[-draw(st.integers(1, 2)) :]
    gamma = torch.rand(last)
    kinds: list[Step] = [
        lambda x: F.linear(x, torch.ones(3, shape[-1]), torch.ones(3)),
        lambda x: F.pad(x, (1, 0, 0, 2), value=0.5),
        lambda x: F.layer_norm(x, last, gamma, None, 0.1),
    ]
    return draw(st.sampled_from(kinds))


STEPS = (
    permuted,
    activated,
    broadcast,
    chosen,
    reduced,
    sliced,
    joined,
    parted,
    expanded,
    along_an_axis,
    multiplied,
    of_the_last,
)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_operations_on_many_axes_are_done_with_five(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from((1, 2, 3)), min_size=6, max_size=8)))
    steps: list[Step] = []
    value = torch.rand(shape)
    for _ in range(data.draw(st.integers(1, 3))):
        if value.dim() < 3 or value.numel() > 2000:
            break
        steps.append(data.draw(st.sampled_from(STEPS))(data.draw, tuple(value.shape)))
        value = steps[-1](value)

    def function(x: Tensor) -> Tensor:
        x = x.reshape(shape)
        for step in steps:
            x = step(x)
        return x.reshape(-1)

    x = torch.rand(math.prod(shape))
    program = lower(captured(function, [x]), Opset.CoreML8)
    main = program.functions["main"]
    simplify(main)
    made = [value for node in main.block.operations for value in node.outputs]
    assert not any(map(is_wide, made))
    (found,) = results_of(program, [x])
    assert_close(found, function(x).numpy())


@pytest.mark.parametrize("step", [lambda x: x, lambda x: x.softmax(-1) * 2, lambda x: x.sum((2, 4))])
def test_the_batch_may_be_open(step: Step) -> None:
    def windows(x: Tensor) -> Tensor:
        return step(x.reshape(x.shape[0], 3, 2, 3, 2, 4).permute(0, 1, 3, 2, 4, 5)).reshape(-1, 4)

    model = mlpress.convert(
        Calls(windows).eval(),
        inputs=[mlpress.TensorType("x", (mlpress.RangeDim(1, 8), 6, 6, 4))],
        compute_precision=mlpress.precision.FLOAT32,
    )
    x = torch.rand(5, 6, 6, 4)
    (found,) = model.predict({"x": x.numpy()}).values()
    np.testing.assert_allclose(found, windows(x), rtol=1e-5)


WIDE = (2, 3, 2, 2, 3, 4)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda x: x.reshape(WIDE) * 2, (288,), r"output 'mul' of rank 6, shape \(2, 3, 2, 2, 3, 4\)"),
        (lambda x: x.sum((0, 1)), WIDE, r"input 'x' of rank 6, shape \(2, 3, 2, 2, 3, 4\)"),
        (
            lambda x: x.reshape(WIDE).tril().sum(0),
            (288,),
            r"band_part makes rank 6, shape \(2, 3, 2, 2, 3, 4\), in the model, .*running.py:\d+: ",
        ),
    ],
)
def test_what_has_too_many_axes_is_refused_with_its_place(
    function: Step, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        mlpress.convert(Calls(function).eval(), inputs=[mlpress.TensorType("x", shape)])
