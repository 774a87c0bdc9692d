"""The grid: what both libraries are asked to do, each with the same names and arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.oracle.models import THRESHOLD

_FUNCTIONS = {
    "OpPalettizerConfig": "palettize_weights",
    "OpLinearQuantizerConfig": "linear_quantize_weights",
    "OpMagnitudePrunerConfig": "prune_weights",
    "OpThresholdPrunerConfig": "prune_weights",
}


@dataclass(frozen=True)
class Step:
    """One call of one function.

    Attributes:
        config: Name of the class of the configuration.
        arguments: Its arguments by name.
        op_types: Operators that it is for; all if there are none.
    """

    config: str
    arguments: tuple[tuple[str, Any], ...]
    op_types: tuple[str, ...] = ()

    def run(self, library: Any, model: Any, *, joint: bool) -> Any:
        """Does it with a library's ``optimize.coreml`` module; returns the new model."""
        arguments = {
            key: list(value) if key == "block_size" and isinstance(value, tuple) else value
            for key, value in self.arguments
        }
        config = getattr(library, self.config)(**arguments, weight_threshold=THRESHOLD)
        if self.op_types:
            chosen = library.OptimizationConfig(op_type_configs=dict.fromkeys(self.op_types, config))
        else:
            chosen = library.OptimizationConfig(global_config=config)
        return getattr(library, _FUNCTIONS[self.config])(model, chosen, joint_compression=joint)

    @property
    def technique(self) -> str:
        return {"P": "palettize", "L": "quantize"}.get(self.config[2], "prune")


Steps = tuple[Step, ...]


def palettize(nbits: int | None = 4, *, op_types: tuple[str, ...] = (), **arguments: Any) -> Step:
    if "group_size" in arguments:
        arguments["granularity"] = "per_grouped_channel"
    if nbits is not None:
        arguments["nbits"] = nbits
    return Step("OpPalettizerConfig", tuple(arguments.items()), op_types)


def quantize(dtype: str = "int8", *, op_types: tuple[str, ...] = (), **arguments: Any) -> Step:
    return Step("OpLinearQuantizerConfig", (("dtype", dtype), *arguments.items()), op_types)


def prune(sparsity: float | None = 0.75, *, op_types: tuple[str, ...] = (), **arguments: Any) -> Step:
    if sparsity is not None:
        arguments["target_sparsity"] = sparsity
    return Step("OpMagnitudePrunerConfig", tuple(arguments.items()), op_types)


def prune_below(threshold: float) -> Step:
    return Step("OpThresholdPrunerConfig", (("threshold", threshold), ("minimum_sparsity_percentile", 0.3)))


@dataclass(frozen=True)
class Case:
    """Steps on a model for one deployment target."""

    name: str
    steps: Steps
    target: str

    @property
    def expressible(self) -> bool:
        """Whether the target has operators for it: before iOS 18 for little."""
        return self.target not in ("iOS16", "iOS17") or self.name in _BEFORE_IOS18

    @property
    def techniques(self) -> tuple[str, ...]:
        return tuple(step.technique for step in self.steps)

    def __str__(self) -> str:
        return f"{self.name}-{self.target}"


_BEFORE_IOS18 = {
    *(f"palettize {nbits}" for nbits in (1, 2, 4, 6, 8)),
    *(f"palettize uniform {nbits}" for nbits in (2, 4)),
    *(
        f"quantize {dtype} {mode} {granularity}"
        for dtype in ("int8", "uint8")
        for mode in ("linear_symmetric", "linear")
        for granularity in ("per_tensor", "per_channel")
    ),
    *("prune 0.75", "prune 0.5", "prune 0.1", "prune all"),
    *("prune blocks of 2", "prune blocks of 4 on axis 1", "prune 2 of 4", "prune 3 of 4 on axis 0"),
    *("prune below 0.1", "prune below 0.02"),
}

_PATTERNS = ("conv", "linear")  # operators that block and n:m sparsity are for
_TABLE = {"granularity": "per_tensor"}

SINGLE: dict[str, Steps] = {
    **{f"palettize {n}": (palettize(n),) for n in (1, 2, 3, 4, 6, 8)},
    "palettize uniform 4": (palettize(mode="uniform"),),
    "palettize uniform 2": (palettize(2, mode="uniform"),),
    "palettize 4 groups of 16": (palettize(group_size=16),),
    "palettize 2 groups of 32": (palettize(2, group_size=32),),
    "palettize uniform 3 groups of 16": (palettize(3, mode="uniform", group_size=16),),
    "palettize 2 groups of 4 on axis 1": (palettize(2, group_size=4, channel_axis=1),),
    "palettize 3 groups of 8 on axis 0": (palettize(3, group_size=8, channel_axis=0),),
    "palettize 4 vectors of 2": (palettize(cluster_dim=2),),
    "palettize 6 vectors of 4": (palettize(6, cluster_dim=4),),
    "palettize 3 vectors of 4 groups of 32": (palettize(3, cluster_dim=4, group_size=32),),
    "palettize 2 vectors of 2 groups of 4 on axis 1": (
        palettize(2, cluster_dim=2, group_size=4, channel_axis=1),
    ),
    "palettize 4 scale per channel": (palettize(enable_per_channel_scale=True),),
    **{
        f"quantize {dtype} {mode} {granularity}": (
            quantize(dtype, mode=mode, granularity=granularity, block_size=4),
        )
        for dtype in ("int8", "uint8", "int4", "uint4")
        for mode in ("linear_symmetric", "linear")
        for granularity in ("per_tensor", "per_channel", "per_block")
    },
    "quantize int4 blocks along every axis": (
        quantize("int4", granularity="per_block", block_size=(16, 8), op_types=("linear", "gather")),
    ),
    "prune 0.75": (prune(),),
    "prune 0.5": (prune(0.5),),
    "prune 0.1": (prune(0.1),),
    "prune all": (prune(1.0),),
    "prune blocks of 2": (prune(0.5, block_size=2, op_types=_PATTERNS),),
    "prune blocks of 4 on axis 1": (prune(0.75, block_size=4, dim=1, op_types=_PATTERNS),),
    "prune 2 of 4": (prune(None, n_m_ratio=(2, 4), op_types=_PATTERNS),),
    "prune 3 of 4 on axis 0": (prune(None, n_m_ratio=(3, 4), dim=0, op_types=_PATTERNS),),
    "prune below 0.1": (prune_below(0.1),),
    "prune below 0.02": (prune_below(0.02),),
}

