"""Which operators can compute on 8-bit values, and the rules that say which do."""

from __future__ import annotations

from typing import Final

from mlpress.errors import RecipeError
from mlpress.recipe import Quantize, Recipe, Stage, Step

DEFAULT: Final = {
    "add": ("x", "y"),
    "avg_pool": ("x",),
    "conv": ("x",),
    "linear": ("x",),
    "max_pool": ("x",),
}
"""Operators that are worked on unless a rule says otherwise, as coremltools does, and their inputs."""

ON_REQUEST: Final = {
    "conv_transpose": ("x",),
    "matmul": ("x", "y"),
    "scaled_dot_product_attention": ("query", "key", "value"),
}
"""Operators that are worked on if a rule names them or their type."""

ALL: Final = {**DEFAULT, **ON_REQUEST}
"""All operators that can be worked on."""

FOLLOWING: Final = ("leaky_relu", "relu", "relu6", "scaled_tanh", "sigmoid", "tanh")
"""Activation functions that belong to the operator before: integers come after both."""


def checked(rules: Recipe | Step | Stage) -> Step:
    """Returns the one step that `rules` are.

    Raises:
        RecipeError: They are several, or not of `Quantize` to 8 bits with one scale from measured ranges.
    """
    steps = Recipe.of(rules).steps
    if len(steps) != 1:
        raise RecipeError(f"activations are quantized in one step; the recipe has {len(steps)}")
    step = steps[0]
    for stage in (step.stage, *step.op_types.values(), *step.names.values()):
        if stage is None:
            continue
        if not isinstance(stage, Quantize) or stage.bits != 8:
            raise RecipeError(f"activations take Quantize with dtype int8 or uint8, not {stage!r}")
        own = stage.granularity not in (None, "per_tensor") or stage.scales != "absmax"
        if own or stage.method is not None:
            raise RecipeError(
                f"an activation has one scale, from the ranges that are measured, not {stage!r}"
            )
    return step
