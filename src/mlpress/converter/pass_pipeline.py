"""What `convert` does to weights that a model was trained to have few different values or many zeros of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

from mlpress import passes
from mlpress.errors import MlpressError
from mlpress.mil import Opset, Program
from mlpress.passes import Options, Report
from mlpress.recipe import Palettize, Prune, Recipe, Step

_LOG: Final = logging.getLogger(__name__)
_PRUNE: Final = "compression::prune_weights"
_PALETTIZE: Final = "compression::palettize_weights"


@runtime_checkable
class Configuration(Protocol):
    """What says which weights are compressed how: `mlpress.optimize.coreml.OptimizationConfig`."""

    def step(self) -> Step: ...


class _New:
    """A class attribute that is a new pipeline each time, because pipelines are changed by `set_options`."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self._steps = steps

    def __get__(self, instance: object, owner: type[PassPipeline]) -> PassPipeline:
        made = owner()
        made._steps |= self._steps
        return made


class PassPipeline:
    """What `convert` does beside its own passes, which are fixed, under coremltools' name.

    Attributes:
        DEFAULT: Nothing.
        DEFAULT_PALETTIZATION: Weights of at most 256 different values become tables and indices.
        DEFAULT_PRUNING: Weights of which half or more is zero are stored as a mask and values.
    """

    DEFAULT = _New({})
    DEFAULT_PALETTIZATION = _New({_PALETTIZE: Step(Palettize(mode="unique"))})
    DEFAULT_PRUNING = _New({_PRUNE: Step(Prune(threshold=1e-12))})

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def set_options(self, pass_name: str, options: Mapping[str, Any], override: bool = False) -> None:
        """Chooses the weights that are compressed, and how.

        Args:
            pass_name: ``"compression::palettize_weights"`` or ``"compression::prune_weights"``.
            options: ``{"config": OptimizationConfig(...)}``.
            override: Accepted; what was chosen before is replaced.

        Raises:
            MlpressError: The pass is another one, or the options are no configuration.
        """
        del override
        if pass_name not in (_PRUNE, _PALETTIZE):
            raise MlpressError(
                f"pass_name is {pass_name!r}; the passes of this converter are fixed, "
                f"options are for {_PRUNE} and {_PALETTIZE}"
            )
        config = options.get("config")
        if len(options) != 1 or not isinstance(config, Configuration):
            raise MlpressError(f"options is {options!r}; allowed: {{'config': OptimizationConfig(...)}}")
        self._steps[pass_name] = config.step()

    def apply(self, program: Program) -> tuple[Program, Report | None]:
        """Returns the program with compressed weights, and what was done if anything was asked for."""
        if not self._steps:
            return program, None
        if any(function.opset < Opset.CoreML6 for function in program.functions.values()):
            _LOG.warning("weights are stored dense: compression needs minimum_deployment_target iOS 16")
            return program, None
        recipe = Recipe(tuple(self._steps[name] for name in (_PRUNE, _PALETTIZE) if name in self._steps))
        return passes.compress(program, recipe, Options())
