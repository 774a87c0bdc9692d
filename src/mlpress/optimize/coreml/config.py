"""Configurations of one technique each, under coremltools' names; each becomes a stage of a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mlpress.errors import RecipeError
from mlpress.recipe import Palettize, Prune, Quantize, Stage, make_stage

_STRUCTURED_OPS = ("conv", "linear")


class OpCompressorConfig(ABC):
    """What the configurations share."""

    @abstractmethod
    def stage(self) -> Stage:
        """Returns the stage of a recipe that says the same."""

    def check_op_type(self, op_type: str) -> None:
        """Raises RecipeError if the configuration means nothing for operators of a type."""
        if op_type == "const":
            raise RecipeError("op type 'const' is no user of weights; give the types of those, or op names")

    def __post_init__(self) -> None:
        self.stage()

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> OpCompressorConfig:
        """Makes a configuration from its arguments by name.

        Raises:
            RecipeError: An argument is unknown or its value is not allowed.
        """
        allowed = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        unknown = [name for name in arguments if name not in allowed]
        if unknown:
            raise RecipeError(f"{cls.__name__} has no argument {unknown[0]!r}; it takes {', '.join(allowed)}")
        return cls(**arguments)


@dataclass
class OpLinearQuantizerConfig(OpCompressorConfig):
    """Linear quantization.

    Attributes:
        mode: ``"linear_symmetric"`` (a range symmetric about zero) or ``"linear"`` (from the least to the
            greatest weight).
        dtype: int8, uint8, int4 or uint4: a string, or a NumPy or coremltools type.
        granularity: ``"per_tensor"``, ``"per_channel"`` or ``"per_block"``.
        block_size: For ``"per_block"``: weights of a block along the input channels, or a size for each
            axis, 0 meaning all of it.
        weight_threshold: Only weights with more elements than this are touched.
    """

    mode: str = "linear_symmetric"
    dtype: Any = "int8"
    granularity: Any = "per_channel"
    block_size: Any = 32
    weight_threshold: int = 2048

    def stage(self) -> Quantize:
        """Returns the stage of a recipe that says the same."""
        size = self.block_size
        arguments = {
            "mode": str(self.mode).lower(),
            "dtype": _dtype_name(self.dtype),
            "granularity": _granularity(self.granularity),
            "block_size": tuple(size) if isinstance(size, (list, tuple)) else size,
            "weight_threshold": self.weight_threshold,
        }
        found: Quantize = make_stage(Quantize, arguments, type(self).__name__)
        return found


@dataclass
class OpThresholdPrunerConfig(OpCompressorConfig):
    """Pruning of all weights whose magnitude is at most a threshold.

    Attributes:
        threshold: The threshold, 0 or more.
        minimum_sparsity_percentile: A weight is left alone if less than this fraction of it would be zero.
        weight_threshold: Only weights with more elements than this are touched.
    """

    threshold: float = 1e-12
    minimum_sparsity_percentile: float = 0.5
    weight_threshold: int = 2048

    def stage(self) -> Prune:
        """Returns the stage of a recipe that says the same."""
        arguments = {
            "threshold": self.threshold,
            "minimum_sparsity": self.minimum_sparsity_percentile,
            "weight_threshold": self.weight_threshold,
        }
        found: Prune = make_stage(Prune, arguments, type(self).__name__)
        return found


@dataclass
class OpMagnitudePrunerConfig(OpCompressorConfig):
    """Pruning of the weights of least magnitude.

    Attributes:
        target_sparsity: Fraction to drop, 0 to 1.
        block_size: With it: drop blocks of this many weights along `dim`.
        n_m_ratio: Instead: drop n of every m weights along `dim`.
        dim: 0 (default for blocks) or 1 (default for n:m).
        weight_threshold: Only weights with more elements than this are touched.
    """

    target_sparsity: float | None = None
    block_size: int | None = None
    n_m_ratio: tuple[int, int] | None = None
    dim: int | None = None
    weight_threshold: int = 2048

    def __post_init__(self) -> None:
        if (self.target_sparsity is None) == (self.n_m_ratio is None):
            raise RecipeError("give exactly one of target_sparsity and n_m_ratio")
        super().__post_init__()
        if self.n_m_ratio is not None:  # YAML has lists only
            n, m = self.n_m_ratio
            self.n_m_ratio = n, m
        if self.dim is None and self.stage().is_structured:
            self.dim = self.stage().axis

    def stage(self) -> Prune:
        """Returns the stage of a recipe that says the same."""
        arguments = {
            "sparsity": self.target_sparsity,
            "block_size": self.block_size,
            "n_m_ratio": None if self.n_m_ratio is None else tuple(self.n_m_ratio),
            "dim": self.dim,
            "weight_threshold": self.weight_threshold,
        }
        found: Prune = make_stage(Prune, arguments, type(self).__name__)
        return found

    def check_op_type(self, op_type: str) -> None:
        """Raises RecipeError if the configuration means nothing for operators of a type."""
        super().check_op_type(op_type)
        if self.stage().is_structured and op_type not in _STRUCTURED_OPS:
            raise RecipeError(
                f"block and n:m sparsity are for {' and '.join(_STRUCTURED_OPS)} operators, not {op_type!r}"
            )


@dataclass
class OpPalettizerConfig(OpCompressorConfig):
    """Palettization.

    Attributes:
        mode: ``"kmeans"``, ``"uniform"``, ``"unique"`` or ``"custom"``.
        nbits: 1, 2, 3, 4, 6 or 8; for kmeans and uniform only, which need it.
        lut_function: For custom: takes the weights of one table and returns (table, indices).
        granularity: ``"per_tensor"`` or ``"per_grouped_channel"``.
        group_size: For ``"per_grouped_channel"``: channels that share a table; 0 for all of them.
        channel_axis: Axis of those channels; None picks the output channels of the operator.
        cluster_dim: Weights along the channel axis that share an index.
        enable_per_channel_scale: Fit the weights divided by one scale per output channel.
        num_kmeans_workers: Weights to work on at a time.
        weight_threshold: Only weights with more elements than this are touched.
    """

    mode: str = "kmeans"
    nbits: int | None = None
    lut_function: Callable[..., Any] | None = None
    granularity: Any = "per_tensor"
    group_size: int = 32
    channel_axis: int | None = None
    cluster_dim: int = 1
    enable_per_channel_scale: bool = False
    num_kmeans_workers: int = 1
    weight_threshold: int = 2048

    def stage(self) -> Palettize:
        """Returns the stage of a recipe that says the same."""
        granularity = _granularity(self.granularity)
        if granularity not in ("per_tensor", "per_grouped_channel"):
            raise RecipeError(
                f"OpPalettizerConfig: granularity is {granularity!r}; "
                f"allowed: per_tensor, per_grouped_channel"
            )
        arguments = {
            "mode": str(self.mode).lower(),
            "nbits": self.nbits,
            "lut_function": self.lut_function,
            "group_size": (self.group_size or None) if granularity == "per_grouped_channel" else None,
            "channel_axis": self.channel_axis,
            "cluster_dim": self.cluster_dim,
            "per_channel_scale": self.enable_per_channel_scale,
            "weight_threshold": self.weight_threshold,
        }
        found: Palettize = make_stage(Palettize, arguments, type(self).__name__)
        return found


def _dtype_name(dtype: Any) -> str:
    """Returns the name of an element type given as a string, a NumPy type or coremltools' class for it."""
    if isinstance(dtype, str):
        return dtype
    if hasattr(dtype, "get_bitwidth") and hasattr(dtype, "is_unsigned"):
        return f"{'u' if dtype.is_unsigned() else ''}int{dtype.get_bitwidth()}"
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype)


def _granularity(granularity: Any) -> str:
    """Returns a granularity given as a string or as coremltools' enumeration."""
    return str(getattr(granularity, "name", granularity)).lower()
