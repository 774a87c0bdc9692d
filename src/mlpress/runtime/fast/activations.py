"""Functions of each element that kernels apply to sums before they store them, by oneDNN's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import fx

from mlpress.runtime.fast.nodes import argument, kind


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of each element.

    Attributes:
        name: oneDNN's name for it, ``"none"`` for none.
        parameters: Its numbers.
        algorithm: Its variant.
    """

    name: str = "none"
    parameters: tuple[float, ...] = ()
    algorithm: str = ""

    def clipped(self, most: float) -> Activation | None:
        """Returns the function with its results limited to `most`, if that is a function of oneDNN's."""
        if self.name == "relu":
            return Activation("hardtanh", (0.0, most))
        if self.name == "hardtanh":
            return Activation("hardtanh", (self.parameters[0], min(self.parameters[1], most)))
        return None


def activation_of(node: fx.Node) -> Activation | None:
    """Returns the function that `node` computes, or None if it is none of oneDNN's."""
    match kind(node):
        case "relu":
            return Activation("relu")
        case "relu6":
            return Activation("hardtanh", (0.0, 6.0))
        case "gelu":
            algorithm = _GELUS.get(argument(node, "mode", "EXACT"))
            return None if algorithm is None else Activation("gelu", (), algorithm)
        case _:
            return None


_GELUS: Final = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
