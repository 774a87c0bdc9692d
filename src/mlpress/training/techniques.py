"""From the stages of a recipe to what a weight is trained with."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mlpress.encoding import Dense, Encoding, Scatter, Sparse
from mlpress.errors import NotApplicableError
from mlpress.fit.layout import Layout
from mlpress.nn.training.palettize import Palettization
from mlpress.nn.training.palettize_options import PalettizeOptions
from mlpress.nn.training.prune import PruneOptions, Pruning
from mlpress.nn.training.quantize import Quantization, QuantizeOptions
from mlpress.nn.training.ranges import Integers
from mlpress.nn.training.schedules import ConstantSparsityScheduler, PruningScheduler
from mlpress.nn.training.stack import require_together
from mlpress.nn.training.technique import Technique
from mlpress.recipe import Palettize, Prune, Quantize, Stage

_ORDER = (Prune, Palettize, Quantize)


def techniques(
    stages: Sequence[Stage],
    encoding: Encoding,
    weight: torch.Tensor,
    layout: Layout,
    schedule: PruningScheduler | None,
) -> list[Technique]:
    """Returns what a weight is trained with.

    Args:
        stages: What the recipe says.
        encoding: How the weight is stored now; what it has dropped stays dropped.
        weight: Its values.
        layout: Roles of its axes.
        schedule: When pruning drops how much; None is all of it at once.

    Raises:
        NotApplicableError: A stage cannot be trained, or does not fit the weight.
    """
    source = encoding.source if isinstance(encoding, Scatter) else encoding
    if not isinstance(source, Dense | Sparse):
        raise NotApplicableError("it is quantized or palettized already; decompress it to train it")
    order = [_ORDER.index(type(stage)) for stage in stages]
    if order != sorted(set(order)):
        raise NotApplicableError("training does at most one of each, prune, then palettize, then quantize")
    made: list[Technique] = []
    if isinstance(source, Sparse) and not isinstance(stages[0], Prune):
        made.append(Pruning.keeping(encoding, weight))
    for stage in stages:
        if isinstance(stage, Prune):
            made.append(_pruning(stage, weight, schedule))
        elif isinstance(stage, Palettize):
            made.append(_palettization(stage, weight, layout))
        else:
            made.append(_quantization(stage, weight, layout))
    require_together(made)
    return made


def _pruning(stage: Prune, weight: torch.Tensor, schedule: PruningScheduler | None) -> Pruning:
    if stage.threshold is not None or (stage.block_size is not None and stage.axis != 0):
        raise NotApplicableError("training prunes by sparsity, blocks along dim 0, or n_m_ratio")
    ratio = stage.n_m_ratio
    target = stage.sparsity if ratio is None else ratio[0] / ratio[1]
    assert target is not None
    options = PruneOptions(
        initial_sparsity=target if schedule is None else 0.0,
        target_sparsity=target,
        block_size=stage.block_size or 1,
        n_m_ratio=ratio,
        dim=stage.axis,
    )
    return Pruning(weight, options, schedule or ConstantSparsityScheduler(0))


def _palettization(stage: Palettize, weight: torch.Tensor, layout: Layout) -> Palettization:
    if stage.mode != "kmeans" or stage.nbits is None:
        raise NotApplicableError(f"training palettizes by k-means, not mode {stage.mode!r}")
    by_channel = stage.group_size is not None or stage.cluster_dim > 1 or stage.per_channel_scale
    axis = stage.channel_axis if stage.channel_axis is not None else layout.output_axis
    if by_channel and axis != 0:
        raise NotApplicableError(f"training groups the channels of axis 0; its output channels are on {axis}")
    options = PalettizeOptions(
        n_bits=stage.nbits,
        group_size=stage.group_size,
        cluster_dim=stage.cluster_dim,
        per_channel_scale="abs" if stage.per_channel_scale else None,
    )
    return Palettization(weight, options)


def _quantization(stage: Quantize, weight: torch.Tensor, layout: Layout) -> Quantization:
    if stage.granularity == "per_block" or stage.scales != "absmax":
        raise NotApplicableError("training has scales per_tensor and per_channel, from the extremes")
    integers = Integers(stage.bits, not stage.dtype.startswith("u"), stage.mode == "linear_symmetric")
    options = QuantizeOptions(integers, per_channel=stage.granularity != "per_tensor")
    return Quantization(weight, options, layout.require_output_axis(weight.dim()))
