"""What layerwise compression does at each stage: it adds up what layers see, and compresses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from mlpress.errors import EncodingError, NotApplicableError
from mlpress.nn.arrays import weight_to_numpy
from mlpress.nn.metadata import load, store
from mlpress.nn.post_training import check_strict
from mlpress.nn.targets import owners


class LayerAlgorithm(Protocol):
    """What adds up what one layer sees, and compresses its weight."""

    def add_batch(self, inp: torch.Tensor, out: torch.Tensor) -> None:
        """Sees an input and an output of the layer."""

    def join(self, other: Any) -> None:
        """Adds what was seen of another layer with the same weight.

        Raises:
            NotApplicableError: It cannot be added.
        """

    def compress(self) -> None:
        """Compresses the weight of the layer, and describes how it is stored.

        Raises:
            NotApplicableError: It cannot be compressed as asked; the layer is as it was then.
        """

    def cleanup(self) -> None:
        """Forgets what was seen."""


class LayerWork:
    """The layers of a model that are compressed.

    Attributes:
        skipped: Why layers were left as they were, by name of the weight.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, nn.Module],
        start: Callable[[str], LayerAlgorithm],
        strict: bool,
    ) -> None:
        """Takes layers of a model by name, and what begins to watch the layer of a name.

        `strict` makes a layer that is left an error.
        """
        self.skipped: dict[str, str] = {}
        self._layers = layers
        self._make = start
        self._strict = strict
        self._owners = owners(model)
        self._algorithms: dict[str, LayerAlgorithm | str] = {}

    def seen(self, name: str, inputs: torch.Tensor, outputs: torch.Tensor) -> None:
        """Adds the input and the output of a layer."""
        if name not in self._algorithms:
            self._algorithms[name] = self._start(name)
        algorithm = self._algorithms[name]
        if not isinstance(algorithm, str):
            algorithm.add_batch(inputs, outputs)

    def _start(self, name: str) -> LayerAlgorithm | str:
        layer = self._layers[name]
        try:
            if "weight" not in layer._parameters:
                return "its weight is computed by a parametrization"
            if not np.isfinite(weight_to_numpy(cast("torch.Tensor", layer.weight))).all():
                return "it holds NaN or infinity"
            return self._make(name)
        except (NotApplicableError, EncodingError) as reason:
            return str(reason)

    def compress(self, names: Sequence[str]) -> None:
        """Compresses layers from what was seen, and forgets it; layers that share a weight are one.

        Raises:
            StrictError: One cannot be compressed as asked.
        """
        shared: dict[int, list[str]] = {}
        for name in names:
            shared.setdefault(id(self._layers[name].weight), []).append(name)
        for weight, sharing in shared.items():
            reason = self._compress(sharing)
            if reason is not None:
                self.skipped.update({f"{name}.weight": reason for name in sharing})
                check_strict(self.skipped, self._strict)
                continue
            self._describe(self._layers[sharing[0]], weight)

    def _compress(self, sharing: Sequence[str]) -> str | None:
        """Returns why the weight is left as it was, or None if it is compressed."""
        found = [self._algorithms.pop(name) for name in sharing if name in self._algorithms]
        reasons = [each for each in found if isinstance(each, str)]
        if reasons:
            return reasons[0]
        if not found:
            return "no input of it was seen"
        first, *others = (cast("LayerAlgorithm", each) for each in found)
        try:
            for other in others:
                first.join(other)
            first.compress()
        except (NotApplicableError, EncodingError) as reason:
            return str(reason)
        finally:
            first.cleanup()
        return None

    def _describe(self, layer: nn.Module, weight: int) -> None:
        """Describes a compressed weight wherever it is."""
        encoding = load(layer, "weight")
        if encoding is None:
            return
        for module, parameter in self._owners[weight]:
            if module is not layer:
                store(module, parameter, encoding)
