from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlpress.errors import InvalidProgramError
from mlpress.ops.quantization import dequantize, quantize
from tests.torch.ops.draws import Array, floats, tensor


@settings(max_examples=50)
@given(
    x=floats(low=-300, high=300),
    exponent=st.integers(-6, 3),
    zero_point=st.integers(-128, 127),
    signed=st.booleans(),
)
def test_quantize_is_rounding_to_levels(x: Array, exponent: int, zero_point: int, signed: bool) -> None:
    kind = np.int8 if signed else np.uint8
    zero = kind(zero_point if signed else zero_point + 128)
    scale = 2.0**exponent
    levels = quantize(tensor(x), torch.tensor(scale), np.dtype(kind).name, tensor(zero))
    limits = np.iinfo(kind)
    expected = [min(max(round(float(v) / scale) + int(zero), limits.min), limits.max) for v in x.flat]
    assert levels.flatten().tolist() == expected
    assert levels.shape == x.shape


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8])
@pytest.mark.parametrize("zero_point", [None, 5])
def test_all_levels_survive_a_round_trip(kind: torch.dtype, zero_point: int | None) -> None:
    limits = torch.iinfo(kind)
    levels = torch.arange(limits.min, limits.max + 1).to(kind)
    scale, zero = torch.tensor(0.037), None if zero_point is None else torch.tensor(zero_point, dtype=kind)
    name = "int8" if kind == torch.int8 else "uint8"
    assert torch.equal(quantize(dequantize(levels, scale, zero), scale, name, zero), levels)


@settings(max_examples=50)
@given(
    shape=arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
    kind=st.sampled_from([np.int8, np.uint8]),
    data=st.data(),
)
def test_each_slice_has_its_own_scale_and_zero_point(
    shape: tuple[int, ...], kind: Any, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    exponents = data.draw(arrays.arrays(np.int32, shape[axis], elements=st.integers(-6, 3)))
    levels = data.draw(arrays.arrays(kind, shape))
    scale, zero = np.exp2(exponents).astype(np.float32), data.draw(arrays.arrays(kind, shape[axis]))
    along = [-1 if place == axis % len(shape) else 1 for place in range(len(shape))]
    values = dequantize(tensor(levels), tensor(scale), tensor(zero), axis)
    expected = (levels.astype(np.float32) - zero.reshape(along)) * scale.reshape(along)
    np.testing.assert_array_equal(values.numpy(), expected, strict=True)
    name = np.dtype(kind).name
    assert torch.equal(quantize(values, tensor(scale), name, tensor(zero), axis), tensor(levels))


def test_ties_go_to_even_levels() -> None:
    halves = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    assert quantize(halves, torch.tensor(1.0), "int8").tolist() == [-2, 0, 0, 2, 2]


def test_dequantize_has_the_type_of_the_scale() -> None:
    half = dequantize(torch.tensor([255], dtype=torch.uint8), torch.tensor(2.0, dtype=torch.float16))
    assert half.dtype == torch.float16 and half.item() == 510


def test_other_targets_are_refused() -> None:
    with pytest.raises(InvalidProgramError, match="output_dtype is 'int4'; allowed: 'int8', 'uint8'"):
        quantize(torch.zeros(1), torch.tensor(1.0), "int4")
