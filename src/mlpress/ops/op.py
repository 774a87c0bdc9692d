"""How an op is defined: one typed function over torch tensors, and the signatures of the opsets that have it.

The function serves three times. On tensors with values it runs a model, on constants it folds them, on fake
tensors it tells the types of the results. What a parameter receives follows from its annotation:

- `torch.Tensor`: a tensor, of rank 0 for a scalar.
- `Sequence[torch.Tensor]`: several tensors.
- `TensorList`: one value of a program that is a list of tensors.
- ``int``, ``float``, ``bool``, ``str`` and sequences of them: plain Python values, also when a program
  computes them.
- keyword-only `result_dtype` and `anchor`: given by who calls, not by the program. The first is the element
  type to make a result of that no operand carries; `anchor` is an empty tensor on the device to make it on.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, NewType, TypeVar

import torch

from mlpress.mil import Opset
from mlpress.ops.signature import Signature

Definition = TypeVar("Definition", bound=Callable[..., Any])

CONTEXT: Final = ("anchor", "result_dtype")

TensorList = NewType("TensorList", tuple[torch.Tensor, ...])
"""One value of a program, unlike the several results of an op, or the several operands of one."""


class Kind(Enum):
    """What a parameter of an op's function receives."""

    TENSOR = "tensor"
    TENSORS = "tensors"
    VALUE = "value"
    VALUES = "values"


@dataclass(frozen=True, slots=True)
class Version:
    """An op as one opset introduced it.

    Attributes:
        name: Name in programs.
        opset: First opset that has it in this form.
        signature: What it accepts.
        function: What it does.
        kinds: What each parameter of `function` receives, by name, context left out.
        context: The parameters of `function` that who calls gives: among `CONTEXT`.
        several: Whether `function` returns a tuple of results, even if it is a single one.
        dtype_of: Parameter whose element type `result_dtype` is, for functions that ask for it.
    """

    name: str
    opset: Opset
    signature: Signature
    function: Callable[..., Any]
    kinds: Mapping[str, Kind]
    context: tuple[str, ...]
    several: bool
    dtype_of: str | None


_VERSIONS: Final[dict[str, list[Version]]] = {}


def op(
    name: str | None = None, *, dtype_of: str | None = None, **signatures: str
) -> Callable[[Definition], Definition]:
    """Defines an op.

    Args:
        name: Name in programs, if it is not the function's.
        dtype_of: Parameter that the context `result_dtype` follows; float32 when it is left out of a call.
        **signatures: By opset, such as ``CoreML5="x:T; T=fp16|fp32"``: each opset that brought a new form of
            the op.

    Raises:
        ValueError: A signature and the function do not have the same parameters, or disagree on what is
            optional.
    """

    def define(function: Definition) -> Definition:
        known = name or function.__name__
        parameters, kinds, context = _inspect(function)
        several = typing.get_origin(typing.get_type_hints(function)["return"]) is tuple
        versions = _VERSIONS.setdefault(known, [])
        for opset, text in signatures.items():
            signature = Signature.parse(text)
            _check(known, signature, parameters)
            versions.append(
                Version(known, Opset[opset], signature, function, kinds, context, several, dtype_of),
            )
        versions.sort(key=lambda version: version.opset)
        return function

    return define


def lookup(name: str, opset: Opset) -> Version | None:
    """Returns the newest form of op `name` that `opset` has, or None if there is none."""
    found = None
    for version in _VERSIONS.get(name, ()):
        if version.opset <= opset:
            found = version
    return found


def versions(name: str) -> tuple[Version, ...]:
    """Returns all forms of op `name`, oldest first; none for an unknown name."""
    return tuple(_VERSIONS.get(name, ()))


def names() -> list[str]:
    """Returns the names of all ops, sorted."""
    return sorted(_VERSIONS)


def _inspect(
    function: Callable[..., Any],
) -> tuple[Mapping[str, inspect.Parameter], Mapping[str, Kind], tuple[str, ...]]:
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters
    context = tuple(key for key in CONTEXT if key in parameters)
    own = {key: parameter for key, parameter in parameters.items() if key not in CONTEXT}
    return own, {key: _kind(hints[key]) for key in own}, context


def _kind(hint: Any) -> Kind:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        present = [choice for choice in typing.get_args(hint) if choice is not type(None)]
        hint = present[0]
    if hint in (torch.Tensor, TensorList, Any):
        return Kind.TENSOR
    if typing.get_origin(hint) is Sequence:
        return Kind.TENSORS if typing.get_args(hint)[0] is torch.Tensor else Kind.VALUES
    return Kind.VALUE


def _check(name: str, signature: Signature, parameters: Mapping[str, inspect.Parameter]) -> None:
    for key, parameter in signature.parameters.items():
        if key not in parameters:
            raise ValueError(f"op {name!r}: its function has no parameter {key!r}")
        if parameter.optional != (parameters[key].default is not inspect.Parameter.empty):
            raise ValueError(
                f"op {name!r}: parameter {key!r} is optional in one of signature and function only"
            )
    missing = [
        key
        for key, parameter in parameters.items()
        if key not in signature.parameters and parameter.default is inspect.Parameter.empty
    ]
    if missing:
        raise ValueError(f"op {name!r}: its signature lacks the parameters {missing}")
