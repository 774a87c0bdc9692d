"""Differentiable palettization of a weight as a module, for modules of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from mlpress.errors import NotApplicableError
from mlpress.nn.training.palettize import Palettization
from mlpress.optimize.torch.optimization_config import PalettizationGranularity
from mlpress.optimize.torch.palettization.palettization_config import (
    DEFAULT_PALETTIZATION_ADVANCED_OPTIONS,
    ModuleDKMPalettizerConfig,
)

__all__ = ["DEFAULT_PALETTIZATION_ADVANCED_OPTIONS", "FakePalettize"]


class FakePalettize(nn.Module):
    """Palettizes the weight that it is called with, as `DKMPalettizer` does (Cho et al. 2022, "DKM").

    Off until `enable_fake_palett` is called: then weights pass unchanged. In training centroids move with
    each call, and gradients flow through it; in evaluation each weight becomes the nearest entry.

    Attributes:
        fake_palett_enabled: uint8 [1]: 1 if it is on.
        palettization: The tables; None before the first weight, whose shape they are made for.
    """

    fake_palett_enabled: torch.Tensor

    def __init__(
        self,
        observer: Any,
        n_bits: int,
        cluster_dim: int,
        enable_per_channel_scale: bool = False,
        group_size: int | None = None,
        quant_min: int = -128,
        quant_max: int = 127,
        lut_dtype: str = "f32",
        advanced_options: Mapping[str, Any] | None = None,
        **observer_kwargs: Any,
    ) -> None:
        """Takes fields of `ModuleDKMPalettizerConfig`.

        Args:
            observer: Has no effect, as `observer_kwargs`: the range of integer tables is that of their
                entries.
            n_bits: See there; likewise the others.
            cluster_dim: See there.
            enable_per_channel_scale: See there.
            group_size: See there; None is one table.
            quant_min: See there.
            quant_max: See there.
            lut_dtype: See there.
            advanced_options: Other fields, by name.
            observer_kwargs: See `observer`.

        Raises:
            RecipeError: A field is unknown or has a value that is not allowed.
        """
        super().__init__()
        granularity = PalettizationGranularity
        self.config = ModuleDKMPalettizerConfig(
            n_bits=n_bits,
            cluster_dim=cluster_dim,
            enable_per_channel_scale=enable_per_channel_scale,
            granularity=granularity.per_tensor if group_size is None else granularity.per_grouped_channel,
            group_size=group_size,
            quant_min=quant_min,
            quant_max=quant_max,
            lut_dtype=lut_dtype,
            **(advanced_options or {}),
        )
        self.palettization: Palettization | None = None
        self.register_buffer("fake_palett_enabled", torch.zeros(1, dtype=torch.uint8))

    @classmethod
    def with_args(cls, **kwargs: Any) -> Callable[..., FakePalettize]:
        """Returns a maker of such modules with some arguments given, as `torch.ao` takes it."""
        return partial(cls, **kwargs)

    @property
    def n_clusters(self) -> int:
        """Centroids of a group."""
        return self.config.options(nn.Linear).centroids

    @property
    def centroids(self) -> list[torch.Tensor]:
        """The centroids of each group [centroids, elements]; empty before they are found."""
        found = self.palettization
        return [] if found is None or not found.started else list(found.centroids)

    def enable_fake_palett(self, enabled: bool = True) -> None:
        """Switches palettization on or off."""
        self.fake_palett_enabled.fill_(int(enabled))

    def disable_fake_palett(self) -> None:
        """Switches palettization off."""
        self.enable_fake_palett(False)

    def reset_parameters(self) -> None:
        """Forgets the centroids; the next weight finds them anew."""
        if self.palettization is not None:
            self.palettization.started = False

    def create_partitions(self, weights: torch.Tensor) -> None:
        """Plans the tables of a weight.

        Raises:
            NotApplicableError: They do not fit it.
        """
        permuted = self.config.cluster_permute
        if permuted is not None and len(permuted) != weights.dim():
            raise NotApplicableError(f"cluster_permute {permuted} is no order of the {weights.dim()} axes")
        self.palettization = Palettization(weights, self.config.options(nn.Linear))
        self.palettization.train(self.training)

    def init_partitions(self, parameters: torch.Tensor) -> None:
        """Finds the first centroids, unless they are there."""
        tables = self._tables(parameters)
        if not tables.started:
            tables.start(parameters, None)

    def diff_palettize(self, X: torch.Tensor) -> torch.Tensor:
        """Returns the palettized weight, whether palettization is on or off."""
        palettized: torch.Tensor = self._tables(X)(X, None)
        return palettized

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """Returns the weight palettized, or as it is where palettization is off."""
        return self.diff_palettize(weights) if self.fake_palett_enabled.item() else weights

    def _tables(self, weights: torch.Tensor) -> Palettization:
        if self.palettization is None:
            self.create_partitions(weights.detach())
        assert self.palettization is not None
        return self.palettization

    def get_extra_state(self) -> Any:
        """Returns the shape of the weight that the tables are for."""
        tables = self.palettization
        return {"shape": None if tables is None else tables.shape}

    def set_extra_state(self, state: Any) -> None:
        """Makes room for the tables, which are loaded next."""
        if self.palettization is None and state["shape"] is not None:
            self.create_partitions(torch.empty(state["shape"], device=self.fake_palett_enabled.device))
