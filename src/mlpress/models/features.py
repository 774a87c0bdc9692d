"""Descriptions of a model's inputs and outputs by feature name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol


class _Feature(Protocol):
    name: str
    shortDescription: str


class FeatureDescriptions:
    """The short descriptions of features, read and set by the name of the feature.

    Iterating gives the names. Changes go straight into the model.
    """

    __slots__ = ("_features",)

    def __init__(self, features: Iterable[_Feature]) -> None:
        """Wraps the feature messages of a model."""
        self._features = features

    def __getitem__(self, name: str) -> str:
        """Returns the description of feature `name`.

        Raises:
            KeyError: There is no such feature.
        """
        return self._find(name).shortDescription

    def __setitem__(self, name: str, description: str) -> None:
        """Describes feature `name`.

        Raises:
            KeyError: There is no such feature.
        """
        self._find(name).shortDescription = description

    def __contains__(self, name: object) -> bool:
        return any(feature.name == name for feature in self._features)

    def __iter__(self) -> Iterator[str]:
        return (feature.name for feature in self._features)

    def __len__(self) -> int:
        return sum(1 for _ in self._features)

    def __repr__(self) -> str:
        return f"Features({','.join(self)})"

    def _find(self, name: str) -> _Feature:
        for feature in self._features:
            if feature.name == name:
                return feature
        raise KeyError(f"no feature is named {name!r}; there are {list(self)}")
