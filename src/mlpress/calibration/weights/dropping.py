"""Pruning by which results change least."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlpress.bits import dtype_of
from mlpress.calibration.weights.matrices import Matrices
from mlpress.calibration.weights.rounding import as_hessian
from mlpress.encoding import Dense, Encoding, Scatter, Sparse, decode
from mlpress.errors import NonFiniteWeightError, NotApplicableError
from mlpress.fit.layout import Layout
from mlpress.nn.calibration.sparse_gpt import SparseGPTOptions, sparse_gpt
from mlpress.nn.leaves import leaf
from mlpress.recipe import Prune

Array = npt.NDArray[Any]


def drop_by_inputs(
    stage: Prune, encoding: Encoding, layout: Layout, matrices: Matrices, moments: Array
) -> Encoding:
    """Prunes a weight by SparseGPT; what stays makes up for what goes.

    Args:
        stage: How much.
        encoding: Floats, pruned or not; a pruned weight can only lose more.
        layout: Axes of the weight.
        matrices: Its form as matrices.
        moments: Second moments of the inputs.

    Raises:
        NotApplicableError: It is quantized or palettized already, or the pattern does not fit it.
        NonFiniteWeightError: It holds NaN or infinity.
    """
    source = encoding.source if isinstance(encoding, Scatter) else encoding
    if not isinstance(source, Dense | Sparse) or not source.dtype.is_float:
        raise NotApplicableError(
            "it is quantized or palettized already; method 'sparse_gpt' changes the weights that stay"
        )
    if stage.is_structured and not layout.prunable_in_patterns:
        raise NotApplicableError("n:m sparsity is for conv and linear weights")
    weight = decode(encoding)
    if not np.isfinite(weight).all():
        raise NonFiniteWeightError("it holds NaN or infinity")
    order = _order(stage, matrices)
    split = matrices.split(weight.astype(np.float32))
    options = SparseGPTOptions(_fraction(stage, split[0].size), stage.n_m_ratio)
    parts = []
    for rows, own in zip(split, moments, strict=True):
        hessian = as_hessian(own)[order][:, order]
        found = sparse_gpt(torch.from_numpy(rows[:, order]), hessian, options)
        parts.append(torch.where(found.mask, found.values, 0).numpy()[:, order.argsort()])
    values = matrices.join(np.stack(parts)).astype(weight.dtype)
    return Scatter(leaf(values, dtype_of(values), values != 0))


def _fraction(stage: Prune, size: int) -> float:
    """Returns the sparsity at which SparseGPT, which drops one weight more, drops as many as asked for."""
    return max(0.0, round((stage.sparsity or 0.0) * size) - 0.5) / size if size else 0.0


def _order(stage: Prune, matrices: Matrices) -> npt.NDArray[np.intp]:
    """Returns the columns in the order in which neighbours make a pattern: along the input channels."""
    columns = np.arange(matrices.columns).reshape(-1, matrices.kernel)
    if stage.n_m_ratio is not None and matrices.kernel > 1 and len(columns) % stage.n_m_ratio[1]:
        raise NotApplicableError(f"{stage.n_m_ratio[1]} does not divide its {len(columns)} input channels")
    return columns.T.reshape(-1) if stage.n_m_ratio is not None else columns.reshape(-1)
