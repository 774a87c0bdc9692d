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
        group_size: Channels that share a table; None is all.
        axis: Axis of these channels.
        cluster_dim: Neighbours along the channels that share an index.
        per_channel_scale: ``min_max`` (half of the range of a channel), ``abs`` (its largest magnitude), or
            None for no scale.
        table_dtype: ``f32``, ``f16``, ``bf16``, ``i8`` or ``u8``.
        milestone: Step that palettization begins at.
        tau: Temperature of the attention.
        iterations: Iterations of k-means in a step.
        tolerance: Change of the error at which a step stops earlier.
        floor: Least attention.
        bonus: Subtracted from squared distances to the first centroid; minus infinity leaves it to zeros.
        zero_first: Whether one centroid is fixed at zero.
        mode: Attention: ``dkm``, ``gsm`` or ``hard``; see `mlpress.nn.training.dkm.dkm`.
        extra_zero: Whether zero is a centroid beside those of the table; weights that go to it are dropped.
        trained: Fraction of the groups that are trained; the others keep the tables they get first.
        duplicates: Fraction of the entries of a table that may equal others.
    """

    n_bits: int = 4
    group_size: int | None = None
    axis: int = 0
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
    mode: str = "dkm"
    extra_zero: bool = False
    trained: float = 1.0
    duplicates: float = 0.0

    @property
    def centroids(self) -> int:
        """Returns the number of centroids of a group."""
        return (1 << self.n_bits) + self.extra_zero

    def trained_groups(self, groups: int) -> int:
        """Returns how many of a number of groups are trained."""
        return max(1, int(self.trained * groups))

    def groups_of(self, shape: tuple[int, ...]) -> int:
        """Returns the number of tables of a weight.

        Raises:
            NotApplicableError: Groups or vectors do not divide its channels, or it has fewer vectors than
                a group has centroids.
        """
        channels = shape[self.axis]
        size = self.group_size or channels
        if channels % size:
            raise NotApplicableError(
                f"group_size {size} does not divide the {channels} channels of axis {self.axis}"
            )
        if size % self.cluster_dim:
            raise NotApplicableError(f"cluster_dim {self.cluster_dim} does not divide the {size} channels")
        vectors = size * math.prod(shape) // channels // self.cluster_dim
        if vectors < self.centroids:
            raise NotApplicableError(
                f"{self.centroids} entries are too many for {vectors} weights or vectors that share a table"
            )
        return channels // size
