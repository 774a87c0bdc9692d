"""What layerwise compression does at each stage: it adds up what layers see, and compresses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from mlpress.encoding import Encoding
from mlpress.errors import EncodingError, NotApplicableError
from mlpress.nn.arrays import weight_to_numpy
from mlpress.nn.calibration.hessian import Hessian
from mlpress.nn.metadata import load, metadata_of, store
from mlpress.nn.post_training import check_strict

Algorithm = Callable[[torch.Tensor, torch.Tensor], Encoding]
"""Takes weight and Hessian, and returns how the weight is stored then."""


class LayerWork:
    """The layers of a model that are compressed.

    Attributes:
        skipped: Why layers were left as they were, by name of the weight.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], algorithms: Mapping[str, Algorithm], strict: bool
    ) -> None:
        """Takes layers and algorithms by the same names; `strict` makes a layer that is left an error."""
        self.skipped: dict[str, str] = {}
        self._layers = layers
        self._algorithms = algorithms
        self._strict = strict
        self._hessians: dict[str, Hessian | str] = {}

    def seen(self, name: str, inputs: torch.Tensor) -> None:
        """Adds the input of a layer."""
        if name not in self._hessians:
            self._hessians[name] = self._start(name)
        hessian = self._hessians[name]
        if isinstance(hessian, Hessian):
            hessian.add(inputs)

    def _start(self, name: str) -> Hessian | str:
        layer = self._layers[name]
        try:
            if load(layer, "weight") is not None:
                return "it is compressed already"
            weight_to_numpy(cast("torch.Tensor", layer.weight))
            return Hessian(layer)
        except (NotApplicableError, EncodingError) as reason:
            return str(reason)

    def compress(self, names: Sequence[str]) -> None:
        """Compresses layers from what was seen, and forgets it.

        Raises:
            StrictError: One cannot be compressed as asked.
        """
        for name in names:
            hessian = self._hessians.pop(name, "no input of it was seen")
            found = hessian if isinstance(hessian, str) else self._fit(name, hessian)
            if isinstance(found, str):
                self.skipped[f"{name}.weight"] = found
                check_strict(self.skipped, self._strict)
            else:
                store(self._layers[name], "weight", found)

    def _fit(self, name: str, hessian: Hessian) -> Encoding | str:
        if not hessian.seen or not torch.isfinite(hessian.sums).all():
            return "no input of it was seen" if not hessian.seen else "its inputs are not finite"
        weight = cast("torch.Tensor", self._layers[name].weight).detach()
        try:
            encoding = self._algorithms[name](weight, hessian.sums)
            metadata_of(encoding)
        except (NotApplicableError, EncodingError) as reason:
            return str(reason)
        return encoding
