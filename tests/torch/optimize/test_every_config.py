"""What holds for every configuration: unknown keys, wrong values, and the forms it is written in."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mlpress.errors import RecipeError
from mlpress.optimize.torch import layerwise_compression, palettization, pruning, quantization
from mlpress.optimize.torch.optimization_config import OptimizationConfig

HOMES = (layerwise_compression, palettization, pruning, quantization)
CONFIGS = [kind for home in HOMES for name, kind in vars(home).items() if name.endswith("Config")]
MODULES = [
    kind
    for kind in CONFIGS
    if kind.__name__.startswith("Module")  # the base class of the layerwise ones has no fields
]
SCOPES = [kind for kind in CONFIGS if issubclass(kind, OptimizationConfig)]


def scoped(kind: type[OptimizationConfig], **fields: Any) -> dict[str, Any]:
    """The global scope with some fields, as a dictionary."""
    algorithm = {"algorithm": "gptq"} if kind.__name__.startswith("Layerwise") else {}
    return {"global_config": {**algorithm, **fields}}


def written(value: Any) -> Any:
    """What stands for a value in a file."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else key.__name__: written(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [written(each) for each in value]
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return {layerwise_compression.DefaultInputCacher: "default"}.get(value, value)


def test_these_are_all() -> None:
    assert len(MODULES) == 8
    assert len(SCOPES) == 7


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_unknown_key_is_refused_with_those_that_are_known(kind: Any) -> None:
    for make in (kind.from_dict, lambda fields: kind(**fields)):
        with pytest.raises(RecipeError, match="there is no 'nonsense'; it takes ") as error:
            make({"nonsense": 1})
        assert all(name in str(error.value) for name in kind.arguments())


@pytest.mark.parametrize("kind", SCOPES)
def test_an_unknown_key_inside_of_a_scope_is_refused(kind: Any) -> None:
    for scope in ("global_config", "module_type_configs", "module_name_configs"):
        inner = scoped(kind, nonsense=1)["global_config"]
        data = {scope: inner if scope == "global_config" else {"Linear": inner}}
        with pytest.raises(RecipeError, match="there is no 'nonsense'"):
            kind.from_dict(data)


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind in MODULES for field in kind.arguments()], ids=str
)
def test_a_value_of_another_type_is_refused_by_name(kind: Any, field: str) -> None:
    with pytest.raises(RecipeError, match=f"{kind.__name__}: {field}"):
        kind.from_dict({field: object()})


@pytest.mark.parametrize("kind", SCOPES)
def test_dictionaries_and_files_say_the_same(kind: Any, tmp_path: Path) -> None:
    config = kind.from_dict(scoped(kind))
    config.set_module_type("Linear", config.global_config).set_module_name("head", None)
    assert kind.from_dict(config.as_dict()) == config
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(written(config.as_dict())))
    assert kind.from_yaml(str(file)) == config


def test_schedules_are_dictionaries_of_their_fields() -> None:
    polynomial = pruning.PolynomialDecayScheduler([0, 4, 8], power=2)
    config = pruning.MagnitudePrunerConfig.from_dict({"global_config": {"scheduler": polynomial}})
    found = config.as_dict()["global_config"]["scheduler"]
    assert found.pop("update_steps").tolist() == [0, 4, 8]
    assert found == {"power": 2}
    assert pruning.MagnitudePrunerConfig.from_dict(config.as_dict()) == config


@pytest.mark.parametrize("kind", CONFIGS)
def test_help_shows_the_fields_as_arguments(kind: Any) -> None:
    assert list(inspect.signature(kind).parameters) == kind.arguments()
