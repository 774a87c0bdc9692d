from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.errors import InvalidProgramError, UnsupportedModelError
from mlpress.ops.conv import conv, conv_quantized
from mlpress.ops.conv_transpose import conv_transpose
from tests.torch.ops.draws import Array, assert_close, seeded, seeds, tensor


def correlate(x: Array, weight: Array, strides: Any, pads: Any, dilations: Any, groups: int) -> Array:
    """Returns the cross-correlation, one product of window and kernel at a time."""
    axes = range(x.ndim - 2)
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    extents = [(weight.shape[2 + a] - 1) * dilations[a] + 1 for a in axes]
    sizes = [(x.shape[2 + a] - extents[a]) // strides[a] + 1 for a in axes]
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    y = np.zeros((x.shape[0], weight.shape[0], *sizes))
    for channel, place in itertools.product(range(weight.shape[0]), np.ndindex(*sizes)):
        first = channel // outputs * inputs
        window = tuple(
            slice(at * stride, at * stride + extent, step)
            for at, stride, extent, step in zip(place, strides, extents, dilations, strict=True)
        )
        seen = x[(slice(None), slice(first, first + inputs), *window)]
        y[(slice(None), channel, *place)] = (seen * weight[channel]).sum(tuple(range(1, x.ndim)))
    return y


def spread(x: Array, weight: Array, strides: Any, dilations: Any, groups: int) -> Array:
    """Returns the uncut transposed convolution: each element of `x` adds its multiple of the kernel."""
    axes = range(x.ndim - 2)
    sizes = [(x.shape[2 + a] - 1) * strides[a] + (weight.shape[2 + a] - 1) * dilations[a] + 1 for a in axes]
    inputs, outputs = weight.shape[0] // groups, weight.shape[1]
    y = np.zeros((x.shape[0], outputs * groups, *sizes))
    for channel, place in itertools.product(range(weight.shape[0]), np.ndindex(*x.shape[2:])):
        first = channel // inputs * outputs
        window = tuple(
            slice(at * stride, at * stride + (size - 1) * step + 1, step)
            for at, stride, size, step in zip(place, strides, weight.shape[2:], dilations, strict=True)
        )
        values = x[(slice(None), channel, *place)]
        kernel = weight[channel].astype(np.float64)
        y[(slice(None), slice(first, first + outputs), *window)] += np.multiply.outer(values, kernel)
    return y


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, dilations = each(1, 3), each(1, 2)
    smallest = max((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    return {
        "kernel": kernel,
        "dilations": dilations,
        "strides": each(1, 3),
        "sizes": each(smallest, smallest + 3),
        "groups": draw(st.integers(1, 2)),
        "pad": [draw(st.integers(0, 2)) for _ in range(2 * rank)],
    }


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), seed=seeds)
def test_conv_is_cross_correlation(geometry: dict[str, Any], seed: int) -> None:
    groups, pad = geometry["groups"], geometry["pad"]
    steps = {"strides": geometry["strides"], "dilations": geometry["dilations"], "groups": groups}
    x = seeded(seed, 2, 2 * groups, *geometry["sizes"])
    weight, bias = seeded(seed + 1, 3 * groups, 2, *geometry["kernel"]), seeded(seed + 2, 3 * groups)
    pads = list(zip(pad[::2], pad[1::2], strict=True))
    expected = correlate(x, weight, pads=pads, **steps) + bias.reshape(-1, *[1] * len(pads))
    assert_close(
        conv(tensor(x), tensor(weight), tensor(bias), pad_type="custom", pad=pad, **steps), expected, 1e-4
    )


@pytest.mark.parametrize("pad_type", ["same", "same_lower"])
@settings(max_examples=25, deadline=None)
@given(geometry=geometries(), seed=seeds)
def test_conv_with_same_padding(pad_type: str, geometry: dict[str, Any], seed: int) -> None:
    strides, dilations = geometry["strides"], geometry["dilations"]
    x, weight = seeded(seed, 1, 2, *geometry["sizes"]), seeded(seed + 1, 2, 2, *geometry["kernel"])
    y = conv(tensor(x), tensor(weight), strides=strides, dilations=dilations, pad_type=pad_type)
    pads = []
    for size, kernel, stride, step, out in zip(
        geometry["sizes"], geometry["kernel"], strides, dilations, y.shape[2:], strict=True
    ):
        assert out == -(-size // stride)
        missing = max(0, (out - 1) * stride + (kernel - 1) * step + 1 - size)
        less, more = missing // 2, missing - missing // 2
        pads.append((less, more) if pad_type == "same" else (more, less))
    assert_close(y, correlate(x, weight, strides, pads, dilations, 1), 1e-4)


def test_padding_that_is_not_asked_for_is_not_made() -> None:
    x, weight = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    assert conv(x, weight, pad_type="valid", pad=[1, 1, 1, 1]).tolist() == [[[[9.0]]]]


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), seed=seeds)
def test_conv_transpose_spreads_kernels(geometry: dict[str, Any], seed: int) -> None:
    groups = geometry["groups"]
    steps = {"strides": geometry["strides"], "dilations": geometry["dilations"], "groups": groups}
    x = seeded(seed, 2, 2 * groups, *geometry["sizes"])
    weight, bias = seeded(seed + 1, 2 * groups, 3, *geometry["kernel"]), seeded(seed + 2, 3 * groups)
    full = spread(x, weight, **steps) + bias.reshape(-1, *[1] * len(geometry["sizes"]))
    operands = (tensor(x), tensor(weight), tensor(bias))
    assert_close(conv_transpose(*operands, **steps), full, 1e-4)
    pad = [
        min(cut, (size - 1) // 2)
        for cut, size in zip(geometry["pad"], np.repeat(full.shape[2:], 2), strict=True)
    ]
    kept = tuple(slice(pad[2 * a], full.shape[2 + a] - pad[2 * a + 1]) for a in range(full.ndim - 2))
    cut = conv_transpose(*operands, pad_type="custom", pad=pad, **steps)
    assert_close(cut, full[(..., *kept)], 1e-4)


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), seed=seeds, data=st.data())
def test_conv_transpose_to_the_shape_that_is_asked_for(
    geometry: dict[str, Any], seed: int, data: st.DataObject
) -> None:
    steps = {"strides": geometry["strides"], "dilations": geometry["dilations"], "groups": 1}
    x, weight = seeded(seed, 1, 2, *geometry["sizes"]), seeded(seed + 1, 2, 3, *geometry["kernel"])
    full = spread(x, weight, **steps)
    cuts = [data.draw(st.integers(0, size // 2)) for size in full.shape[2:]]
    sizes = [data.draw(st.integers(1, size + 3)) for size in full.shape[2:]]
    bias = seeded(seed + 2, 3)
    y = conv_transpose(
        tensor(x),
        tensor(weight),
        tensor(bias),
        pad=[cut for cut in cuts for _ in range(2)],
        output_shape=[1, 3, *sizes],
        pad_type="custom",
        **steps,
    )
    endless = np.pad(
        full, [(0, 0), (0, 0), *[(0, cut + size) for cut, size in zip(cuts, sizes, strict=True)]]
    )
    kept = tuple(slice(cut, cut + size) for cut, size in zip(cuts, sizes, strict=True))
    assert_close(y, endless[(..., *kept)] + bias.reshape(-1, *[1] * len(sizes)), 1e-4)


@pytest.mark.parametrize("kernel, stride", [(1, 3), (2, 2), (3, 2), (4, 2), (5, 3)])
def test_conv_transpose_with_same_padding_has_a_stride_for_each_element(kernel: int, stride: int) -> None:
    x, weight = seeded(1, 1, 1, 4), seeded(2, 1, 1, kernel)
    full = spread(x, weight, [stride], [1], 1)[0, 0]
    before = max(0, kernel - stride) // 2
    expected = np.pad(full, (0, stride))[before : before + 4 * stride]
    y = conv_transpose(tensor(x), tensor(weight), strides=[stride], pad_type="same")
    assert_close(y[0, 0], expected)


@pytest.mark.parametrize("pad_type", ["same", "valid"])
@pytest.mark.parametrize("size", [7, 8])
def test_conv_transpose_to_a_shape_is_the_transpose_of_conv(pad_type: str, size: int) -> None:
    weight, steps = tensor(seeded(1, 4, 3, 3)), {"strides": [2], "pad_type": pad_type}
    x = tensor(seeded(2, 1, 3, size))
    forward = conv(x, weight, **steps)
    y = tensor(seeded(3, *forward.shape))
    back = conv_transpose(y, weight, output_shape=[1, 3, size], **steps)
    assert float((forward * y).sum()) == pytest.approx(float((x * back).sum()), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(geometry=geometries(), seed=seeds)
def test_quantized_weights_are_scaled_for_each_output_channel(geometry: dict[str, Any], seed: int) -> None:
    groups = geometry["groups"]
    steps = {"strides": geometry["strides"], "dilations": geometry["dilations"], "groups": groups}
    x, outputs = seeded(seed, 1, 2 * groups, *geometry["sizes"]), 3 * groups
    levels = np.random.default_rng(seed).integers(0, 256, (outputs, 2, *geometry["kernel"]), np.uint8)
    scale, offset = seeded(seed + 1, outputs) / 64, seeded(seed + 2, outputs)
    each = (-1, *[1] * (x.ndim - 1))
    dense = levels * scale.reshape(each) + offset.reshape(each)
    expected = correlate(x, dense, pads=[(0, 0)] * (x.ndim - 2), **steps)
    given_weight = (tensor(levels), "linear", tensor(scale), tensor(offset))
    assert_close(conv_quantized(tensor(x), *given_weight, **steps), expected, 1e-3)


def test_quantized_weights_without_their_table_are_refused() -> None:
    one = torch.ones(1)
    with pytest.raises(UnsupportedModelError, match="'lut' has no table"):
        conv_quantized(torch.ones(1, 1, 5), torch.ones(1, 1, 3, dtype=torch.uint8), "lut", one, one)


def test_weights_of_another_type_are_brought_to_that_of_x() -> None:
    x = torch.ones(1, 1, 3, dtype=torch.float16)
    weight, bias = torch.ones(1, 1, 3), torch.ones(1)
    for function in (conv, conv_transpose):
        assert function(x, weight, bias).dtype == torch.float16


def test_illegal_padding_is_named() -> None:
    x, weight = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)
    with pytest.raises(
        InvalidProgramError, match="conv: pad_type is 'full'; allowed: 'valid', 'custom', 'same'"
    ):
        conv(x, weight, pad_type="full")
    with pytest.raises(InvalidProgramError, match=r"conv: pad is \[1, 1\]; it needs 4 entries"):
        conv(x, weight, pad_type="custom", pad=[1, 1])
