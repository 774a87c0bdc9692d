"""Compression that a model carries goes into the package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import mlpress
from mlpress import bits
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.errors import LegalityError
from mlpress.mil import Constant, Literal
from mlpress.nn import metadata
from tests.torch.converter.running import operations

RNG = np.random.default_rng(0)


def dense(values: object, dtype: bits.DType = bits.FLOAT32) -> Dense:
    return Dense(bits.Tensor.from_numpy(np.asarray(values, dtype.storage), dtype))


def scale(*shape: int) -> Dense:
    return dense(RNG.uniform(0.01, 0.02, shape))


def mask() -> np.ndarray:
    return RNG.random((16, 32)) < 0.5


def codes(dtype: bits.DType, count: tuple[int, ...] = (16, 32)) -> np.ndarray:
    return RNG.integers(dtype.low, dtype.high + 1, count)


def sparse(values: np.ndarray, dtype: bits.DType = bits.FLOAT32) -> Sparse:
    kept = mask()
    return Sparse(
        bits.Tensor.from_numpy(kept.astype(np.uint8), bits.UINT1),
        bits.Tensor.from_numpy(values[kept].astype(dtype.storage), dtype),
    )


TABLE = np.sort(RNG.normal(size=(1, 1, 16, 1)), 2)
INT_TABLE = np.arange(-8, 8).reshape(1, 1, 16, 1)

ENCODINGS: dict[str, Encoding] = {
    "quantized": Affine(dense(codes(bits.INT8), bits.INT8), scale(16, 1)),
    "quantized by block": Affine(dense(codes(bits.INT4), bits.INT4), scale(16, 4)),
    "palettized": Lut(dense(codes(bits.UINT4), bits.UINT4), dense(TABLE)),
    "palettized, integer table": Lut(
        dense(codes(bits.UINT4), bits.UINT4), Affine(dense(INT_TABLE, bits.INT8), scale(1, 1, 1, 1))
    ),
    "pruned": Scatter(sparse(RNG.normal(size=(16, 32)) + 3)),
    "pruned, quantized": Scatter(Affine(sparse(np.abs(codes(bits.INT8)) % 100 + 1, bits.INT8), scale(16, 1))),
    "pruned, palettized": Scatter(Lut(sparse(codes(bits.UINT4), bits.UINT4), dense(TABLE + 9))),
}


def carrying(encoding: Encoding) -> nn.Module:
    model = nn.Sequential(nn.Linear(32, 16), nn.ReLU())
    metadata.store(model[0], "weight", encoding)
    return model.eval()


def weight_of(made: mlpress.MLModel) -> Constant:
    constants = made.program.functions["main"].block.constants()
    (found,) = (one for one in constants if not isinstance(one.data, Literal) and one.data.shape == (16, 32))
    return found


def form(encoding: Encoding) -> object:
    """The nodes of a tree, without its numbers."""
    return type(encoding), encoding.shape, tuple(form(operand) for operand in encoding.operands)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("trace", [False, True])
def test_each_form_of_compression_is_carried_over(name: str, trace: bool) -> None:
    model = carrying(ENCODINGS[name])
    x = torch.randn(3, 32)
    with torch.no_grad():
        reference = model(x).numpy()
    handed_in = torch.jit.trace(model, x) if trace else model
    made = mlpress.convert(
        handed_in,
        inputs=[mlpress.TensorType("x", (3, 32))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    weight = weight_of(made)
    assert form(weight.data) == form(ENCODINGS[name])
    np.testing.assert_allclose(decode(weight.data), model[0].weight.detach(), rtol=1e-3, atol=1e-4)
    (found,) = made.predict({"x": x.numpy()}).values()
    np.testing.assert_allclose(found, reference, rtol=1e-3, atol=1e-3)


def test_tables_and_scales_are_float16_in_a_float16_program() -> None:
    made = mlpress.convert(
        carrying(ENCODINGS["quantized by block"]),
        inputs=[mlpress.TensorType("x", (3, 32))],
        minimum_deployment_target=mlpress.target.iOS18,
    )
    weight = weight_of(made)
    assert weight.data.dtype == bits.FLOAT16
    assert weight.output.name == "_0_weight"


def test_what_the_target_cannot_express_is_said_with_the_reason() -> None:
    with pytest.raises(LegalityError, match=r"0\.weight: "):
        mlpress.convert(
            carrying(ENCODINGS["quantized by block"]),
            inputs=[mlpress.TensorType("x", (3, 32))],
            minimum_deployment_target=mlpress.target.iOS16,
        )


def test_ios15_gets_dense_weights() -> None:
    made = mlpress.convert(carrying(ENCODINGS["palettized"]), inputs=[mlpress.TensorType("x", (3, 32))])
    weight = weight_of(made)
    assert isinstance(weight.data, Dense)


@pytest.mark.parametrize("name", ENCODINGS)
def test_batch_norm_goes_into_compressed_weights_whose_values_have_scales(name: str) -> None:
    norm = nn.BatchNorm1d(16)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-2, 2, 16))
        norm.running_mean.copy_(torch.linspace(0, 1, 16))
        norm.running_var.copy_(torch.linspace(0.5, 2, 16))
    model = nn.Sequential(carrying(ENCODINGS[name])[0], norm).eval()
    x = torch.randn(3, 32)
    made = mlpress.convert(
        model,
        inputs=[mlpress.TensorType("x", (3, 32))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    folded = operations(made.program) == ["linear"]
    assert folded == ("palettized" not in name)
    assert form(weight_of(made).data)[0] == form(ENCODINGS[name])[0]
    (found,) = made.predict({"x": x.numpy()}).values()
    np.testing.assert_allclose(found, model(x).detach(), rtol=1e-3, atol=1e-3)


def kept_as(encoding: Encoding) -> Encoding:
    """What a package of iOS 18 stores of a weight that a model carries."""
    made = mlpress.convert(
        carrying(encoding),
        inputs=[torch.zeros(2, 32)],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    found = weight_of(made).data
    assert isinstance(found, Encoding)
    return found


def test_small_weights_of_a_pruned_one_stay() -> None:
    """Only zeros are pruned weights; coremltools drops what is below 9.77e-4, too."""
    small = RNG.uniform(1e-5, 9e-4, (16, 32)) * RNG.choice([-1, 1], (16, 32))
    encoding = Scatter(sparse(small))
    found = kept_as(encoding)
    assert form(found) == form(encoding)
    np.testing.assert_array_equal(decode(found), decode(encoding))


@pytest.mark.parametrize("dtype", [bits.INT8, bits.UINT8], ids=str)
def test_integers_of_8_bits_stay_so_however_small_they_are(dtype: bits.DType) -> None:
    """coremltools stores them in 4 bits where they fit."""
    integers = dense(RNG.integers(0, 8, (16, 32)), dtype)
    found = kept_as(Affine(integers, scale(16, 1)))
    assert isinstance(found, Affine)
    assert found.data.dtype == dtype
    np.testing.assert_array_equal(decode(found.data), decode(integers))
