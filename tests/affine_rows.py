"""Decodes what the solvers of linear quantization return."""

from __future__ import annotations

import numpy as np

from mlpress.fit.affine import AffineParameters
from mlpress.kernels import affine
from mlpress.kernels.types import Codes, Floats


def decoded(codes: Codes, parameters: AffineParameters) -> Floats:
    """Values of ``codes`` [B, n] in the type of the scale."""
    zero_point = np.zeros(len(codes)) if parameters.zero_point is None else parameters.zero_point
    return affine.dequantize(codes, parameters.scale, zero_point.astype(np.int32))
