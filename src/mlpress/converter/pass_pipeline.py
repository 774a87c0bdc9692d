"""`PassPipeline`: what a conversion does to weights that were trained to have few values or many zeros."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from mlpress.errors import MlpressError
from mlpress.mil import Opset, Program
from mlpress.passes import Options, Report, compress
from mlpress.recipe import Palettize, Prune, Recipe, Step

_LOG: Final = logging.getLogger(__name__)

_COMPRESSION: Final = {
    "compression::palettize_weights": Step(Palettize(mode="unique")),
    "compression::prune_weights": Step(Prune(threshold=1e-12, minimum_sparsity=0.5)),
}


class _Fresh:
    """A pipeline that is made anew for each use, so that changing it changes no other."""

    def __init__(self, make: Callable[[], PassPipeline]) -> None:
        self._make = make

    def __get__(self, instance: object, owner: type) -> PassPipeline:
        return self._make()


class PassPipeline:
    """Compression that a conversion begins with; the passes behind it are fixed.

    There are two passes. ``compression::palettize_weights`` makes tables of weights that hold few different
    values; ``compression::prune_weights`` stores those that are mostly zeros beside a mask. They come before
    batch norms are folded into weights, which would give these other values. Both leave weights alone that
    are compressed already, and need iOS 16. Their option ``config`` is an
    `mlpress.optimize.coreml.OptimizationConfig`, for another way to palettize or prune.

    Attributes:
        DEFAULT: No compression.
        DEFAULT_PALETTIZATION: ``compression::palettize_weights``.
        DEFAULT_PRUNING: ``compression::prune_weights``.
        pipeline_name: Its name.
    """

    DEFAULT = _Fresh(lambda: PassPipeline())
    DEFAULT_PALETTIZATION = _Fresh(
        lambda: PassPipeline(["compression::palettize_weights"], "default_palettization")
    )
    DEFAULT_PRUNING = _Fresh(lambda: PassPipeline(["compression::prune_weights"], "default_pruning"))

    def __init__(self, pass_names: Sequence[str] | None = None, pipeline_name: str = "default") -> None:
        """Takes names of passes, in order; None is none.

        Raises:
            MlpressError: There is no such pass.
        """
        self.pipeline_name = pipeline_name
        self._steps: dict[str, Step] = {}
        self._passes: list[str] = []
        self.passes = list(pass_names or ())

    @property
    def passes(self) -> list[str]:
        """Names of the passes, in order."""
        return list(self._passes)

    @passes.setter
    def passes(self, names: Iterable[str]) -> None:
        names = list(names)
        for name in names:
            _check(name)
        self._passes = names

    def append_pass(self, pass_name: str) -> None:
        """Adds a pass at the end; raises MlpressError if there is none of that name."""
        self.insert_pass(len(self._passes), pass_name)

    def insert_pass(self, index: int, pass_name: str) -> None:
        """Adds a pass before another one; raises MlpressError if there is none of that name."""
        _check(pass_name)
        self._passes.insert(index, pass_name)

    def remove_pass(self, index: int) -> None:
        """Removes a pass."""
        del self._passes[index]

    def remove_passes(self, passes_names: Iterable[str]) -> None:
        """Removes passes; warns of those that are part of every conversion here."""
        removed = set(passes_names)
        for name in sorted(removed - set(_COMPRESSION)):
            _warn_fixed(name)
        self._passes = [name for name in self._passes if name not in removed]

    def set_options(self, pass_name: str, options: Mapping[str, Any], override: bool = True) -> None:
        """Sets the options of a pass; warns of passes whose options make no difference here.

        Args:
            pass_name: The pass.
            options: ``{"config": OptimizationConfig(...)}``.
            override: Whether options that were set before may be replaced.

        Raises:
            MlpressError: The pass has no such option, or it is set and `override` is False.
        """
        if pass_name not in _COMPRESSION:
            _warn_fixed(pass_name)
            return
        config: Any = options.get("config")
        if set(options) != {"config"} or not hasattr(config, "step"):
            raise MlpressError(
                f"options of {pass_name} are {dict(options)!r}; allowed: config, an "
                f"mlpress.optimize.coreml.OptimizationConfig"
            )
        if pass_name in self._steps and not override:
            raise MlpressError(f"the options of {pass_name} are set already, and override is False")
        self._steps[pass_name] = config.step()

    def apply(self, program: Program) -> tuple[Program, Report | None]:
        """Returns the program with compressed weights, and what the last pass, if any, did to each."""
        if self._passes and any(function.opset < Opset.CoreML6 for function in program.functions.values()):
            _LOG.warning("weights are stored dense: compression needs minimum_deployment_target iOS 16")
            return program, None
        report = None
        for name in self._passes:
            recipe = Recipe.of(self._steps.get(name, _COMPRESSION[name]))
            program, report = compress(program, recipe, Options(already_compressed=False))
        return program, report


def _check(name: str) -> None:
    if name not in _COMPRESSION:
        raise MlpressError(f"there is no pass {name!r} to choose; allowed: {', '.join(_COMPRESSION)}")


def _warn_fixed(name: str) -> None:
    warnings.warn(f"{name}: this makes no difference here, where passes are fixed", stacklevel=3)
