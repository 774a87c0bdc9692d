"""Configurations as named fields that are checked, with forms to write them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mlpress.errors import RecipeError
from mlpress.optimize.torch.fields import TypeByName

Self = TypeVar("Self", bound="DictableConfig")


class DictableConfig(BaseModel):
    """Named fields, checked whenever they are set."""

    first_arguments: ClassVar[tuple[str, ...]] = ()
    """Fields that come first among the arguments, before those of base classes."""

    type_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that hold names of types, and are read as torch's."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        validate_assignment=True,
        validate_default=True,
        arbitrary_types_allowed=True,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes the fields in order or by name.

        Raises:
            RecipeError: A field is unknown, given twice, or has a value that is not allowed.
        """
        names = type(self).arguments()
        if len(args) > len(names):
            raise RecipeError(f"{type(self).__name__} takes {len(names)} arguments: {', '.join(names)}")
        for name, value in zip(names, args, strict=False):
            if name in kwargs:
                raise RecipeError(f"{type(self).__name__} got {name!r} twice")
            kwargs[name] = value
        try:
            super().__init__(**kwargs)
        except ValidationError as error:
            raise _refusal(type(self), error) from None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Lets help and completion show the fields as the arguments."""
        super().__pydantic_init_subclass__(**kwargs)
        for name in cls.type_fields:
            setattr(cls, name, TypeByName(name))
        cls.__signature__ = Signature(
            [
                Parameter(
                    name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=cls.model_fields[name].get_default(call_default_factory=True),
                    annotation=cls.model_fields[name].annotation,
                )
                for name in cls.arguments()
            ]
        )

    @classmethod
    def arguments(cls) -> list[str]:
        """Returns the names of the fields, in order."""
        return [*cls.first_arguments, *(name for name in cls.model_fields if name not in cls.first_arguments)]

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a field; raises RecipeError if it is unknown or the value is not allowed."""
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            raise _refusal(type(self), error) from None

    @classmethod
    def from_dict(cls: type[Self], data_dict: Mapping[str, Any]) -> Self:
        """Reads a dictionary of the fields, nested where they are configurations.

        Raises:
            RecipeError: A field is unknown or has a value that is not allowed; the message names it.
        """
        if not isinstance(data_dict, Mapping):
            raise RecipeError(f"{data_dict!r} is no configuration; {cls.__name__} is read from a mapping")
        return cls(**data_dict)

    @classmethod
    def from_yaml(cls: type[Self], yml: str | IO[str]) -> Self:
        """Reads a YAML file, given by its path or open, in the form that `from_dict` takes.

        Raises:
            RecipeError: It is no YAML, or a field or value is not allowed.
            OSError: It cannot be read.
        """
        try:
            text = Path(yml).read_text(encoding="utf-8") if isinstance(yml, str) else yml
            data = yaml.safe_load(text)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"not YAML: {error}") from error
        return cls.from_dict({} if data is None else data)

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields, nested ones as dictionaries; `from_dict` reads it back."""
        return {name: _plain(vars(self)[name]) for name in self.arguments()}


def _plain(value: Any) -> Any:
    if isinstance(value, DictableConfig):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value


def _refusal(kind: type[DictableConfig], error: ValidationError) -> RecipeError:
    """Says in our words what is wrong with the fields of a configuration."""
    problems = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] in ("extra_forbidden", "no_such_attribute"):
            problems.append(f"there is no {place!r}; it takes {', '.join(kind.arguments())}")
            continue
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{place} is {problem['input']!r}: {message}" if place else message)
    return RecipeError(f"{kind.__name__}: {'; '.join(problems)}")