JOINT: dict[str, Steps] = {
    # palettize, then quantize the table
    "palettize 4, quantize": (palettize(), quantize(**_TABLE)),
    "palettize 6, quantize uint8": (palettize(6), quantize("uint8", **_TABLE)),
    "palettize 4, quantize linear": (palettize(), quantize(mode="linear", **_TABLE)),
    "palettize 4 groups, quantize": (palettize(group_size=16), quantize(**_TABLE)),
    "palettize 4 vectors, quantize": (palettize(cluster_dim=2), quantize(**_TABLE)),
    "palettize 4, quantize per channel": (palettize(), quantize(granularity="per_channel")),
    "palettize 4, quantize, linear only": (
        palettize(op_types=("linear",)),
        quantize(op_types=("linear",), **_TABLE),
    ),
    "palettize 4 scale per channel, quantize": (palettize(enable_per_channel_scale=True), quantize(**_TABLE)),
    # quantize, then palettize the integers
    "quantize, palettize 4": (quantize(), palettize()),
    "quantize per tensor, palettize 4": (quantize(granularity="per_tensor"), palettize()),
    "quantize uint8 linear, palettize 4": (quantize("uint8", mode="linear"), palettize()),
    "quantize blocks, palettize 4": (quantize(granularity="per_block", block_size=4), palettize()),
    "quantize per tensor, palettize groups": (quantize(granularity="per_tensor"), palettize(group_size=16)),
    "quantize int4, palettize 2": (quantize("int4"), palettize(2)),
    # pairs with pruning
    "prune, quantize": (prune(), quantize()),
    "prune, quantize uint8 linear": (prune(), quantize("uint8", mode="linear")),
    "prune, quantize int4": (prune(), quantize("int4")),
    "prune, quantize int4 blocks": (prune(), quantize("int4", granularity="per_block", block_size=8)),
    "prune, quantize per tensor": (prune(), quantize(granularity="per_tensor")),
    "quantize, prune": (quantize(), prune()),
    "quantize uint8 linear, prune": (quantize("uint8", mode="linear"), prune()),
    "quantize int4, prune": (quantize("int4"), prune()),
    "prune, palettize 4": (prune(), palettize()),
    "prune, palettize 2": (prune(), palettize(2)),
    "prune, palettize 8": (prune(), palettize(8)),
    "prune, palettize 2 groups": (prune(), palettize(2, group_size=32)),
    "prune, palettize vectors": (prune(), palettize(cluster_dim=2)),
    "prune, palettize scale per channel": (prune(), palettize(enable_per_channel_scale=True)),
    "palettize 4, prune": (palettize(), prune()),
    "palettize 4 groups, prune": (palettize(group_size=16), prune()),
    "palettize vectors, prune": (palettize(cluster_dim=2), prune()),
    "palettize scale per channel, prune": (palettize(enable_per_channel_scale=True), prune()),
    # all three
    "prune, palettize, quantize": (prune(), palettize(), quantize(**_TABLE)),
    "palettize, prune, quantize": (palettize(), prune(), quantize(**_TABLE)),
    "palettize, quantize, prune": (palettize(), quantize(**_TABLE), prune()),
    "prune, quantize, palettize": (prune(), quantize(), palettize()),
    "quantize, prune, palettize": (quantize(), prune(), palettize()),
    "quantize, palettize, prune": (quantize(), palettize(), prune()),
}


def grid() -> Iterator[Case]:
    """Every technique alone on each generation of the format, and every combination from iOS 18 on."""
    for name, steps in SINGLE.items():
        for target in ("iOS16", "iOS18", "iOS26"):
            yield Case(name, steps, target)
    for name in ("palettize 4", "palettize 3", "quantize int8 linear per_channel", "prune 0.75"):
        yield Case(name, SINGLE[name], "iOS17")
    for name, steps in JOINT.items():
        for target in ("iOS18", "iOS26"):
            yield Case(name, steps, target)
    yield Case("prune, palettize 4", JOINT["prune, palettize 4"], "iOS17")
