"""Sums over samples, in temporary files where they are large."""

from __future__ import annotations

import tempfile
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlpress.nn.calibration.hessian import add_products

_SMALL: Final = 1 << 20
"""Bytes up to which a sum is kept in memory."""


def zeros(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Returns float32 zeros; large ones lie in a file that vanishes with them."""
    if 4 * int(np.prod(shape)) <= _SMALL:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


class SecondMoments:
    """Sums ``X^T X`` over rows X of inputs: half of the second derivative of the squared output error.

    (Frantar et al. 2023, "GPTQ", section 3.)

    Attributes:
        sums: float32 [groups, columns, columns].
    """

    def __init__(self, groups: int, columns: int) -> None:
        self.sums = zeros((groups, columns, columns))

    def add(self, rows: Tensor) -> None:
        """Adds rows [groups, n, columns]."""
        wide = rows.detach().float()
        for total, own in zip(torch.from_numpy(self.sums), wide, strict=True):
            add_products(total, own)


class SquaredGradients:
    """Sums the squares of the gradients of one parameter.

    Attributes:
        sums: float32, the shape of the parameter.
    """

    def __init__(self, parameter: torch.nn.Parameter) -> None:
        """Watches a parameter, whose gradients it takes away."""
        self.sums = zeros(tuple(parameter.shape))
        parameter.requires_grad_(True)
        parameter.register_post_accumulate_grad_hook(self._add)  # type: ignore[no-untyped-call]

    def _add(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        total = torch.from_numpy(self.sums)
        total.add_(parameter.grad.float().square().to(total.device))
        parameter.grad = None
