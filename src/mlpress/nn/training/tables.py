"""Tables of palettized weights: where they start, and small changes to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlpress.fit.kmeans import kmeans_groups
from mlpress.fit.vectors import kmeans_vectors

Array = npt.NDArray[Any]


def first_tables(points: Array, masses: Array | None, size: int) -> Array:
    """Clusters points: exactly where they are scalars.

    Args:
        points: float32 [groups, points, elements].
        masses: float32 [groups, points], 0 for points that do not count; None is all.
        size: Entries of a table.

    Returns:
        [groups, size, elements].
    """
    if points.shape[-1] == 1:
        return kmeans_groups(np.ascontiguousarray(points[..., 0]), size, weights=masses).table[..., None]
    kept = list(points)
    if masses is not None:
        kept = [row[mass > 0] if mass.any() else row for row, mass in zip(points, masses, strict=True)]
    return np.stack([kmeans_vectors(np.ascontiguousarray(row), size)[0] for row in kept])


def look_up(table: Tensor, indices: Tensor, kept: Tensor | None) -> Tensor:
    """Returns the entries at indices [groups, points]; zeros where `kept` is False."""
    out = table.gather(1, indices.unsqueeze(-1).expand(-1, -1, table.shape[2]))
    return out if kept is None else out * kept.unsqueeze(-1)


def zero_first(table: Tensor) -> Tensor:
    """Swaps each group's centroid that is nearest to zero with its first, and makes it zero."""
    nearest = table.square().sum(-1).argmin(1)
    moved, groups = table.clone(), torch.arange(len(table), device=table.device)
    moved[groups, nearest] = table[:, 0]
    moved[:, 0] = 0
    return moved


def without_duplicates(table: Tensor, tolerance: float = 0.0) -> Tensor:
    """Moves one of two equal scalar centroids half the way to the next: together they serve like one.

    Groups with no more than a fraction `tolerance` of such centroids stay as they are.
    """
    if table.shape[-1] != 1:
        return table
    ordered, order = table[..., 0].sort(dim=1)
    following = torch.cat([ordered[:, 1:], ordered[:, :1]], dim=1)
    after = torch.cat([ordered[:, 2:], ordered[:, :2]], dim=1)
    same = ordered == following
    moves = same & (same.sum(1, keepdim=True) > tolerance * table.shape[1])
    moved = torch.where(moves, (ordered + after) / 2, ordered)
    return table.scatter(1, order.unsqueeze(-1), moved.unsqueeze(-1))


def narrowed(table: Tensor, dtype: str) -> Tensor:
    """Returns what a table of a narrower type of floats holds."""
    narrow = {"f16": torch.float16, "bf16": torch.bfloat16}.get(dtype)
    return table if narrow is None else table.to(narrow).float()
