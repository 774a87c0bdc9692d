"""Configuration of palettization in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator
from torch import nn

from mlpress.nn.targets import CONVOLUTIONS
from mlpress.nn.training.palettize_options import PalettizeOptions
from mlpress.optimize.torch.fields import Sizes, dtype_in, instead, member_of, one_of, or_else
from mlpress.optimize.torch.optimization_config import (
    ModuleOptimizationConfig,
    OptimizationConfig,
    PalettizationGranularity,
)
from mlpress.optimize.torch.palettization.fields import check_groups

DKM_MODULES: Final = (nn.Linear, *CONVOLUTIONS, nn.LayerNorm, nn.MultiheadAttention, nn.Embedding)


def default_bits(kind: type[nn.Module]) -> int:
    """Returns the bits of modules of a type where none are given."""
    return 4 if kind is nn.Linear else 2


class ModuleDKMPalettizerConfig(ModuleOptimizationConfig):
    """How to palettize a module in training (Cho et al. 2022, "DKM").

    Most uses need the first few fields only. Fields that say how coremltools computes, and not what, are
    taken and have no effect: memory is linear in the weights and centroids start at the exact optimum
    whatever they say. These are `quant_min`, `quant_max`, `dtype`, `palett_max_mem`, `kmeans_init`,
    `kmeans_opt1d_threshold`, `palett_lambda`, `palett_min_tsize`, `palett_unique`, `palett_shard`,
    `palett_batch_mode`, `palett_dist`, `kmeans_batch_threshold`, `kmeans_n_init` and `kmeans_error_bnd`.

    Attributes:
        n_bits: 1, 2, 3, 4, 6 or 8; None is 4 for linear layers and 2 for others.
        weight_threshold: Only weights with more elements than this are palettized.
        granularity: ``per_tensor`` or ``per_grouped_channel``.
        group_size: For ``per_grouped_channel``, and only there: channels that share a table.
        channel_axis: 0; `cluster_permute` can choose another one.
        enable_per_channel_scale: Palettize the weights divided by one scale per output channel.
        milestone: Step at which palettization begins.
        cluster_dim: Neighbours along the channels that share an index; None is 1.
        lut_dtype: ``f32``, ``f16``, ``bf16``, or ``i8`` or ``u8`` for tables of integers (``int8`` and
            ``uint8``, the names that palettization after training takes, mean the same).
        quantize_activations: False. (With True coremltools keeps a range for each sample of a batch, fails
            when a batch has another size, and forgets the ranges in the end.)
        cluster_permute: An order of the weight's axes; groups, vectors and scales of channels are along the
            first of them, and the order of the others makes no difference.
        kmeans_max_iter: Iterations of k-means in each step.
        prune_threshold: Subtracted from squared distances to the first centroid. 0 together with
            `enforce_zero` leaves the one at zero to weights that are zero.
        enforce_zero: Whether one centroid is fixed at zero.
        palett_mode: ``dkm``; ``gsm``, which adds Gumbel noise to the attention; or ``hard``, for attention to
            the nearest centroid only.
        palett_tau: Temperature of the attention.
        palett_epsilon: A step ends when the error changes by no more than this.
        add_extra_centroid: Whether zero is a centroid beside those of the table. Weights that go to it are
            stored as zeros of a mask, which needs joint compression (iOS 18).
        palett_cluster_tol: Fraction of a table's entries that may equal others before they are moved apart.
        per_channel_scaling_factor_scheme: ``min_max`` or ``abs``.
        percentage_palett_enable: Fraction of the groups that are trained, at least one group; the others keep
            the tables they get first.
        zero_threshold: Least attention.
        partition_size: None: `group_size` says it.
        cluster_dtype: None: `lut_dtype` says it.
    """

    type_fields: ClassVar[tuple[str, ...]] = ("dtype",)

    n_bits: Annotated[int, one_of(1, 2, 3, 4, 6, 8)] | None = None
    weight_threshold: int = 2048
    granularity: Annotated[PalettizationGranularity, member_of(PalettizationGranularity)] = (
        PalettizationGranularity.per_tensor
    )
    group_size: int | None = None
    channel_axis: Annotated[int, one_of(0)] = 0
    enable_per_channel_scale: bool = False
    milestone: int = 0
    cluster_dim: int | None = None
    quant_min: int = -128
    quant_max: int = 127
    dtype: Annotated[Any, dtype_in("qint8", "quint8", "float32")] = "qint8"
    lut_dtype: Annotated[str, one_of("f32", "f16", "bf16", "i8", "u8"), or_else(int8="i8", uint8="u8")] = (
        "f32"
    )
    quantize_activations: bool = False
    cluster_permute: Sizes | None = None
    palett_max_mem: float = 1.0
    kmeans_max_iter: int = 3
    prune_threshold: float = 1e-7
    kmeans_init: Annotated[str, one_of("auto", "opt1d", "cpu.kmeans++", "kmeans++")] = "auto"
    kmeans_opt1d_threshold: int = 1024
    enforce_zero: bool = False
    palett_mode: Annotated[str, one_of("dkm", "gsm", "hard")] = "dkm"
    palett_tau: float = 0.0001
    palett_epsilon: float = 0.0001
    palett_lambda: float = 0.0
    add_extra_centroid: bool = False
    palett_cluster_tol: Annotated[float, Field(ge=0, le=1)] = 0.0
    palett_min_tsize: int = 64 * 1024
    palett_unique: bool = False
    palett_shard: bool = False
    palett_batch_mode: bool = False
    palett_dist: bool = False
    per_channel_scaling_factor_scheme: Annotated[str, one_of("min_max", "abs")] = "min_max"
    percentage_palett_enable: Annotated[float, Field(gt=0, le=1)] = 1.0
    kmeans_batch_threshold: int = 4
    kmeans_n_init: int = 10
    zero_threshold: float = 1e-7
    kmeans_error_bnd: float = 0.0
    partition_size: Annotated[None, instead("group_size")] = None
    cluster_dtype: Annotated[None, instead("lut_dtype")] = None

    @model_validator(mode="after")
    def _check(self) -> Any:
        check_groups(self.granularity, self.group_size)
        for name in ("milestone", "weight_threshold"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 or more")
        for name in ("kmeans_max_iter", "cluster_dim"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        if self.quantize_activations:
            raise ValueError("quantize_activations is True; prepare the model with LinearQuantizer, too")
        permuted = self.cluster_permute or ()
        if set(permuted) != set(range(len(permuted))):
            raise ValueError(f"cluster_permute is {permuted}; it has each axis from 0 on once")
        if self.palett_tau <= 0:
            raise ValueError(f"palett_tau is {self.palett_tau}; allowed: above 0")
        return self

    def options(self, kind: type[nn.Module]) -> PalettizeOptions:
        """Returns what matters of it for modules of a type."""
        scheme = self.per_channel_scaling_factor_scheme
        return PalettizeOptions(
            n_bits=self.n_bits or default_bits(kind),
            group_size=self.group_size,
            axis=self.cluster_permute[0] if self.cluster_permute else self.channel_axis,
            cluster_dim=self.cluster_dim or 1,
            per_channel_scale=scheme if self.enable_per_channel_scale else None,
            table_dtype=self.lut_dtype,
            milestone=self.milestone,
            tau=self.palett_tau,
            iterations=self.kmeans_max_iter,
            tolerance=self.palett_epsilon,
            floor=self.zero_threshold,
            bonus=-math.inf if self.enforce_zero and not self.prune_threshold else self.prune_threshold,
            zero_first=self.enforce_zero,
            mode=self.palett_mode,
            extra_zero=self.add_extra_centroid,
            trained=self.percentage_palett_enable,
            duplicates=self.palett_cluster_tol,
        )


_DEFAULTS: Final = ModuleDKMPalettizerConfig().as_dict()
_OTHERS: Final = ("n_bits", "cluster_dim", "partition_size", "cluster_dtype")

DEFAULT_PALETTIZATION_OPTIONS: Final = {
    name: _DEFAULTS[name]
    for name in (
        "quant_min",
        "quant_max",
        "dtype",
        "lut_dtype",
        "weight_threshold",
        "milestone",
        "quantize_activations",
        "enable_per_channel_scale",
        "granularity",
        "group_size",
    )
}

DEFAULT_PALETTIZATION_ADVANCED_OPTIONS: Final = {
    name: default
    for name, default in _DEFAULTS.items()
    if name
    not in (*DEFAULT_PALETTIZATION_OPTIONS, "n_bits", "cluster_dim", "partition_size", "cluster_dtype")
}

DEFAULT_PALETTIZATION_SCHEME: Final = {
    kind: {
        "n_bits": default_bits(kind),
        "cluster_dim": 1,
        **DEFAULT_PALETTIZATION_OPTIONS,
        **DEFAULT_PALETTIZATION_ADVANCED_OPTIONS,
    }
    for kind in DKM_MODULES
}


class DKMPalettizerConfig(OptimizationConfig):
    """Which modules to palettize in training, and how.

    A scope can hold a list: the configuration with the largest `weight_threshold` below a weight's size is
    taken.
    """

    module_config: ClassVar[type[ModuleDKMPalettizerConfig]] = ModuleDKMPalettizerConfig
    supported_modules: ClassVar[tuple[Any, ...] | None] = DKM_MODULES

    def _set_defaults(self) -> None:
        self.module_type_configs = {
            kind: ModuleDKMPalettizerConfig.from_dict(scheme)
            for kind, scheme in DEFAULT_PALETTIZATION_SCHEME.items()
        }

    @classmethod
    def make(cls, value: Any) -> Any:
        """Returns a module's configuration or a list of them, made from their fields if need be, or None."""
        if (
            isinstance(value, list)
            and value
            and all(isinstance(entry, (Mapping, cls.module_config)) for entry in value)
        ):
            return sorted((cls.make(entry) for entry in value), key=lambda config: config.weight_threshold)
        return super().make(value)
