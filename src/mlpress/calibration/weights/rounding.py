"""Quantization whose integers are chosen so that results change least."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mlpress.calibration.weights.matrices import Matrices
from mlpress.encoding import Affine, Dense, Encoding, Scatter, Sparse, decode, spread
from mlpress.errors import NotApplicableError
from mlpress.fit.layout import Layout
from mlpress.fit.quantize import quantize
from mlpress.nn.calibration.gptq import GPTQOptions, gptq
from mlpress.nn.calibration.grids import Grid, GridOptions
from mlpress.nn.leaves import leaf
from mlpress.recipe import Quantize

Array = npt.NDArray[Any]

_DAMPENING: Final = 0.01


def round_by_inputs(
    stage: Quantize, encoding: Encoding, layout: Layout, matrices: Matrices, moments: Array
) -> Encoding:
    """Quantizes a weight by GPTQ, with the scales that the stage gives it without samples.

    Args:
        stage: Integers and scales.
        encoding: Floats, pruned or not; dropped weights stay zero.
        layout: Axes of the weight.
        matrices: Its form as matrices.
        moments: Second moments of the inputs.

    Raises:
        NotApplicableError: It is quantized or palettized already, or blocks do not fit it.
        NonFiniteWeightError: It holds NaN or infinity.
    """
    nearest = quantize(stage, encoding, layout, encoding)
    affine = nearest.source if isinstance(nearest, Scatter) else nearest
    match affine:
        case Affine(Dense() | Sparse() as integers):
            pass
        case _:
            raise NotApplicableError("it is palettized: method 'gptq' is for weights without a table")
    dtype = integers.dtype
    lowest = -(1 << (stage.bits - 1)) if dtype.kind == "int" else 0
    zero = np.zeros(affine.scale.shape) if affine.offset is None else decode(affine.offset)
    scales, zeros = (
        matrices.split(spread(np.asarray(part, np.float32), matrices.shape))
        for part in (decode(affine.scale), zero.astype(np.float32) - lowest)
    )
    mask = integers.mask.numpy().view(np.bool_) if isinstance(integers, Sparse) else None
    kept = [None] * matrices.groups if mask is None else matrices.split(mask)
    weights = matrices.split(decode(encoding).astype(np.float32))
    parts = zip(weights, moments, scales, zeros, kept, strict=True)
    codes = np.stack([_rounded(*part, stage.bits) for part in parts])
    chosen = (matrices.join(codes) + lowest).astype(stage.storage)
    found = Affine(leaf(chosen, dtype, mask), affine.scale, affine.offset)
    return found if mask is None else Scatter(found)


def _rounded(
    weight: Array, moments: Array, scale: Array, zero: Array, kept: Array | None, bits: int
) -> Array:
    """Returns integers from 0 on, as floats [rows, columns]."""
    options = GPTQOptions(GridOptions(bits), block=1, dampening=_DAMPENING, by_activation=True)
    scales, zeros = torch.from_numpy(scale), torch.from_numpy(zero)
    columns = range(weight.shape[1])
    grids = [Grid(options.grid, scales[:, at, None], zeros[:, at, None]) for at in columns]
    mask = None if kept is None else torch.from_numpy(kept)
    found = gptq(torch.from_numpy(weight), as_hessian(moments), options, mask, grids)
    codes: Array = found.codes.numpy()
    return codes


def as_hessian(moments: Array) -> torch.Tensor:
    """Returns a copy in which inputs that were always zero count a little, and not nothing at all."""
    hessian = torch.from_numpy(np.array(moments))
    diagonal = hessian.diagonal()
    seen = diagonal > 0
    if not seen.any():
        raise NotApplicableError("its inputs were zero in all samples")
    diagonal[~seen] = diagonal[seen].min()
    return hessian
