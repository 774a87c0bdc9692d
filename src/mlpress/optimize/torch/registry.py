"""Classes known by names, so that configurations can name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from mlpress.errors import RecipeError

Kind = TypeVar("Kind", bound=type)


class ClassRegistry:
    """A base class whose subclasses are registered by name; each direct subclass has names of its own."""

    REGISTRY: ClassVar[dict[Any, type]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ClassRegistry in cls.__bases__:
            cls.REGISTRY = {}

    @classmethod
    def register(cls, key: Any) -> Callable[[Kind], Kind]:
        """Returns a decorator that makes a class known by a name."""

        def decorate(kind: Kind) -> Kind:
            cls.REGISTRY[key] = kind
            return kind

        return decorate

    @classmethod
    def get_class(cls, key: Any) -> type:
        """Returns the class of a name; a subclass is returned as it is.

        Raises:
            RecipeError: There is none of that name.
        """
        if isinstance(key, type) and issubclass(key, cls):
            return key
        if key not in cls.REGISTRY:
            raise RecipeError(
                f"no {cls.__name__} is registered as {key!r}; allowed: {', '.join(map(str, cls.REGISTRY))}"
            )
        return cls.REGISTRY[key]
