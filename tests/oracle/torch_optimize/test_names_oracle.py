"""Every public name of coremltools' `optimize.torch`, with its arguments, their order and their defaults."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import attrs
import coremltools.optimize.torch as cto
import pytest
import torch

THEIRS, OURS = cto.__name__, "mlpress.optimize.torch"

VALIDATOR = "attrs calls it to check a field; fields check themselves here"
PARTS = "it takes partitions, vectors and padding of FakePalettize's own; forward does the same for all"
EXCEPTIONS = {
    "quantization.modules": "weights are parametrized, so that modules need no other classes for training",
    "SUPPORTED_PYTORCH_QAT_MODULES": "it says which modules torch.ao replaces; none is replaced here",
    "dist_batch_cdist_square": "distances are never kept, so there is nothing to share out",
    "per_grouped_channel_granularity": VALIDATOR,
    "per_block_granularity": VALIDATOR,
    "no_per_channel_scale": VALIDATOR,
    "get_partition_kmeans": PARTS,
    "diff_palettize_batch": PARTS,
    "diff_palettize_seq": PARTS,
    "palettize": PARTS,
    "palettize_batch": PARTS,
    "palettize_seq": PARTS,
}
"""Modules, names in any module and methods of any class, and why they are not here."""


def modules() -> Iterator[str]:
    """Yields the public modules, by name inside the package."""
    for found in pkgutil.walk_packages(cto.__path__, THEIRS + "."):
        name = found.name.removeprefix(THEIRS + ".")
        if not any(part.startswith("_") for part in name.split(".")):
            yield name


def names() -> Iterator[str]:
    """Yields ``module:name`` for classes, functions and constants, and ``module:class.method``."""
    for module in modules():
        for name, value in vars(importlib.import_module(f"{THEIRS}.{module}")).items():
            if name.startswith("_") or inspect.ismodule(value):
                continue
            if isinstance(value, (dict, tuple)):
                yield f"{module}:{name}"
            elif getattr(value, "__module__", "").startswith(THEIRS) and callable(value):
                yield f"{module}:{name}"
                for method in methods(value) if inspect.isclass(value) else ():
                    yield f"{module}:{name}.{method}"


def methods(kind: type) -> Iterator[str]:
    for name in dir(kind):
        owner = next((each for each in kind.__mro__ if name in vars(each)), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("coremltools"):
            continue
        found = getattr(kind, name)
        if (callable(found) or isinstance(found, dict)) and not isinstance(kind, type(Enum)):
            yield name


def find(package: str, path: str) -> Any:
    module, _, name = path.partition(":")
    value = importlib.import_module(f"{package}.{module}")
    for part in name.split("."):
        value = getattr(value, part)
    return value


def plain(default: Any) -> Any:
    """Brings defaults to one form: members of enumerations and types of torch by name."""
    if isinstance(default, Enum):
        return default.value
    if isinstance(default, dict):
        return {key: plain(value) for key, value in default.items()}
    if isinstance(default, torch.dtype):
        return str(default).removeprefix("torch.")
    return repr(default) if type(default).__module__.startswith(("coremltools", "mlpress")) else default


def difference(path: str) -> str | None:
    """Says what is different here, if anything is."""
    theirs = find(THEIRS, path)
    try:
        ours = find(OURS, path)
    except (ImportError, AttributeError):
        return "it is not here"
    if path.endswith(".REGISTRY"):
        return None if theirs.keys() <= ours.keys() else f"it has {list(ours)}, not {list(theirs)}"
    if isinstance(theirs, (dict, tuple)):
        return None if plain(theirs) == plain(ours) else f"it is {ours}, not {theirs}"
    if isinstance(theirs, type) and issubclass(theirs, BaseException):
        return None
    if isinstance(theirs, type(Enum)):
        values = [member.value for member in theirs], [member.value for member in ours]
        return None if values[0] == values[1] else f"its members are {values[1]}, not {values[0]}"
    return different_arguments(inspect.signature(ours), inspect.signature(theirs))


def different_arguments(ours: inspect.Signature, theirs: inspect.Signature) -> str | None:
    """Compares arguments; more of them by name, and defaults where there were none, are allowed."""
    mine, expected = (
        [name for name, each in signature.parameters.items() if each.kind is not each.KEYWORD_ONLY]
        for signature in (ours, theirs)
    )
    if mine != expected:
        return f"it takes {mine}, not {expected}"
    for name, each in theirs.parameters.items():
        default = each.default
        if default in (each.empty, attrs.NOTHING) or (name not in ours.parameters and "kwargs" in mine):
            continue
        if name not in ours.parameters:
            return f"it does not take {name}"
        found = ours.parameters[name].default
        # What is made anew for each call: theirs is a factory or the same list for all.
        if isinstance(default, (list, dict)) and not default and found is not each.empty:
            continue
        if plain(default) != plain(found):
            return f"the default of {name} is {found!r}, not {default!r}"
    return None


def excepted(path: str) -> str | None:
    """Returns the entry of the list that a name falls under."""
    parts = re.split("[.:]", path)
    return next((entry for entry in EXCEPTIONS if entry in parts or path.startswith(entry)), None)


@pytest.mark.parametrize("path", [path for path in names() if excepted(path) is None], ids=str)
def test_a_name_is_here_with_its_arguments(path: str) -> None:
    assert difference(path) is None


@pytest.mark.parametrize("entry", EXCEPTIONS)
def test_an_exception_is_one(entry: str) -> None:
    assert any(difference(path) for path in names() if excepted(path) == entry), EXCEPTIONS[entry]


@pytest.mark.parametrize(
    "path",
    [
        "layerwise_compression:LayerwiseCompressor",
        "palettization:DKMPalettizer",
        "palettization:PostTrainingPalettizer",
        "palettization:SKMPalettizer",
        "pruning:MagnitudePruner",
        "quantization:PostTrainingQuantizer",
    ],
)
def test_the_modules_that_can_be_compressed_are_theirs(path: str) -> None:
    """That of their LinearQuantizer lists operations and patterns, too; here it is about weights."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    ours, theirs = (find(home, path)(model, find(home, f"{path}Config")()) for home in (OURS, THEIRS))
    assert set(ours.supported_modules) == set(theirs.supported_modules)


@pytest.mark.parametrize(
    "path",
    [
        "layerwise_compression:LayerwiseCompressorConfig",
        "layerwise_compression:ModuleGPTQConfig",
        "layerwise_compression:ModuleSparseGPTConfig",
        "palettization:ModuleDKMPalettizerConfig",
        "palettization:ModulePostTrainingPalettizerConfig",
        "palettization:ModuleSKMPalettizerConfig",
        "pruning:ModuleMagnitudePrunerConfig",
        "quantization:ModuleLinearQuantizerConfig",
        "quantization:ModulePostTrainingQuantizerConfig",
    ],
)
def test_a_configuration_as_a_dictionary_is_theirs(path: str) -> None:
    found, expected = (plain(find(home, path)().as_dict()) for home in (OURS, THEIRS))
    expected.pop("weight_n_bits", None)  # which their from_dict does not take back
    for one in (found, expected):
        one.pop("input_cacher", None)  # a class of each
    assert list(found) == list(expected)
    assert found == expected
