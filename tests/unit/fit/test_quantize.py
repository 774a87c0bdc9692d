from __future__ import annotations

import numpy as np
import pytest

from mlpress.encoding import Affine, Dense, decode
from mlpress.fit.layout import Layout
from mlpress.recipe import Prune, Quantize
from tests.unit.fit.samples import fit, refusal, squared_error, weight

DTYPES = ["int8", "uint8", "int4", "uint4"]


def quantized(values: np.ndarray, stage: Quantize, *, layout: Layout | None = None) -> Affine:
    encoding = fit(values, stage, layout=layout)
    assert isinstance(encoding, Affine)
    return encoding


@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_weight_is_within_half_a_step(dtype: str, mode: str) -> None:
    values = weight(dtype=np.float32)
    encoding = quantized(values, Quantize(dtype=dtype, mode=mode))
    step = decode(encoding.scale)
    assert step.shape == (32, 1)
    # In the asymmetric mode the zero point is rounded, which costs up to half a step at the ends.
    allowed = 0.5 if mode == "linear_symmetric" else 1.0
    assert (np.abs(decode(encoding) - values) <= allowed * step * 1.001).all()


@pytest.mark.parametrize(
    ("stage", "scales"),
    [
        (Quantize(granularity="per_tensor"), (1, 1, 1, 1)),
        (Quantize(granularity="per_channel"), (16, 1, 1, 1)),
        (Quantize(granularity="per_block", block_size=4), (16, 2, 1, 1)),
        (Quantize(granularity="per_block", block_size=0), (16, 1, 1, 1)),
        (Quantize(granularity="per_block", block_size=(8, 4, 0, 1)), (2, 2, 1, 3)),
        (Quantize(), (16, 1, 1, 1)),
    ],
)
def test_what_shares_a_scale(stage: Quantize, scales: tuple[int, ...]) -> None:
    assert quantized(weight((16, 8, 3, 3)), stage).scale.shape == scales


def test_channels_follow_the_roles_of_the_axes() -> None:
    transposed = Layout(output_axis=1, input_axis=0)
    assert quantized(weight(), Quantize(), layout=transposed).scale.shape == (1, 48)
    blocks = Quantize(granularity="per_block", block_size=8)
    assert quantized(weight(), blocks, layout=transposed).scale.shape == (4, 48)


@pytest.mark.parametrize(
    ("stage", "layout", "reason"),
    [
        (
            Quantize(granularity="per_block", block_size=7),
            Layout(),
            "block size 7 does not divide the 48 elements",
        ),
        (
            Quantize(granularity="per_block", block_size=64),
            Layout(),
            "block size 64 does not divide the 48 elements",
        ),
        (Quantize(granularity="per_block", block_size=(4, 4, 4)), Layout(), "has 3 sizes for 2 axes"),
        (Quantize(), Layout(output_axis=None), "disagree on its output channels"),
        (
            Quantize(granularity="per_block", block_size=8),
            Layout(input_axis=None),
            "disagree on its input channels",
        ),
    ],
)
def test_what_does_not_fit_is_refused(stage: Quantize, layout: Layout, reason: str) -> None:
    assert reason in refusal(weight(), stage, layout=layout)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
def test_searched_scales_have_less_error_than_those_of_the_extremes(dtype: str, mode: str) -> None:
    values = weight((64, 128))
    absmax, searched = (
        quantized(values, Quantize(dtype=dtype, mode=mode, scales=kind)) for kind in ("absmax", "mse")
    )
    assert squared_error(values, searched) <= squared_error(values, absmax)
    if dtype in ("int4", "uint4"):
        assert squared_error(values, searched) < 0.9 * squared_error(values, absmax)


def test_exact_zeros_stay_zero() -> None:
    values = weight()
    values[:, ::3] = 0
    values[5] = 0
    for stage in (Quantize(), Quantize(mode="linear"), Quantize(dtype="uint4", mode="linear", scales="mse")):
        assert (decode(quantized(values, stage))[values == 0] == 0).all()


def test_kept_weights_of_a_pruned_one_are_those_of_the_dense_one() -> None:
    values = weight()
    pruned = np.where(np.abs(values) > np.percentile(np.abs(values), 75), values, 0).astype(values.dtype)
    sparse = fit(values, Prune(sparsity=0.75), Quantize())
    np.testing.assert_array_equal(decode(sparse), decode(fit(pruned, Quantize())))


@pytest.mark.parametrize("largest", [300.0, 625.0, 60000.0])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
def test_large_float16_weights_do_not_overflow(mode: str, dtype: str, largest: float) -> None:
    values = (weight(dtype=np.float32) * 0.01).clip(-1, 1)
    values = (values / np.abs(values).max() * largest).astype(np.float16)
    decoded = decode(quantized(values, Quantize(mode=mode, dtype=dtype))).astype(np.float64)
    assert np.linalg.norm(decoded - values) < 0.02 * np.linalg.norm(values.astype(np.float64))


def test_offsets_have_the_dtype_of_the_data() -> None:
    encoding = quantized(weight(), Quantize(dtype="uint4", mode="linear"))
    assert isinstance(encoding.offset, Dense)
    assert encoding.offset.dtype.name == encoding.data.dtype.name == "uint4"
