"""Stages: one thing to do to a weight each, described by a frozen, validated value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlpress.errors import RecipeError

if TYPE_CHECKING:
    from mlpress.recipe.recipe import Recipe, Step

NBITS = (1, 2, 3, 4, 6, 8)

TableFunction = Callable[[npt.NDArray[Any]], tuple[Any, Any]]


def _plain(value: Any) -> Any:
    """Returns numbers of NumPy as Python's, and lists as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


class StageBase(BaseModel):
    """What all stages share.

    Attributes:
        weight_threshold: Only weights with more elements than this are touched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight_threshold: int = Field(default=2048, ge=0)

    def __init__(self, **arguments: Any) -> None:
        """Checks the arguments.

        Raises:
            RecipeError: One is unknown, or has a value that is not allowed; the message names it.
        """
        try:
            super().__init__(**{name: _plain(value) for name, value in arguments.items()})
        except ValidationError as error:
            problems = "; ".join(self._problem(problem) for problem in error.errors())
            raise RecipeError(problems) from None

    @classmethod
    def _problem(cls, problem: Any) -> str:
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            return f"{cls.__name__} has no argument {place!r}; it takes {', '.join(cls.model_fields)}"
        message = problem["msg"].removeprefix("Value error, ")
        return f"{place} is {problem['input']!r}: {message}" if place else message

    def __rshift__(self, after: Stage | Step | Recipe) -> Recipe:
        """``a >> b``: do `a`, then `b`."""
        from mlpress.recipe.recipe import Recipe

        return Recipe.of(cast("Stage", self)) >> after

    def but(
        self,
        *,
        op_types: dict[str, Stage | None] | None = None,
        names: dict[str, Stage | None] | None = None,
    ) -> Step:
        """Makes exceptions for some operators.

        Args:
            op_types: What to do instead to the weights of operators of a type; None leaves them alone.
            names: The same by name of the constant or of the operator that uses it; shell-style patterns.
                Wins over `op_types`.
        """
        from mlpress.recipe.recipe import Step

        return Step(stage=cast("Stage", self), op_types=op_types or {}, names=names or {})


class Prune(StageBase):
    """Sets the weights of least magnitude to zero and stores the others beside a bit mask.

    Exactly one of `sparsity`, `n_m_ratio` and `threshold` is given.

    Attributes:
        sparsity: Fraction of the weights to drop, 0 to 1.
        block_size: With `sparsity`: drop blocks of this many weights along `dim` by their L2 norm.
        n_m_ratio: ``(n, m)``: drop n of every m weights along `dim`.
        dim: 0 (output channels, default for blocks) or 1 (input channels, default for n:m).
        threshold: Drop weights whose magnitude is at most this.
        minimum_sparsity: With `threshold`: leave a weight alone if fewer than this fraction would be dropped.
        method: ``sparse_gpt`` chooses by samples what to drop, and changes what stays to make up for it. None
            goes by magnitude.
    """

    sparsity: float | None = Field(default=None, ge=0, le=1)
    block_size: int | None = Field(default=None, gt=1)
    n_m_ratio: tuple[int, int] | None = None
    dim: Literal[0, 1] | None = None
    threshold: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    minimum_sparsity: float = Field(default=0.5, ge=0, le=1)
    method: Literal["sparse_gpt"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Prune:
        ways = [name for name in ("sparsity", "n_m_ratio", "threshold") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"give exactly one of sparsity, n_m_ratio and threshold, not {ways or 'none'}")
        if self.block_size is not None and self.sparsity is None:
            raise ValueError("block_size goes with sparsity")
        if self.dim is not None and not self.is_structured:
            raise ValueError("dim goes with block_size or n_m_ratio")
        if self.n_m_ratio is not None and not 0 <= self.n_m_ratio[0] <= self.n_m_ratio[1]:
            raise ValueError(f"n_m_ratio is (n, m) with 0 <= n <= m, not {self.n_m_ratio}")
        if "minimum_sparsity" in self.model_fields_set and self.threshold is None:
            raise ValueError("minimum_sparsity goes with threshold")
        if self.method and (self.threshold is not None or self.block_size is not None or self.dim == 0):
            raise ValueError("method 'sparse_gpt' goes with sparsity, or with n_m_ratio along dim 1")
        return self

    @property
    def is_structured(self) -> bool:
        """Whether weights are dropped in a pattern along an axis, which only conv and linear weights have."""
        return self.block_size is not None or self.n_m_ratio is not None

    @property
    def axis(self) -> int:
        """Axis of the pattern of a structured stage."""
        return self.dim if self.dim is not None else int(self.n_m_ratio is not None)


class Palettize(StageBase):
    """Replaces each weight by an index into a table of 2^nbits entries.

    Attributes:
        nbits: 1, 2, 3, 4, 6 or 8; required by ``kmeans`` and ``uniform``, refused by the others, which find
            it out.
        mode: ``kmeans`` (least squared error), ``uniform`` (evenly spaced), ``unique`` (the values that
            there are), or ``custom`` (`lut_function`).
        lut_function: For ``custom``: takes the weights of one table and returns (table, indices).
        group_size: Channels that share a table; None for one table.
        channel_axis: Axis of those channels; None picks the output channels of the operator.
        cluster_dim: Weights along the channel axis that share one index, a table entry being a vector of
            them.
        per_channel_scale: Fit the weights divided by one scale per output channel.
        method: ``sensitive`` counts the error of each weight by how much the outputs of the model depend on
            it, measured on samples; for mode ``kmeans``. None counts all alike.
    """

    nbits: int | None = None
    mode: Literal["kmeans", "uniform", "unique", "custom"] = "kmeans"
    lut_function: TableFunction | None = None
    group_size: int | None = Field(default=None, gt=0)
    channel_axis: int | None = None
    cluster_dim: int = Field(default=1, ge=1)
    per_channel_scale: bool = False
    method: Literal["sensitive"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Palettize:
        needs_nbits = self.mode in ("kmeans", "uniform")
        if needs_nbits and self.nbits not in NBITS:
            raise ValueError(f"nbits is {self.nbits}; mode {self.mode!r} takes one of {NBITS}")
        if not needs_nbits and self.nbits is not None:
            raise ValueError(f"mode {self.mode!r} finds nbits by itself; leave nbits out")
        if (self.mode == "custom") != (self.lut_function is not None):
            raise ValueError("lut_function goes with mode 'custom', and only with it")
        if self.cluster_dim > 1 and self.mode == "uniform":
            raise ValueError("mode 'uniform' has no vectors; cluster_dim has to be 1")
        if self.method is not None and self.mode != "kmeans":
            raise ValueError(f"method {self.method!r} goes with mode 'kmeans'")
        return self


class Quantize(StageBase):
    """Stores each weight as an integer, ``scale * (integer - offset)``.

    Attributes:
        dtype: ``int8``, ``uint8``, ``int4`` or ``uint4``.
        mode: ``linear_symmetric`` (the range is symmetric about zero) or ``linear`` (it runs from the least
            to the greatest weight).
        granularity: What shares a scale: ``per_tensor``, ``per_channel`` or ``per_block``. None is per
            output channel for weights, and one scale for the table of a palettized weight, which takes no
            other.
        block_size: For ``per_block``: weights of a block along the input channels, or one size for each
            axis, 0 meaning all of it.
        scales: ``absmax`` takes scales from the extremes, ``mse`` searches those of least squared error.
        method: ``gptq`` chooses the integers by samples, so that the operator's results change least. None
            takes the nearest.
    """

    dtype: Literal["int8", "uint8", "int4", "uint4"] = "int8"
    mode: Literal["linear_symmetric", "linear"] = "linear_symmetric"
    granularity: Literal["per_tensor", "per_channel", "per_block"] | None = None
    block_size: Annotated[int, Field(ge=0)] | tuple[Annotated[int, Field(ge=0)], ...] = 32
    scales: Literal["absmax", "mse"] = "absmax"
    method: Literal["gptq"] | None = None

    @property
    def bits(self) -> int:
        return int(self.dtype[-1])

    @property
    def low(self) -> int:
        """Least integer used."""
        if self.dtype.startswith("u"):
            return 0
        return -(1 << (self.bits - 1)) + (self.mode == "linear_symmetric")

    @property
    def high(self) -> int:
        """Greatest integer used."""
        if self.dtype.startswith("u"):
            return (1 << self.bits) - 1 - (self.mode == "linear_symmetric")
        return (1 << (self.bits - 1)) - 1

    @property
    def middle(self) -> int:
        """Integer that stands for zero in the symmetric mode."""
        return (self.high + self.low) // 2

    @property
    def storage(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.dtype.startswith("u") else np.int8)


Stage = Prune | Palettize | Quantize
STAGES: dict[str, type[Prune] | type[Palettize] | type[Quantize]] = {
    "prune": Prune,
    "palettize": Palettize,
    "quantize": Quantize,
}


def stage_name(stage: Stage) -> str:
    """Returns the name of a stage's kind as recipes write it."""
    return type(stage).__name__.lower()
