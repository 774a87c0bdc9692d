"""Palettization in training by differentiable k-means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlpress.nn.arrays import to_numpy
from mlpress.nn.training.dkm import dkm, rounded
from mlpress.nn.training.palettize_options import PalettizeOptions
from mlpress.nn.training.processes import over_processes
from mlpress.nn.training.tables import first_tables, look_up, narrowed, without_duplicates, zero_first
from mlpress.nn.training.technique import Technique

_CHUNK = 1 << 20  # distances at a time


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """A palettized weight.

    Attributes:
        tables: [groups, entries, elements].
        indices: int64 [groups, points].
        kept: bool [groups, points], or None for all.
        scale: One for each channel, or None.
    """

    tables: Tensor
    indices: Tensor
    kept: Tensor | None
    scale: Tensor | None


class Palettization(Technique):
    """Clusters a weight in each forward pass in training; picks nearest centroids in evaluation.

    Attributes:
        centroids: float32 [groups, centroids, elements]; they move with every pass in training.
        scale: float32: what the channels are divided by; ones without such scales.
        seed: int64: the noise of the next pass, with mode ``gsm``.
        enabled: Whether weights are palettized; the milestone and its optimizer's switch decide.
        started: Whether centroids are there; the first pass that palettizes makes them.
        shape: Shape of the weight.
    """

    kind = "palettize"
    centroids: Tensor
    scale: Tensor
    seed: Tensor | None

    def __init__(self, weight: Tensor, options: PalettizeOptions) -> None:
        """Plans the tables of a weight.

        Raises:
            NotApplicableError: They do not fit the weight.
        """
        super().__init__()
        self.options = options
        self.enabled = options.milestone == 0
        self.started = False
        self.shape = shape = tuple(weight.shape)
        groups = options.groups_of(shape)
        table = torch.zeros(groups, options.centroids, options.cluster_dim, device=weight.device)
        self.register_buffer("centroids", table)
        scales = [size if axis == options.axis else 1 for axis, size in enumerate(shape)]
        scale = torch.ones(scales, device=weight.device)
        self.register_buffer("scale", scale, persistent=options.per_channel_scale is not None)
        noisy = options.mode == "gsm"
        seed = torch.randint(1 << 62, (), device=weight.device) if noisy else None
        self.register_buffer("seed", seed)

    def advance(self, weight: Tensor) -> None:
        """Takes a step of the schedule."""
        if self.steps == self.options.milestone:
            self.enabled = True
        self.steps += 1

    def forward(self, weight: Tensor, mask: Tensor | None, levels: int = 0) -> Tensor:
        """Returns the palettized weight.

        Args:
            weight: What is palettized; zero where the mask is False.
            mask: bool: what is kept of it; vectors are kept as a whole. None is all.
            levels: Tables are rounded to integers up to this magnitude; 0 leaves it to `table_dtype`.
        """
        if not self.started:
            self.start(weight, mask)
        points, kept = self._points(weight), self._kept(mask)
        if not self.training:
            table = self._table(levels)
            return self._weight(look_up(table, self._nearest(points, table), kept), weight)
        many = self.options.trained_groups(len(points))
        out, centroids = self._clustered(points[:many], None if kept is None else kept[:many], levels)
        if many < len(points):
            rest = self._table(levels)[many:]
            nearest = self._nearest(points[many:].detach(), rest)
            out = torch.cat([out, look_up(rest, nearest, None if kept is None else kept[many:])])
        self.centroids[:many].copy_(narrowed(centroids.detach(), self.options.table_dtype))
        return self._weight(out, weight)

    def _clustered(self, points: Tensor, kept: Tensor | None, levels: int) -> tuple[Tensor, Tensor]:
        """Returns the points of the first groups as clustered now, and the centroids."""
        options = self.options
        with torch.no_grad():
            start = without_duplicates(self.centroids[: len(points)], options.duplicates)
            seed = None if self.seed is None else self.seed.clone()
            if self.seed is not None:
                self.seed += 1
        return dkm(
            points,
            kept,
            start,
            tau=options.tau,
            iterations=options.iterations,
            tolerance=options.tolerance,
            floor=options.floor,
            bonus=options.bonus,
            zero_first=self._zero_first,
            mode=options.mode,
            seed=seed,
            levels=levels or self.own_levels,
        )

    @property
    def _zero_first(self) -> bool:
        return self.options.zero_first or self.options.extra_zero

    @property
    def own_levels(self) -> int:
        """Largest integer of a table of integers by its own type; 0 for floats."""
        return 127 if self.options.table_dtype in ("i8", "u8") else 0

    def _table(self, levels: int) -> Tensor:
        return narrowed(rounded(self.centroids, levels or self.own_levels), self.options.table_dtype)

    @torch.no_grad()
    def assign(self, weight: Tensor, mask: Tensor | None, levels: int = 0) -> Palette:
        """Returns tables and indices as evaluation uses them; arguments as for `forward`."""
        if not self.started:
            self.start(weight, mask)
        scale = None if self.options.per_channel_scale is None else self.scale
        table, kept = self._table(levels), self._kept(mask)
        indices = self._nearest(self._points(weight), table)
        if not self.options.extra_zero:
            return Palette(table, indices, kept, scale)
        others = indices > 0
        kept = others if kept is None else kept & others
        return Palette(table[:, 1:], (indices - 1).clamp(min=0), kept, scale)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def start(self, weight: Tensor, mask: Tensor | None) -> None:
        """Finds the first scales and centroids, by exact k-means for scalars; arguments as for `forward`."""
        if self.options.per_channel_scale is not None:
            rows = weight.float().movedim(self.options.axis, 0).flatten(1)
            spread = (rows.amax(1) - rows.amin(1)) / 2
            found = spread if self.options.per_channel_scale == "min_max" else rows.abs().amax(1)
            self.scale.copy_(torch.where(found > 0, found, 1).reshape(self.scale.shape))
        kept = self._kept(mask)
        masses = None if kept is None else to_numpy(kept).astype(np.float32)
        tables = first_tables(to_numpy(self._points(weight)), masses, self.centroids.shape[1])
        table = torch.from_numpy(tables).to(self.centroids)
        self.centroids.copy_(zero_first(table) if self._zero_first else table)
        if self.seed is not None:
            # Processes that train together draw the same noise: their tables have to stay the same.
            self.seed.copy_(over_processes(self.seed, "max"))
        self.started = True

    def _points(self, weight: Tensor) -> Tensor:
        """Returns a weight divided by the scale as float32 [groups, points, elements]."""
        return self._grouped(weight.float() / self.scale)

    def _grouped(self, weight: Tensor) -> Tensor:
        groups, length = self.centroids.shape[0], self.centroids.shape[2]
        moved = weight.movedim(self.options.axis, 0)
        split = moved.reshape(groups, -1, length, *moved.shape[1:])
        return split.movedim(2, -1).reshape(groups, -1, length)

    def _kept(self, mask: Tensor | None) -> Tensor | None:
        return None if mask is None else self._grouped(mask).any(-1)

    def _weight(self, points: Tensor, like: Tensor) -> Tensor:
        """Inverse of `_points`."""
        groups, length = self.centroids.shape[0], self.centroids.shape[2]
        moved = like.movedim(self.options.axis, 0).shape
        split = points.reshape(groups, moved[0] // groups // length, *moved[1:], length)
        values = split.movedim(-1, 2).reshape(moved).movedim(0, self.options.axis)
        return (values * self.scale).to(like.dtype)

    def _nearest(self, points: Tensor, table: Tensor) -> Tensor:
        step = max(1, _CHUNK // table[..., 0].numel())
        found = []
        for part in torch.split(points, step, dim=1):
            # Differences, not products, which would lose the digits that tell neighbours apart.
            if table.shape[-1] == 1:
                distances = (part - table.mT).square_()
            else:
                distances = torch.cdist(part, table, compute_mode="donot_use_mm_for_euclid_dist").square_()
            if self.options.bonus == -math.inf:
                distances[..., 0].masked_fill_((part != 0).any(-1), math.inf)
            else:
                distances[..., 0] -= self.options.bonus
            found.append(distances.argmin(-1))
        return torch.cat(found, dim=1)

    def get_extra_state(self) -> Any:
        """Returns steps, whether weights are palettized, and whether centroids are there."""
        return {**super().get_extra_state(), "enabled": self.enabled, "started": self.started}

    def set_extra_state(self, state: Any) -> None:
        """Inverse of `get_extra_state`."""
        super().set_extra_state(state)
        self.enabled, self.started = state["enabled"], state["started"]
