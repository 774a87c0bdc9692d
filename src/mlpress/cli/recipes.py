"""From the flags of `mlpress compress` to a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from mlpress.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says about how to compress; None for what it does not say."""

    prune: float | None
    palettize: int | None
    group_size: int | None
    quantize: str | None
    granularity: str | None
    block_size: int | None
    scales: str | None
    weight_threshold: int | None

    def given(self) -> list[str]:
        """The flags that were given, as they are written."""
        return [_flag(name) for name, value in asdict(self).items() if value is not None]


# A stage's argument by the flag that sets it; the flag of the stage's own name switches the stage on.
_ARGUMENTS = {
    "prune": {"prune": "sparsity"},
    "palettize": {"palettize": "nbits", "group_size": "group_size"},
    "quantize": {
        "quantize": "dtype",
        "granularity": "granularity",
        "block_size": "block_size",
        "scales": "scales",
    },
}


_METHODS = {"prune": "sparse_gpt", "palettize": "sensitive", "quantize": "gptq"}


def make_recipe(file: Path | None, flags: Flags, *, with_methods: bool) -> Recipe:
    """Returns the recipe in `file`, or the one that `flags` stand for: prune, then palettize, then quantize.

    `with_methods`, the flags stand for the methods that take samples; tables of palettized weights are
    quantized without.

    Raises:
        typer.BadParameter: Both or neither are given, a flag's stage is missing, or a value is not allowed.
        RecipeError: The file holds no recipe.
        OSError: The file cannot be read.
    """
    from mlpress.recipe import Recipe

    given = flags.given()
    if file is not None:
        if given:
            raise typer.BadParameter(f"--recipe says it all; {', '.join(given)} cannot go with it")
        return Recipe.from_yaml(file)
    if not any((flags.prune is not None, flags.palettize is not None, flags.quantize is not None)):
        raise typer.BadParameter("say what to do: --prune, --palettize, --quantize or --recipe")
    return _from_flags(asdict(flags), _METHODS if with_methods else {})


def _from_flags(values: dict[str, Any], methods: Mapping[str, str]) -> Recipe:
    from mlpress.errors import RecipeError
    from mlpress.recipe import Recipe

    steps = []
    for stage, names in _ARGUMENTS.items():
        arguments = {names[flag]: values[flag] for flag in names if values[flag] is not None}
        if values[stage] is not None:
            if values["weight_threshold"] is not None:
                arguments["weight_threshold"] = values["weight_threshold"]
            if stage in methods and not (stage == "quantize" and values["palettize"] is not None):
                arguments["method"] = methods[stage]
            steps.append({stage: arguments})
        elif arguments:
            stray = next(_flag(flag) for flag in names if values[flag] is not None)
            raise typer.BadParameter(f"{stray} goes with {_flag(stage)}")
    try:
        return Recipe.from_dict({"steps": steps})
    except RecipeError as error:
        raise typer.BadParameter(str(error).split(".", 1)[-1]) from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
