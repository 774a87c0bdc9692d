"""Calling the ATen operator that a node of a TorchScript graph names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from mlpress.converter.capture.torchscript.numbers import (
    ARITHMETIC,
    FUNCTIONS,
    ON_ANYTHING,
    is_number,
    natural_dtype,
)

TensorArgument = ("Tensor", "Optional[Tensor]")


def find(schema: str) -> OpOverload[..., Any] | None:
    """The operator with a schema, as `torch._C.Node.schema` writes it; None if Python does not have it."""
    return _find(schema)


@lru_cache(maxsize=4096)
def _find(schema: str) -> OpOverload[..., Any] | None:
    if schema == "(no schema)":
        return None
    parsed = torch._C.parse_schema(schema)
    namespace, _, name = parsed.name.partition("::")
    if namespace == "prim":
        # Python has names for these, but calling them may end the process.
        return None
    packet = getattr(getattr(torch.ops, namespace), name, None)
    overload = getattr(packet, parsed.overload_name or "default", None)
    return overload if isinstance(overload, OpOverload) else None


def call(kind: str, schema: str, args: Sequence[Any]) -> Any:
    """Runs an operator.

    Args:
        kind: Kind of the node, as ``"aten::add"``.
        schema: Its schema.
        args: All its arguments, in order. Numbers may stand where the schema has tensors.

    Raises:
        NotImplementedError: There is no such operator.
    """
    if kind in ARITHMETIC:
        args = [known_number(each) for each in args]
    function = FUNCTIONS.get(kind)
    if function is not None and _is_python(kind, args):
        return function(*args)
    op = find(schema)
    if op is None:
        if function is not None:
            return function(*args)
        raise NotImplementedError(kind)
    positional, keywords = _arranged(op, args)
    return op(*positional, **keywords)


def _arranged(op: OpOverload[..., Any], args: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    declared = op._schema.arguments
    lone = not any(isinstance(each, torch.Tensor) for each in args)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument, given in zip(declared, args, strict=False):
        value = _fit(str(argument.type), given, lone)
        if argument.kwarg_only:
            keywords[argument.name] = value
        else:
            positional.append(value)
    return positional, keywords


def _fit(declared: str, value: Any, lone: bool) -> Any:
    """A value as its argument wants it: numbers for tensors of rank 0, and the other way round."""
    if declared in TensorArgument:
        # Beside a tensor, torch makes tensors of numbers itself, and gives the result the right type.
        return _tensor(value) if lone else value
    if declared in ("List[Tensor]", "List[Optional[Tensor]]"):
        return [_tensor(each) for each in value]
    if isinstance(value, torch.Tensor):
        return _item(value)
    if isinstance(value, list):
        return [_item(each) if isinstance(each, torch.Tensor) else each for each in value]
    return value


def _item(value: torch.Tensor) -> Any:
    number = known_number(value)
    return number.item() if isinstance(number, torch.Tensor) else number


def _tensor(value: Any) -> Any:
    return torch.scalar_tensor(value, dtype=natural_dtype(value)) if is_number(value) else value


def known_number(value: Any) -> Any:
    """The number in a tensor of rank 0 that is a constant of the graph; any other value as it is."""
    if not isinstance(value, torch.Tensor) or isinstance(value, FakeTensor) or value.ndim > 0:
        return value
    # The modes that record a graph would record this, too.
    with _disable_current_modes():
        return value.item()


def _is_python(kind: str, args: Sequence[Any]) -> bool:
    """Whether a node is about Python values: numbers, or containers of anything."""
    if kind in ON_ANYTHING or (args and isinstance(args[0], list | dict | str | tuple)):
        return True
    return not any(isinstance(each, torch.Tensor) for each in args)
