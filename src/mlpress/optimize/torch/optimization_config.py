"""What configurations share: fields that are checked, and scopes that say which module gets which."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, Final, TypeVar

import torch
from pydantic import Field, field_validator
from torch.nn.utils.parametrize import type_before_parametrizations

from mlpress.errors import RecipeError
from mlpress.optimize.torch.dictable import DictableConfig, Self
from mlpress.optimize.torch.fields import bits_of, name_of_type

Config = TypeVar("Config", bound="OptimizationConfig")

_HOMES: Final = {
    "": (torch.nn, torch.nn.functional),
    "torch.nn": (torch.nn,),
    "torch.nn.functional": (torch.nn.functional,),
    "torch": (torch,),
    "operator": (operator,),
}
"""Where types of modules and functions are, by what stands before their names."""


class QuantizationGranularity(Enum):
    """What shares a scale."""

    per_tensor = "per_tensor"
    per_channel = "per_channel"
    per_block = "per_block"


class PalettizationGranularity(Enum):
    """What shares a table."""

    per_tensor = "per_tensor"
    per_grouped_channel = "per_grouped_channel"


class ModuleOptimizationConfig(DictableConfig):
    """What to do to a module."""


class WeightTypeConfig(ModuleOptimizationConfig):
    """What to do to a module whose weights get another type, which the field `weight_dtype` names."""

    type_fields: ClassVar[tuple[str, ...]] = ("weight_dtype",)

    @property
    def weight_type(self) -> str:
        """Name of the type; `weight_dtype` is torch's that holds it, which has 8 bits for narrower ones."""
        return str(name_of_type(self, "weight_dtype"))

    @property
    def weight_n_bits(self) -> int:
        """Bits of a weight."""
        return bits_of(self.weight_type)

    @classmethod
    def from_dict(cls: type[Self], config_dict: Mapping[str, Any]) -> Self:
        """Reads a dictionary of the fields; see `DictableConfig.from_dict`."""
        return super().from_dict(config_dict)


class OptimizationConfig(DictableConfig):
    """What to do to which modules; the most particular scope wins, and None leaves modules alone.

    Attributes:
        global_config: For all modules that no other scope has.
        module_type_configs: By type, given as a class or by name.
        module_name_configs: By name: regular expressions that match it as a whole, the first that does.
    """

    module_config: ClassVar[type[ModuleOptimizationConfig]]
    """Class of the configurations."""

    supported_modules: ClassVar[tuple[Any, ...] | None] = None
    """Allowed keys of `module_type_configs`; None allows any."""

    global_config: Any = None
    module_type_configs: dict[Any, Any] = Field(default_factory=dict)
    module_name_configs: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def from_dict(cls: type[Self], config_dict: Mapping[str, Any]) -> Self:
        """Reads a dictionary of the scopes; see `DictableConfig.from_dict`."""
        return super().from_dict(config_dict)

    def model_post_init(self, _: Any) -> None:
        """Gives every module the default where nothing is said."""
        if self.global_config is None and not self.module_type_configs and not self.module_name_configs:
            self._set_defaults()

    def _set_defaults(self) -> None:
        self.global_config = self.module_config()

    @field_validator("global_config", mode="before")
    @classmethod
    def _check_global(cls, value: Any) -> Any:
        return cls.make(value)

    @field_validator("module_type_configs", mode="before")
    @classmethod
    def _check_types(cls, value: Any) -> Any:
        return {cls._module_type(key): cls.make(entry) for key, entry in _mapping(value).items()}

    @field_validator("module_name_configs", mode="before")
    @classmethod
    def _check_names(cls, value: Any) -> Any:
        for pattern in _mapping(value):
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return {pattern: cls.make(entry) for pattern, entry in value.items()}

    @classmethod
    def make(cls, value: Any) -> Any:
        """Returns a module's configuration, made from its fields if need be, or None."""
        if value is None or isinstance(value, cls.module_config):
            return value
        if isinstance(value, Mapping):
            return cls.module_config.from_dict(value)
        raise ValueError(
            f"{value!r} is no configuration; allowed: {cls.module_config.__name__}, its fields, None"
        )

    @classmethod
    def _module_type(cls, key: Any) -> Any:
        """Returns a type of modules, or a function, given by name or as it is.

        Other names are those of classes of one's own.
        """
        found = key
        if isinstance(key, str):
            home, _, name = key.rpartition(".")
            found = next((vars(each)[name] for each in _HOMES.get(home, ()) if name in vars(each)), key)
        if cls.supported_modules is not None and found not in cls.supported_modules:
            names = ", ".join(sorted(kind.__name__ for kind in cls.supported_modules))
            raise ValueError(f"{getattr(found, '__name__', found)!r} is not supported; allowed: {names}")
        return found

    def set_global(self: Config, global_config: Any) -> Config:
        """Sets what to do to modules that no other scope has."""
        self.global_config = global_config
        return self

    def set_module_type(self: Config, object_type: Any, opt_config: Any) -> Config:
        """Sets what to do to modules of a type."""
        self.module_type_configs = {**self.module_type_configs, object_type: opt_config}
        return self

    def set_module_name(self: Config, module_name: str, opt_config: Any) -> Config:
        """Sets what to do to modules whose name a regular expression matches."""
        self.module_name_configs = {**self.module_name_configs, module_name: opt_config}
        return self

    def get_module_config(self, name: str, module: torch.nn.Module) -> Any:
        """Returns what to do to a module, or None."""
        for pattern, config in self.module_name_configs.items():
            if re.fullmatch(pattern, name):
                return config
        kind = type_before_parametrizations(module)
        for key in (kind, kind.__name__):
            if key in self.module_type_configs:
                return self.module_type_configs[key]
        return self.global_config

    def all_configs(self) -> list[Any]:
        """Returns the configurations of all scopes, None left out."""
        entries = [self.global_config, *self.module_type_configs.values(), *self.module_name_configs.values()]
        flat = [config for entry in entries for config in (entry if isinstance(entry, list) else [entry])]
        return [config for config in flat if config is not None]

    def require_same(self, *fields: str) -> None:
        """Raises RecipeError if configurations differ in a field that is one for the whole model."""
        for field in fields:
            values = {getattr(config, field) for config in self.all_configs()}
            if len(values) > 1:
                raise RecipeError(
                    f"{field} has to be the same in all configurations, not {sorted(map(str, values))}"
                )


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("it maps modules to configurations")
    return value
