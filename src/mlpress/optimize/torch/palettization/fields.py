"""What the configurations of palettizers share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import model_validator
from torch import nn

from mlpress.optimize.torch.fields import dtype_in, member_of, name_of_type, one_of
from mlpress.optimize.torch.optimization_config import ModuleOptimizationConfig, PalettizationGranularity
from mlpress.recipe import Palettize, Quantize, Stage

KMEANS_MODULES: Final = (nn.Linear, nn.Embedding, nn.Conv2d, nn.MultiheadAttention)


def check_groups(granularity: PalettizationGranularity, group_size: int | None) -> None:
    """Raises ValueError if a size of groups is missing, not wanted or too small."""
    grouped = granularity is PalettizationGranularity.per_grouped_channel
    if grouped != (group_size is not None):
        raise ValueError("group_size goes with granularity 'per_grouped_channel', and only with it")
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size is {group_size}; allowed: 1 or more")


class KMeansConfig(ModuleOptimizationConfig):
    """How to palettize a module after training.

    Attributes:
        n_bits: 1, 2, 3, 4, 6 or 8: a table has ``2 ** n_bits`` entries.
        lut_dtype: ``int8`` or ``uint8`` for tables of integers; None for floats.
        granularity: ``per_tensor`` or ``per_grouped_channel``.
        group_size: For ``per_grouped_channel``, and only there: channels that share a table.
        channel_axis: Axis of those channels, and along which vectors lie: 0 or 1.
        cluster_dim: Weights along the channel axis that share an index; None is 1.
        enable_per_channel_scale: Palettize the weights divided by one scale per output channel. Not with
            vectors.
    """

    type_fields: ClassVar[tuple[str, ...]] = ("lut_dtype",)

    n_bits: Annotated[int, one_of(1, 2, 3, 4, 6, 8)] = 4
    lut_dtype: Annotated[Any, dtype_in("int8", "uint8")] | None = None
    granularity: Annotated[PalettizationGranularity, member_of(PalettizationGranularity)] = (
        PalettizationGranularity.per_tensor
    )
    group_size: int | None = None
    channel_axis: Annotated[int, one_of(0, 1)] = 0
    cluster_dim: int | None = None
    enable_per_channel_scale: bool = False

    @model_validator(mode="after")
    def _check(self) -> Any:
        check_groups(self.granularity, self.group_size)
        if self.cluster_dim is not None and self.cluster_dim < 1:
            raise ValueError(f"cluster_dim is {self.cluster_dim}; allowed: 1 or more")
        if self.enable_per_channel_scale and (self.cluster_dim or 1) > 1:
            raise ValueError(
                f"enable_per_channel_scale goes with cluster_dim 1 only; cluster_dim is {self.cluster_dim}"
            )
        return self

    def stages(self) -> tuple[Stage, ...]:
        """Returns the stages of a recipe that say the same."""
        palettize = Palettize(
            nbits=self.n_bits,
            group_size=self.group_size,
            channel_axis=self.channel_axis,
            cluster_dim=self.cluster_dim or 1,
            per_channel_scale=self.enable_per_channel_scale,
            weight_threshold=0,
        )
        table = name_of_type(self, "lut_dtype")
        return (palettize,) if table is None else (palettize, Quantize(dtype=table, weight_threshold=0))
