"""Encodings become constexpr operators and come back, in every opset that can express them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from mlpress.bits import FLOAT16, FLOAT32, INT4, INT8, UINT1, UINT3, UINT4, UINT8, Tensor
from mlpress.encoding import Affine, Dense, Lut, Scatter, Sparse, decode, nbytes
from mlpress.errors import InvalidProgramError, LegalityError
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Operation,
    Opset,
    Program,
    TensorType,
    Value,
    canonical,
    canonical_nbytes,
    lift,
    literal,
    lower,
    why_illegal,
)
from tests.trees import encodings, encodings_of_ios16


def constant_of(encoding):
    return Constant("w", Value("w", TensorType(encoding.dtype, encoding.shape)), encoding)


def lifted(operations):
    """Lifts a chain whose last value a `relu` uses; returns what became of the constants."""
    result = operations[-1].outputs[0]
    user = Operation("relu", "user", {"x": result}, [Value("y", result.type)])
    block = Block([], [*operations, user], [user.outputs[0]])
    program = Program({"main": Function([], Opset.CoreML9, block)})
    lift(program)
    return [node for node in block.operations if isinstance(node, Constant)]


def kinds(encoding, opset):
    return [operation.type.removeprefix("constexpr_") for operation in lower(constant_of(encoding), opset)]


@given(encodings())
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("opset", [Opset.CoreML8, Opset.CoreML9])
def test_every_tree_lowers_and_lifts_back_to_its_canonical_form(opset, encoding):
    assume(not isinstance(encoding, Dense))
    expected = canonical(encoding, opset)
    np.testing.assert_array_equal(decode(expected), decode(encoding))
    assert canonical_nbytes(encoding, opset) == nbytes(expected)
    (constant,) = lifted(lower(constant_of(encoding), opset))
    assert (constant.name, constant.data) == ("w", expected)


@given(encodings_of_ios16())
@settings(max_examples=100, deadline=None)
def test_what_ios16_can_express_survives_its_packed_form(encoding):
    assert why_illegal(encoding, Opset.CoreML6) is None
    (operation,) = lower(constant_of(encoding), Opset.CoreML6)
    (constant,) = lifted([operation])
    np.testing.assert_array_equal(decode(constant.data), decode(encoding))
    assert constant.data.dtype == encoding.dtype


def some(dtype, *shape):
    random = np.random.default_rng(0)
    values = (
        random.normal(size=shape)
        if dtype.is_float
        else random.integers(dtype.low, dtype.high + 1, size=shape)
    )
    return Tensor.from_numpy(values.astype(dtype.storage), dtype)


def dense(dtype, *shape):
    return Dense(some(dtype, *shape))


MASK = Tensor.from_numpy(np.tri(4, 4, dtype=np.uint8), UINT1)
PALETTE = Lut(dense(UINT4, 4, 4), dense(FLOAT16, 1, 1, 16, 1))
INT8_TABLE = Lut(dense(UINT4, 4, 4), Affine(dense(INT8, 1, 1, 16, 1), dense(FLOAT16, 1, 1, 1, 1)))
PER_CHANNEL = Affine(Lut(dense(UINT4, 4, 4), dense(INT8, 1, 1, 16, 1)), dense(FLOAT16, 4, 1))
TRIPLE = Scatter(
    Lut(Sparse(MASK, some(UINT4, 10)), Affine(dense(INT8, 1, 1, 16, 1), dense(FLOAT16, 1, 1, 1, 1)))
)


@pytest.mark.parametrize(
    ("encoding", "ios18", "ios26"),
    [
        (PALETTE, ["lut_to_dense"], ["lut_to_dense"]),
        (
            INT8_TABLE,
            ["blockwise_shift_scale", "lut_to_dense"],
            ["lut_to_dense", "blockwise_shift_scale"],
        ),
        (
            PER_CHANNEL,
            ["blockwise_shift_scale", "lut_to_dense"],
            ["lut_to_dense", "blockwise_shift_scale"],
        ),
        (
            TRIPLE,
            ["blockwise_shift_scale", "lut_to_sparse", "sparse_to_dense"],
            ["blockwise_shift_scale", "lut_to_sparse", "sparse_to_dense"],
        ),
    ],
)
def test_a_table_is_scaled_where_the_opset_expects_it(encoding, ios18, ios26):
    assert kinds(encoding, Opset.CoreML8) == ios18
    assert kinds(encoding, Opset.CoreML9) == ios26


def test_before_ios26_a_scale_per_channel_repeats_the_table():
    repeated = canonical(PER_CHANNEL, Opset.CoreML8)
    assert repeated.table.shape == (4, 1, 16, 1)
    assert repeated.table.scale.shape == (4, 1, 1, 1)
    np.testing.assert_array_equal(decode(repeated), decode(PER_CHANNEL))


@pytest.mark.parametrize("axis", [0, 1])
def test_vectors_keep_their_axis_whichever_side_the_scale_is_on(axis):
    table = Affine(dense(INT8, 1, 1, 16, 2), dense(FLOAT16, 1, 1, 1, 1))
    palette = Lut(dense(UINT4, 4, 4), table, axis)
    for opset in (Opset.CoreML8, Opset.CoreML9):
        moved = canonical(palette, opset)
        np.testing.assert_array_equal(decode(moved), decode(palette))
        lookup = moved.data if isinstance(moved, Affine) else moved
        assert lookup.vector_axis == axis


def test_scales_that_differ_within_a_vector_move_to_the_end():
    palette = Lut(dense(UINT1, 1, 2), dense(INT8, 1, 1, 2, 2), 0)
    encoding = Affine(palette, dense(FLOAT16, 2, 2))
    moved = canonical(encoding, Opset.CoreML8)
    assert isinstance(moved, Lut)
    assert moved.table.scale.shape == (1, 2, 1, 2)
    np.testing.assert_array_equal(decode(moved), decode(encoding))


@pytest.mark.parametrize(
    ("encoding", "opset", "reason"),
    [
        (PALETTE, Opset.CoreML5, "need iOS 16 or later; the model targets iOS 15"),
        (Affine(dense(INT4, 4, 4), dense(FLOAT16, 4, 1)), Opset.CoreML7, "4-bit quantization needs iOS 18"),
        (
            Affine(dense(INT8, 4, 4), dense(FLOAT16, 4, 2)),
            Opset.CoreML6,
            "per-block quantization needs iOS 18",
        ),
        (
            Lut(dense(UINT3, 4, 4), dense(FLOAT16, 1, 1, 8, 1)),
            Opset.CoreML7,
            "3-bit palettization needs iOS 18",
        ),
        (Lut(dense(UINT4, 4, 4), dense(FLOAT16, 4, 1, 16, 1)), Opset.CoreML7, "per-grouped-channel"),
        (Lut(dense(UINT4, 4, 4), dense(FLOAT16, 1, 1, 16, 2), 0), Opset.CoreML7, "vector palettization"),
        (INT8_TABLE, Opset.CoreML7, "joint compression needs iOS 18 or later; the model targets iOS 17"),
        (TRIPLE, Opset.CoreML7, "joint compression"),
        (Sparse(MASK, some(FLOAT16, 10)), Opset.CoreML9, "scattered"),
        (
            Affine(dense(INT8, 4), dense(FLOAT16, 1), dense(UINT8, 1)),
            Opset.CoreML8,
            "integer offset has the dtype of the data",
        ),
    ],
)
def test_what_an_opset_cannot_express_is_refused_with_the_reason(encoding, opset, reason):
    with pytest.raises(LegalityError, match=reason):
        lower(constant_of(encoding), opset)


@pytest.mark.parametrize("opset", [Opset.CoreML6, Opset.CoreML9])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_widened_constant_is_a_cast(opset, shape):
    one = Tensor.from_numpy(np.ones([1] * len(shape), np.float32))
    encoding = Affine(dense(FLOAT16, *shape), Dense(one))
    (operation,) = lower(constant_of(encoding), opset)
    assert operation.type == "constexpr_cast"
    (constant,) = lifted([operation])
    assert constant.data == encoding
    assert decode(constant.data).dtype == np.float32


@pytest.mark.parametrize("scale_shape", [(), (4,)])
@pytest.mark.parametrize("zero_point_shape", [(), (4,)])
@pytest.mark.parametrize("zero_point_dtype", [INT8, FLOAT32])
def test_ios16_scales_and_zero_points_may_differ_in_rank(scale_shape, zero_point_shape, zero_point_dtype):
    data, scale = some(INT8, 4, 3), some(FLOAT16, *scale_shape)
    zero_point = some(zero_point_dtype, *zero_point_shape)
    inputs = {
        "quantized_data": literal(data),
        "scale": literal(scale),
        "zero_point": literal(zero_point),
        "axis": literal(Tensor.from_numpy(np.array(0, np.int32))),
    }
    value = Value("w", TensorType(FLOAT16, (4, 3)))
    (constant,) = lifted([Operation("constexpr_affine_dequantize", "w", inputs, [value])])
    column = {(): (1, 1), (4,): (4, 1)}
    wide = data.numpy().astype(np.float32) - zero_point.numpy().astype(np.float32).reshape(
        column[zero_point_shape]
    )
    expected = (wide * scale.numpy().reshape(column[scale_shape])).astype(np.float16)
    np.testing.assert_array_equal(decode(constant.data), expected)


def test_constants_that_only_feed_constexpr_operators_go_with_them():
    data = Constant("data", Value("data", TensorType(INT8, (4, 3))), dense(INT8, 4, 3))
    scale = Constant("scale", Value("scale", TensorType(FLOAT16, (4, 1))), dense(FLOAT16, 4, 1))
    value = Value("w", TensorType(FLOAT16, (4, 3)))
    chain = Operation(
        "constexpr_blockwise_shift_scale", "w", {"data": data.output, "scale": scale.output}, [value]
    )
    (constant,) = lifted([data, scale, chain])
    assert constant.data == Affine(data.data, scale.data)


def test_a_foreign_mask_is_an_error():
    operations = lower(constant_of(TRIPLE), Opset.CoreML8)
    operations[-1].inputs["mask"] = literal(Tensor.from_numpy(np.ones((4, 4), np.uint8), UINT1))
    with pytest.raises(InvalidProgramError, match="mask is not the mask of nonzero_data"):
        lifted(operations)


def test_missing_and_misfit_parameters_are_named():
    (operation,) = lower(constant_of(PALETTE), Opset.CoreML8)
    without = Operation(operation.type, "w", {"lut": operation.inputs["lut"]}, operation.outputs)
    with pytest.raises(InvalidProgramError, match=r"'w'.*'indices' is missing"):
        lifted([without])
    misfit = Operation(
        operation.type, "w", operation.inputs | {"lut": literal(some(FLOAT16, 1, 1, 4, 1))}, operation.outputs
    )
    with pytest.raises(InvalidProgramError, match="uint4 indices need 16 table entries, not 4"):
        lifted([misfit])
