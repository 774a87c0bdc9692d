"""Between torch tensors and NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlpress.errors import NotApplicableError

Array = npt.NDArray[Any]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the tensor without its gradient, gathered from all processes if it is sharded over them."""
    detached: Any = tensor.detach()
    # Told by the method, since torch can be built without what defines sharded tensors.
    found: torch.Tensor = detached.full_tensor() if hasattr(detached, "full_tensor") else detached
    return found


def to_numpy(tensor: torch.Tensor) -> Array:
    """Returns the elements of a tensor on any device; a view of them where it can be."""
    array: Array = whole(tensor).cpu().contiguous().numpy()
    return array


def weight_to_numpy(tensor: torch.Tensor) -> Array:
    """Returns a weight's elements, float16 or float32.

    Raises:
        NotApplicableError: It has another type.
    """
    require_storable(tensor)
    return to_numpy(tensor)


def require_storable(tensor: torch.Tensor) -> None:
    """Raises NotApplicableError if a weight has a type that compressed weights cannot have."""
    if tensor.dtype not in (torch.float16, torch.float32):
        raise NotApplicableError(f"it is {tensor.dtype}; float16 and float32 weights can be compressed")


def to_torch(array: Array, device: torch.device | None = None) -> torch.Tensor:
    """Returns a tensor with a copy of the elements."""
    return torch.from_numpy(np.array(array, order="C")).to(device)


@torch.no_grad()
def overwrite(parameter: torch.Tensor, values: Array) -> None:
    """Gives a parameter other elements in the memory it has: fresh memory costs more than copying to it."""
    if parameter.is_inference():  # which nothing may change
        assign(parameter, values)
        return
    writeable = values if values.flags.writeable else values.copy()  # torch warns of others
    parameter.data.copy_(torch.from_numpy(writeable))


@torch.no_grad()
def assign(parameter: torch.Tensor, values: Array) -> None:
    """Gives a parameter other elements, in memory of their own: reports compare them with those before."""
    writeable = values if values.flags.writeable else values.copy()  # torch warns of others
    parameter.data = torch.from_numpy(writeable).to(parameter.device, parameter.dtype)
