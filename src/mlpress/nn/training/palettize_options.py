"""How to palettize a weight in training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mlpress.errors import NotApplicableError


@dataclass(frozen=True, slots=True)
class PalettizeOptions:
    """How to palettize a weight.

    Attributes:
        n_bits: A table has ``2 ** n_bits`` entries.
        group_size: Output channels that share a table; None is all.
        cluster_dim: Neighbours along the output channels that share an index.
        per_channel_scale: ``min_max`` (half of the range of a channel), ``abs`` (its largest magnitude), or
            None for no scale.
        table_dtype: ``f32``, ``f16``, ``bf16``, ``i8`` or ``u8``.
        milestone: Step that palettization begins at.
        tau: Temperature of the attention.
        iterations: Iterations of k-means in a step.
        tolerance: Change of the error at which a step stops earlier.
        floor: Least attention.
        bonus: Subtracted from squared distances to the first centroid.
        zero_first: Whether one centroid is fixed at zero.
        hard: Whether all attention goes to the nearest centroid.
    """

    n_bits: int = 4
    group_size: int | None = None
    cluster_dim: int = 1
    per_channel_scale: str | None = None
    table_dtype: str = "f32"
    milestone: int = 0
    tau: float = 1e-4
    iterations: int = 3
    tolerance: float = 1e-4
    floor: float = 1e-7
    bonus: float = 1e-7
    zero_first: bool = False
    hard: bool = False

    def groups_of(self, shape: tuple[int, ...]) -> int:
        """Returns the number of tables of a weight.

        Raises:
            NotApplicableError: Groups or vectors do not divide its channels, or it has fewer vectors than
                a table has entries.
        """
        size = self.group_size or shape[0]
        if shape[0] % size:
            raise NotApplicableError(f"group_size {size} does not divide the {shape[0]} channels of axis 0")
        if size % self.cluster_dim:
            raise NotApplicableError(f"cluster_dim {self.cluster_dim} does not divide the {size} channels")
        vectors = size // self.cluster_dim * math.prod(shape[1:])
        if vectors < 1 << self.n_bits:
            raise NotApplicableError(
                f"{1 << self.n_bits} entries are too many for {vectors} weights or vectors that share a table"
            )
        return shape[0] // size
