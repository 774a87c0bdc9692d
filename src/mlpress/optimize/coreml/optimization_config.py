"""Which configuration goes to which weights, under coremltools' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from mlpress.errors import RecipeError
from mlpress.optimize.coreml.config import (
    OpCompressorConfig,
    OpLinearQuantizerConfig,
    OpMagnitudePrunerConfig,
    OpPalettizerConfig,
    OpThresholdPrunerConfig,
)
from mlpress.recipe import Stage, Step

_CONFIG_TYPES: dict[str, type[OpCompressorConfig]] = {
    config.__name__: config
    for config in (
        OpLinearQuantizerConfig,
        OpMagnitudePrunerConfig,
        OpPalettizerConfig,
        OpThresholdPrunerConfig,
    )
}
_KEYS = ("config_type", "global_config", "op_type_configs", "op_name_configs")


@dataclass
class OptimizationConfig:
    """Configurations for all weights, by type of operator, and by name of a constant or operator.

    The most particular one wins; None leaves the weights alone.
    """

    global_config: OpCompressorConfig | None = None
    op_type_configs: dict[str, OpCompressorConfig | None] = field(default_factory=dict)
    op_name_configs: dict[str, OpCompressorConfig | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.op_type_configs = dict(self.op_type_configs or {})
        self.op_name_configs = dict(self.op_name_configs or {})
        _check(self.global_config)
        for op_type, config in self.op_type_configs.items():
            _check(config, op_type)
        for config in self.op_name_configs.values():
            _check(config)

    def set_global(self, op_config: OpCompressorConfig | None) -> None:
        """Sets the configuration of all weights that have none of their own."""
        _check(op_config)
        self.global_config = op_config

    def set_op_type(self, op_type: str, op_config: OpCompressorConfig | None) -> None:
        """Sets the configuration of the weights of operators of a type."""
        _check(op_config, op_type)
        self.op_type_configs[op_type] = op_config

    def set_op_name(self, op_name: str, op_config: OpCompressorConfig | None) -> None:
        """Sets the configuration of one constant, or of the weights of one operator."""
        _check(op_config)
        self.op_name_configs[op_name] = op_config

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any]) -> OptimizationConfig:
        """Reads a nested dictionary.

        Args:
            config_dict: ``config_type`` names the class of the configurations; ``global_config``,
                ``op_type_configs`` and ``op_name_configs`` hold their arguments. One that has a
                ``config_type`` of its own is of that class.

        Raises:
            RecipeError: A key or a value is not allowed; the message names it.
        """
        unknown = [key for key in config_dict if key not in _KEYS]
        if unknown:
            raise RecipeError(f"unknown key {unknown[0]!r}; allowed: {', '.join(_KEYS)}")
        default = config_dict.get("config_type")
        if not isinstance(default, str):
            raise RecipeError(f"config_type is {default!r}; it has to be one of {', '.join(_CONFIG_TYPES)}")
        by_scope: dict[str, dict[str, OpCompressorConfig | None]] = {}
        for key in ("op_type_configs", "op_name_configs"):
            entries = config_dict.get(key) or {}
            if not isinstance(entries, Mapping):
                raise RecipeError(f"{key} is {entries!r}; it maps names to configurations")
            by_scope[key] = {name: _make(default, entry) for name, entry in entries.items()}
        return cls(_make(default, config_dict.get("global_config")), **by_scope)

    @classmethod
    def from_yaml(cls, yml: str | IO[str]) -> OptimizationConfig:
        """Reads a YAML file, given by its path or open, in the form that `from_dict` takes.

        Raises:
            RecipeError: It is no YAML, or a key or value is not allowed.
            OSError: It cannot be read.
        """
        try:
            if isinstance(yml, str):
                data = yaml.safe_load(Path(yml).read_text(encoding="utf-8"))
            else:
                data = yaml.safe_load(yml)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"not YAML: {error}") from error
        if not isinstance(data, Mapping):
            raise RecipeError(f"the file holds {data!r}; a configuration is a mapping")
        return cls.from_dict(data)

    def configs(self) -> list[OpCompressorConfig]:
        """Returns all configurations."""
        found = [self.global_config, *self.op_type_configs.values(), *self.op_name_configs.values()]
        return [config for config in found if config is not None]

    def step(self) -> Step:
        """Returns the step of a recipe that says the same."""
        return Step(
            _stage(self.global_config),
            {op_type: _stage(config) for op_type, config in self.op_type_configs.items()},
            {_literally(name): _stage(config) for name, config in self.op_name_configs.items()},
        )


def _stage(config: OpCompressorConfig | None) -> Stage | None:
    return None if config is None else config.stage()


def _literally(name: str) -> str:
    """Returns the pattern that matches `name` only."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _make(default: str, entry: Any) -> OpCompressorConfig | None:
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise RecipeError(f"{entry!r} is no configuration; it holds arguments by name, or None")
    kind = entry.get("config_type", default)
    if kind not in _CONFIG_TYPES:
        raise RecipeError(f"config_type is {kind!r}; it has to be one of {', '.join(_CONFIG_TYPES)}")
    return _CONFIG_TYPES[kind].from_arguments(
        {key: value for key, value in entry.items() if key != "config_type"}
    )


def _check(config: Any, op_type: str | None = None) -> None:
    if config is None:
        return
    if not isinstance(config, OpCompressorConfig):
        raise RecipeError(f"{config!r} is no configuration; allowed: {', '.join(_CONFIG_TYPES)} or None")
    if op_type is not None:
        config.check_op_type(op_type)
