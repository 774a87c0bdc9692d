"""The passes in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mlpress.converter.passes.activations import recognise_activations
from mlpress.converter.passes.attention import recognise_attention
from mlpress.converter.passes.batch_norm import fold_batch_norm, fold_factors, fold_scales_and_shifts
from mlpress.converter.passes.cleanup import (
    merge_equal,
    merge_equal_constants,
    remove_dead,
    remove_identities,
    remove_neutral,
)
from mlpress.converter.passes.editor import Editor
from mlpress.converter.passes.folding import fold_constants
from mlpress.converter.passes.joins import interleave_joined, merge_joins
from mlpress.converter.passes.layout import limit_rank, shorten_moves, sink_moves, slices_of_products
from mlpress.converter.passes.normalizations import (
    fold_epsilon,
    fold_gamma_and_beta,
    recognise_instance_norm,
    recognise_layer_norm,
    rms_norm_in_range,
)
from mlpress.converter.passes.products import absorb_transposes, fold_scalars, make_linear
from mlpress.converter.passes.slices import merge_slices, share_out, transpose_once
from mlpress.converter.passes.wide import narrow_operations
from mlpress.mil import Block, Constant, Function, Operation

Pass = Callable[[Editor], None]

_CLEAN: Final[tuple[Pass, ...]] = (merge_equal_constants, remove_identities, merge_equal, remove_dead)

_FUSE: Final[tuple[Pass, ...]] = (
    fold_constants,
    remove_neutral,
    remove_identities,
    fold_batch_norm,
    absorb_transposes,
    shorten_moves,
    remove_identities,
    remove_dead,
    interleave_joined,
    merge_joins,
    slices_of_products,
    merge_slices,
    share_out,
    remove_identities,
    remove_dead,
    sink_moves,
    remove_dead,
    shorten_moves,
    remove_dead,
    limit_rank,
    remove_identities,
    remove_dead,
    absorb_transposes,
    make_linear,
    recognise_activations,
    fold_epsilon,
    recognise_layer_norm,
    remove_dead,
    recognise_instance_norm,
    fold_gamma_and_beta,
    remove_dead,
    recognise_attention,
    transpose_once,
    remove_identities,
    remove_dead,
    fold_constants,
    fold_scalars,
    remove_identities,
    fold_scales_and_shifts,
    fold_factors,
    narrow_operations,
    remove_dead,
    remove_identities,
)


def simplify(function: Function) -> None:
    """Makes a function smaller, in place; what it computes stays the same up to rounding."""
    _run(function, (*_CLEAN, *_FUSE, *_CLEAN))


def prepare_float16(function: Function) -> None:
    """Rewrites what would leave float16's range on the way, in place."""
    _run(function, (rms_norm_in_range, remove_dead))


def clean(function: Function) -> None:
    """Removes what has no effect, in place."""
    _run(function, _CLEAN)


def _run(function: Function, passes: tuple[Pass, ...]) -> None:
    _run_on(function, function.block, (), passes)


def _run_on(function: Function, block: Block, outer: tuple[Constant, ...], passes: tuple[Pass, ...]) -> None:
    """Runs passes on a block, and then on those inside of it."""
    editor = Editor(function, block, outer)
    for run in passes:
        run(editor)
    editor.finish()
    known = (*outer, *(node for node in block.operations if isinstance(node, Constant)))
    for node in block.operations:
        if isinstance(node, Operation):
            for nested in node.blocks:
                _run_on(function, nested, known, passes)
