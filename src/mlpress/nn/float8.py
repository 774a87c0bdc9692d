"""Weights of 8-bit floats, which Core ML's operators do not take: as tables of their values."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mlpress.bits import FLOAT8_E4M3FN, FLOAT8_E5M2, UINT8, DType
from mlpress.encoding import Affine, Blocks, Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.errors import NotApplicableError
from mlpress.fit.apply import Fitted, Job
from mlpress.fit.error import squared_error_of
from mlpress.fit.quantize import block_counts
from mlpress.nn.leaves import dense, leaf
from mlpress.recipe import Quantize

Array = npt.NDArray[Any]

_TYPES: Final = {"fp8_e4m3": FLOAT8_E4M3FN, "fp8_e5m2": FLOAT8_E5M2}
_UNIT: Final = 2.0**-8
"""What tables hold the values in: float16 has all of both types exactly then, the smallest ones included."""


def run_float8(name: str, job: Job) -> Fitted | str:
    """Rounds a weight to 8-bit floats times a scale, to the nearest, ties to even.

    A scale maps the largest magnitude of what shares it to the largest number of the type. An index is the
    bit pattern of a number.

    Args:
        name: ``fp8_e4m3`` or ``fp8_e5m2`` (Micikevicius et al. 2022, "FP8 Formats for Deep Learning").
        job: A single stage says what shares a scale.

    Returns:
        The result; or why there is none.
    """
    (stage,) = job.stages
    assert isinstance(stage, Quantize)
    source = job.encoding.source if isinstance(job.encoding, Scatter) else job.encoding
    if not isinstance(source, Dense | Sparse) or not source.dtype.is_float:
        return f"{name}: it is quantized or palettized already"
    values = decode(job.encoding)
    if not np.isfinite(values).all():
        return f"{name}: it holds NaN or infinity"
    try:
        counts = block_counts(stage, values.shape, job.layout)
    except NotApplicableError as reason:
        return f"{name}: {reason}"
    mask = source.mask.numpy().view(np.bool_) if isinstance(source, Sparse) else None
    found = _rounded(values, Blocks(values.shape, counts), _TYPES[name], mask)
    encoding = found if mask is None else Scatter(found)
    return Fitted(encoding, *squared_error_of(job.encoding, encoding))


def _rounded(values: Array, blocks: Blocks, dtype: DType, mask: Array | None) -> Encoding:
    table = np.arange(256, dtype=np.uint8).view(dtype.storage).astype(np.float32)
    table = np.where(np.isfinite(table), table, 0)
    rows = blocks.rows(values).astype(np.float32)
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest / table.max(), 1 / _UNIT).astype(np.float32)
    # What is stored counts: the scale as it was rounded.
    stored = np.maximum((scale / _UNIT).astype(values.dtype), np.finfo(values.dtype).smallest_subnormal)
    steps = np.clip(
        rows / (stored.astype(np.float32) * np.float32(_UNIT))[:, None], -table.max(), table.max()
    )
    codes = steps.astype(dtype.storage).view(np.uint8)
    entries = (table * np.float32(_UNIT)).astype(values.dtype).reshape(*(1,) * values.ndim, 256, 1)
    return Affine(
        Lut(leaf(blocks.unrows(codes), UINT8, mask), dense(entries)), dense(stored.reshape(blocks.counts))
    )
