"""Opsets: which operators a function may use, and the deployment targets that brought them."""

from __future__ import annotations

from enum import IntEnum

from mlpress.errors import UnsupportedModelError


class Opset(IntEnum):
    """An opset of an mlprogram function, ordered by age. The name is what the file holds."""

    CoreML5 = 5
    CoreML6 = 6
    CoreML7 = 7
    CoreML8 = 8
    CoreML9 = 9

    @property
    def target(self) -> str:
        """The iOS release that introduced it, as shown to users."""
        return {5: "iOS 15", 6: "iOS 16", 7: "iOS 17", 8: "iOS 18", 9: "iOS 26"}[self.value]

    @property
    def specification_version(self) -> int:
        """Smallest `specificationVersion` of a model that uses it."""
        return self.value + 1

    @classmethod
    def named(cls, name: str) -> Opset:
        """Returns the opset that a file calls `name`.

        Raises:
            UnsupportedModelError: The opset is unknown (made by a newer tool, or not an opset).
        """
        try:
            return cls[name]
        except KeyError:
            known = ", ".join(opset.name for opset in cls)
            raise UnsupportedModelError(f"unknown opset {name!r}; supported: {known}") from None
