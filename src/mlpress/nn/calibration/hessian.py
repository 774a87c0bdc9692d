"""Second derivatives of a layer's squared output error by its weights, from the inputs it sees."""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlpress.errors import NotApplicableError

_ROWS: Final = 4096
"""Rows whose products are summed by themselves: float32 forgets what is small beside the sum of millions."""


def add_products(total: Tensor, rows: Tensor, factor: float = 1) -> None:
    """Adds ``factor * rows^T rows`` to `total`.

    Args:
        total: float32 [..., columns, columns].
        rows: [..., n, columns].
        factor: A number.
    """
    for part in torch.split(rows, _ROWS, dim=-2):
        total.add_((part.mT @ part).to(total.device), alpha=factor)


class Hessian:
    """Sums ``2 / n * X X^T`` over the inputs X of a layer (Frantar et al. 2023, "GPTQ", section 3).

    The outputs of each group of a convolution see inputs of their own.

    Attributes:
        sums: float32 [groups, columns, columns], columns being the inputs to one output.
    """

    def __init__(self, layer: nn.Module) -> None:
        """Takes a `Linear` or a `Conv2d`."""
        self._layer = layer
        self._groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        weight = cast("Tensor", layer.weight)
        columns = weight[0].numel()
        self.sums = torch.zeros(self._groups, columns, columns, device=weight.device)
        self._samples = 0

    @torch.no_grad()
    def add(self, inputs: Tensor) -> None:
        """Sees a batch of inputs."""
        rows, samples = _rows(self._layer, inputs.detach())
        if not samples:
            return
        total = self._samples + samples
        self.sums *= self._samples / total
        self._samples = total
        add_products(self.sums, rows.reshape(len(rows), self._groups, -1).transpose(0, 1), 2 / total)

    def join(self, other: Hessian) -> None:
        """Adds what another layer with the same weight saw."""
        total = self._samples + other._samples
        self.sums = (self.sums * self._samples + other.sums * other._samples) / total
        self._samples = total

    @property
    def seen(self) -> bool:
        """Whether there were inputs."""
        return self._samples > 0


def _rows(layer: nn.Module, inputs: Tensor) -> tuple[Tensor, int]:
    """Returns the inputs to single outputs, float32, and the number of samples in the batch.

    Inputs are [n, groups * columns].
    """
    if isinstance(layer, nn.Conv2d):
        batch = inputs if inputs.dim() == 4 else inputs.unsqueeze(0)
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        padded = functional.pad(batch, layer._reversed_padding_repeated_twice, mode)
        patches = functional.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
        return patches.transpose(1, 2).flatten(0, 1).float(), len(batch)
    samples = 1 if inputs.dim() <= 2 else inputs.shape[0]
    return inputs.reshape(-1, inputs.shape[-1]).float(), samples


def inverse_factor(sums: Tensor, dampening: float) -> Tensor:
    """Returns the upper Cholesky factor of the inverse, as GPTQ and SparseGPT use it.

    Args:
        sums: The Hessian, or several [..., columns, columns]; positive on the diagonal.
        dampening: Fraction of the mean of the diagonal that is added to it.

    Raises:
        NotApplicableError: It cannot be factored: more dampening is needed.
    """
    mean = sums.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    damped = sums + torch.eye(sums.shape[-1], device=sums.device) * (dampening * mean)
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise NotApplicableError(
            f"its Hessian is not positive definite; more hessian_dampening than {dampening} is needed"
        ) from error
    return factor
