"""Absmax quantization equals coremltools' bit for bit, wherever coremltools' own arithmetic holds."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil.mil import types
from coremltools.optimize import _utils as peer

from mlpress.fit.affine import (
    AffineParameters,
    asymmetric_parameters,
    quantize_rows,
    symmetric_parameters,
)
from tests.affine_rows import decoded

SYMMETRIC = {"int8": (-127, 127, 0), "uint8": (0, 254, 127), "int4": (-7, 7, 0), "uint4": (0, 14, 7)}
FULL = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}
MAGNITUDES = [1e-6, 3e-4, 0.02, 1.0, 40.0, 250.0]


def quantize_here(rows: np.ndarray, dtype: str, mode: str) -> tuple[np.ndarray, AffineParameters]:
    if mode == "LINEAR_SYMMETRIC":
        low, high, offset = SYMMETRIC[dtype]
        parameters = symmetric_parameters(rows, low, high, offset)
    else:
        low, high = FULL[dtype]
        parameters = asymmetric_parameters(rows, low, high)
    return quantize_rows(rows, parameters, low, high), parameters


def quantize_there(
    rows: np.ndarray, dtype: str, mode: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    with np.errstate(all="ignore"):
        codes, scale, zero_point = peer.compute_qparams_by_dtype(
            rows, types.string_to_builtin(dtype), mode, block_sizes=[1, 0]
        )
    return codes, scale.reshape(-1), None if zero_point is None else zero_point.reshape(-1)


def sample(dtype: type, magnitude: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.standard_t(4, size=(60, int(rng.integers(1, 70))))
    rows *= magnitude / np.abs(rows).max() * rng.uniform(0.05, 1, size=(60, 1))
    rows[::5] = np.abs(rows[::5])  # rows on one side of zero
    rows[1::5] = -np.abs(rows[1::5])
    return rows.astype(dtype)


@pytest.mark.parametrize("mode", ["LINEAR_SYMMETRIC", "LINEAR"])
@pytest.mark.parametrize("code", ["int8", "uint8", "int4", "uint4"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_codes_scales_and_zero_points_are_the_peers(dtype: type, code: str, mode: str) -> None:
    for seed, magnitude in enumerate(MAGNITUDES):
        rows = sample(dtype, magnitude, seed)
        codes, parameters = quantize_here(rows, code, mode)
        their_codes, their_scale, their_zero = quantize_there(rows, code, mode)
        # The peer's scale underflows to zero for tiny float16 rows and loses them; ours does not.
        kept = their_scale > 0
        assert np.array_equal(parameters.scale[kept], their_scale[kept])
        assert np.array_equal(codes[kept], their_codes[kept].astype(codes.dtype))
        if their_zero is None:
            assert parameters.zero_point is None
        else:
            assert parameters.zero_point is not None
            assert np.array_equal(parameters.zero_point[kept], their_zero[kept].astype(codes.dtype))


@pytest.mark.parametrize("code", ["int8", "uint4"])
@pytest.mark.parametrize("mode", ["LINEAR_SYMMETRIC", "LINEAR"])
def test_decoding_equals_the_peers(code: str, mode: str) -> None:
    rows = sample(np.float16, 0.5, 7)
    codes, parameters = quantize_here(rows, code, mode)
    theirs = peer.dequantize_by_scale_and_zp(codes, parameters.scale, parameters.zero_point, axis=0)
    assert np.array_equal(decoded(codes, parameters), theirs)


@pytest.mark.parametrize("code", ["int8", "uint8"])
def test_a_row_of_zeros_has_the_peers_scale_and_decodes_to_zero(code: str) -> None:
    rows = np.zeros((3, 8), np.float16)
    for mode in ("LINEAR_SYMMETRIC", "LINEAR"):
        codes, parameters = quantize_here(rows, code, mode)
        assert np.array_equal(parameters.scale, quantize_there(rows, code, mode)[1])
        assert np.array_equal(decoded(codes, parameters), rows)


@pytest.mark.parametrize(
    ("code", "mode", "magnitude"),
    [
        ("uint8", "LINEAR", 300),
        ("int8", "LINEAR", 625),
        ("int8", "LINEAR", 60000),
        ("int8", "LINEAR_SYMMETRIC", 60000),
    ],
)
def test_large_float16_weights_survive_where_the_peer_overflows(
    code: str, mode: str, magnitude: float
) -> None:
    rows = (np.random.default_rng(0).uniform(-1, 1, size=(20, 64)) * magnitude).astype(np.float16)

    def error(values: np.ndarray) -> float:
        wide = rows.astype(np.float64)
        return float(np.linalg.norm(values.astype(np.float64) - wide) / np.linalg.norm(wide))

    codes, parameters = quantize_here(rows, code, mode)
    assert error(decoded(codes, parameters)) < 0.01
    theirs, scale, zero_point = quantize_there(rows, code, mode)
    with np.errstate(all="ignore"):
        assert not error(peer.dequantize_by_scale_and_zp(theirs, scale, zero_point, axis=0)) < 0.1
