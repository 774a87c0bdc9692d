"""What is done to a package, said once for both libraries: their public faces take the same arguments."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

Library = Literal["mlpress", "coremltools"]
LIBRARIES: tuple[Library, Library] = ("mlpress", "coremltools")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `optimize.coreml`.

    Attributes:
        function: Its name.
        config: Name of the configuration class for all operators.
        arguments: The configuration's arguments.
    """

    function: str
    config: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """Loads a package, compresses it and saves the result.

    Attributes:
        name: Names the result.
        calls: What is done in order; the second and later ones with `joint_compression`.
        recipe: Instead of calls, a recipe as a mapping; mlpress only.
        after: The job whose result is compressed further, instead of the model itself.
    """

    name: str
    calls: tuple[Call, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    after: Job | None = None


def run(library: Library, job: Job, source: Path, destination: Path) -> float:
    """Does a job with one of the libraries; returns the seconds between loading and saving."""
    models = import_module(f"{library}.models")
    if job.recipe:
        mlpress = import_module("mlpress")
        start = time.perf_counter()
        model = mlpress.compress(source, mlpress.Recipe.from_dict(job.recipe)).model
    else:
        coreml = import_module(f"{library}.optimize.coreml")
        model = models.MLModel(str(source), skip_model_load=True)
        start = time.perf_counter()
        for index, call in enumerate(job.calls):
            config = coreml.OptimizationConfig(global_config=getattr(coreml, call.config)(**call.arguments))
            joint = index > 0 or job.after is not None
            model = getattr(coreml, call.function)(model, config, joint_compression=joint)
    seconds = time.perf_counter() - start
    model.save(str(destination))
    return seconds


def palettize(nbits: int, **arguments: Any) -> Call:
    """A table of 2^nbits entries for each weight; more as `OpPalettizerConfig` takes it."""
    return Call("palettize_weights", "OpPalettizerConfig", {"mode": "kmeans", "nbits": nbits, **arguments})


def by_group(nbits: int, size: int, **arguments: Any) -> Call:
    """A table for each `size` output channels."""
    return palettize(nbits, granularity="per_grouped_channel", group_size=size, **arguments)


def quantize(dtype: str, granularity: str, **arguments: Any) -> Call:
    """Symmetric linear quantization; more as `OpLinearQuantizerConfig` takes it."""
    return Call(
        "linear_quantize_weights",
        "OpLinearQuantizerConfig",
        {"mode": "linear_symmetric", "dtype": dtype, "granularity": granularity, **arguments},
    )


def prune(sparsity: float) -> Call:
    """Drops the given part of each weight by magnitude."""
    return Call("prune_weights", "OpMagnitudePrunerConfig", {"target_sparsity": sparsity})


PALETTIZE_4 = Job("palettize-4", (palettize(4),))
GROUPS_4 = Job("groups16-4", (by_group(4, 16),))
INT8 = Job("int8", (quantize("int8", "per_channel"),))
INT4_BLOCKS = Job("int4-blocks32", (quantize("int4", "per_block", block_size=32),))
PRUNE = Job("prune-80", (prune(0.8),))
PRUNE_PALETTIZE_4 = Job("prune-80-palettize-4", (prune(0.8), palettize(4)))

PALETTIZE_4_TWO_WORKERS = Job("palettize-4-two-workers", (palettize(4, num_kmeans_workers=2),))
GROUPS_4_TWO_WORKERS = Job("groups16-4-two-workers", (by_group(4, 16, num_kmeans_workers=2),))
VECTORS = {size: Job(f"vectors{size}-4", (palettize(4, cluster_dim=size),)) for size in (2, 4)}

TENSOR_TABLES = {nbits: Job(f"palettize-{nbits}", (palettize(nbits),)) for nbits in (2, 3, 4, 6, 8)}
GROUP_TABLES = {nbits: Job(f"groups16-{nbits}", (by_group(nbits, 16),)) for nbits in (2, 4, 6)}

INT8_TABLES = {
    nbits: Job(f"{first.name}-int8", (quantize("int8", "per_tensor"),), after=first)
    for nbits, first in TENSOR_TABLES.items()
    if nbits > 3  # coremltools leaves tables of fewer than ten entries as they are
}
INT8_TABLE_RECIPES = {
    nbits: Job(
        f"recipe-palettize-{nbits}-int8",
        recipe={"steps": [{"palettize": {"nbits": nbits}}, {"quantize": {}}]},
    )
    for nbits in INT8_TABLES
}
PRUNED_TABLES = {
    nbits: Job(f"prune-80-then-palettize-{nbits}", (palettize(nbits),), after=PRUNE) for nbits in (2, 3, 4)
}

_INT4 = {"dtype": "int4", "granularity": "per_channel"}
INT4_ABSMAX = Job("recipe-int4", recipe={"steps": [{"quantize": _INT4}]})
INT4_SEARCHED = Job("recipe-int4-mse", recipe={"steps": [{"quantize": {**_INT4, "scales": "mse"}}]})
