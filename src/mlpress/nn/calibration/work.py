"""What layerwise compression does at each stage: it adds up what layers see, and compresses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from mlpress.encoding import Encoding, Scatter, Sparse
from mlpress.errors import EncodingError, NotApplicableError
from mlpress.nn.arrays import to_torch, weight_to_numpy
from mlpress.nn.calibration.hessian import Hessian
from mlpress.nn.metadata import load, metadata_of, store
from mlpress.nn.post_training import check_strict
from mlpress.nn.targets import owners

Algorithm = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], Encoding]
"""Takes weight, Hessian and the mask of a pruned weight, and returns how the weight is stored then."""


class LayerWork:
    """The layers of a model that are compressed.

    Attributes:
        skipped: Why layers were left as they were, by name of the weight.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, nn.Module],
        algorithms: Mapping[str, Algorithm],
        strict: bool,
    ) -> None:
        """Takes layers of a model and algorithms by the same names.

        `strict` makes a layer that is left an error.
        """
        self.skipped: dict[str, str] = {}
        self._layers = layers
        self._algorithms = algorithms
        self._strict = strict
        self._owners = owners(model)
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
            if "weight" not in layer._parameters:
                return "its weight is computed by a parametrization"
            if not np.isfinite(weight_to_numpy(cast("torch.Tensor", layer.weight))).all():
                return "it holds NaN or infinity"
            _mask(layer)
            return Hessian(layer)
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
            found = self._fit(sharing)
            if isinstance(found, str):
                self.skipped.update({f"{name}.weight": found for name in sharing})
                check_strict(self.skipped, self._strict)
                continue
            for module, parameter in self._owners[weight]:
                store(module, parameter, found)

    def _fit(self, sharing: Sequence[str]) -> Encoding | str:
        found = [self._hessians.pop(name) for name in sharing if name in self._hessians]
        reasons = [each for each in found if isinstance(each, str)]
        if reasons:
            return reasons[0]
        hessians = [each for each in found if isinstance(each, Hessian) and each.seen]
        if not hessians:
            return "no input of it was seen"
        hessian, *others = hessians
        for other in others:
            hessian.join(other)
        if not torch.isfinite(hessian.sums).all():
            return "its inputs are not finite"
        layer = self._layers[sharing[0]]
        weight = cast("torch.Tensor", layer.weight).detach()
        try:
            encoding = self._algorithms[sharing[0]](weight, hessian.sums, _mask(layer))
            metadata_of(encoding)
        except (NotApplicableError, EncodingError) as reason:
            return str(reason)
        return encoding


def _mask(layer: nn.Module) -> torch.Tensor | None:
    """Returns what is kept of a pruned weight, bool of its shape; None where all is.

    Raises:
        NotApplicableError: The weight is not stored as floats.
    """
    encoding = load(layer, "weight")
    if encoding is None:
        return None
    if not isinstance(encoding, Scatter) or not isinstance(encoding.source, Sparse):
        raise NotApplicableError("it is quantized or palettized already")
    device = cast("torch.Tensor", layer.weight).device
    return to_torch(encoding.source.mask.numpy().view(np.bool_), device)
