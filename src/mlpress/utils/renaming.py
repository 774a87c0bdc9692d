"""Other names for inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from mlpress.errors import MlpressError, UnsupportedModelError


def rename_feature(
    spec: Any, current_name: str, new_name: str, rename_inputs: bool = True, rename_outputs: bool = True
) -> None:
    """Renames an input or output of an mlprogram, in place, in all of its functions.

    Nothing happens if there is none of the name.

    Args:
        spec: A model message, from here or from coremltools.
        current_name: Its name.
        new_name: Its name from now on: letters, digits and underscores, no digit first.
        rename_inputs: Whether to look among inputs.
        rename_outputs: Whether to look among outputs.

    Raises:
        MlpressError: `new_name` is no name that a program may have, or a function has it already.
        UnsupportedModelError: The model is no mlprogram.
    """
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise UnsupportedModelError(f"the model is a {kind}; features of an mlProgram can be renamed")
    if current_name == new_name:
        return
    for name, description in _descriptions(spec):
        features = [
            feature
            for wanted, group in ((rename_inputs, description.input), (rename_outputs, description.output))
            for feature in (group if wanted else ())
            if feature.name == current_name
        ]
        if not features:
            continue
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", new_name):
            raise MlpressError(
                f"new_name is {new_name!r}; allowed: letters, digits and underscores, no digit first"
            )
        _rename_values(name, spec.mlProgram.functions[name], current_name, new_name)
        for feature in features:
            feature.name = new_name
        for field in ("predictedFeatureName", "predictedProbabilitiesName"):
            if rename_outputs and getattr(description, field) == current_name:
                setattr(description, field, new_name)


def _descriptions(spec: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name and the description of each function."""
    if not spec.description.functions:
        yield "main", spec.description
    for function in spec.description.functions:
        yield function.name, function


def _rename_values(name: str, function: Any, old: str, new: str) -> None:
    """Renames a value wherever it is defined or used; values have one name in a function."""
    names: set[str] = set()

    def note(name: str) -> str:
        names.add(name)
        return name

    _change_names(function, note)
    if new in names:
        raise MlpressError(f"function {name!r} has a value {new!r} already; choose another name")
    _change_names(function, lambda name: new if name == old else name)


def _change_names(function: Any, change: Callable[[str], str]) -> None:
    for value in function.inputs:
        value.name = change(value.name)
    for block in function.block_specializations.values():
        _change_names_in_block(block, change)


def _change_names_in_block(block: Any, change: Callable[[str], str]) -> None:
    for value in block.inputs:
        value.name = change(value.name)
    for operation in block.operations:
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") == "name":
                    binding.name = change(binding.name)
        for value in operation.outputs:
            value.name = change(value.name)
        for nested in operation.blocks:
            _change_names_in_block(nested, change)
    block.outputs[:] = [change(name) for name in block.outputs]
