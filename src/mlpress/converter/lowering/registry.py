"""Which ATen operators the converter knows, and how each becomes MIL."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from torch import fx
from torch._ops import HigherOrderOperator, OpOverload

from mlpress.errors import MlpressError

Function = TypeVar("Function", bound=Callable[..., Any])

_WITHOUT_MEANING: Final = {
    "copy",
    "device",
    "generator",
    "layout",
    "memory_format",
    "non_blocking",
    "pin_memory",
}
"""Arguments that change nothing in a program; a lowering need not take them."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """How one operator becomes MIL.

    Attributes:
        function: Called with a `Context` and the operator's arguments in the order of its schema,
            keyword-only ones by name; returns what stands for the result.
        keywords: The keyword-only arguments that it takes.
    """

    function: Callable[..., Any]
    keywords: frozenset[str]


_LOWERINGS: Final[dict[str, Lowering]] = {}
_REFUSALS: Final[dict[str, str]] = {}


def lowers(*names: str) -> Callable[[Function], Function]:
    """Registers a lowering for each overload in `names`, such as ``"aten.relu.default"``.

    The function gets a `Context`, then the arguments of the operator in the order of its schema, those left
    out filled in. Tensors come as `mlpress.mil.Value`, everything else as Python has it; sizes may be
    `torch.SymInt`. It returns a value, or a tuple of them for an operator with several results.
    """

    def register(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        keywords = frozenset(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        for name in names:
            _LOWERINGS[name] = Lowering(function, keywords)
        return function

    return register


def register_lowering(operator: OpOverload[..., Any] | str) -> Callable[[Function], Function]:
    """Teaches the converter an operator, a custom one for instance; replaces what it knew before.

    Example::

        @mlpress.converter.register_lowering("mylibrary.squared_relu.default")
        def squared_relu(context, x):
            return context.result("square", x=context.op("relu", x=x))

    Args:
        operator: The overload, or its name.
    """
    _load_families()
    return lowers(operator if isinstance(operator, str) else str(operator))


def refuses(reason: str, *names: str) -> None:
    """Says why the overloads `names` have no lowering."""
    _REFUSALS.update(dict.fromkeys(names, reason))


def find(name: str) -> Lowering | None:
    """Returns the lowering of overload `name`, None if there is none."""
    _load_families()
    return _LOWERINGS.get(name)


def reason_against(name: str) -> str | None:
    """Returns why overload `name` cannot become MIL, None if nothing more is known."""
    _load_families()
    return _REFUSALS.get(name)


def known() -> frozenset[str]:
    """Returns the names of all overloads that have a lowering."""
    _load_families()
    return frozenset(_LOWERINGS)


def name_of(target: fx.node.Target) -> str:
    """Returns the name under which the operator of a node is registered."""
    if isinstance(target, HigherOrderOperator):
        return f"higher_order.{target}"
    return str(target) if isinstance(target, OpOverload) else getattr(target, "__name__", str(target))


def bind(
    node: fx.Node, lowering: Lowering, resolve: Callable[[Any], Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the positional and keyword arguments to call `lowering` with for `node`.

    Args:
        node: A call of an operator.
        lowering: Its lowering.
        resolve: Turns an argument of the node into what the lowering is to see.

    Raises:
        MlpressError: The node has an argument that the lowering does not take.
    """
    if not isinstance(node.target, OpOverload):
        return [resolve(argument) for argument in node.args], _resolved(node.kwargs, resolve)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for index, argument in enumerate(node.target._schema.arguments):
        given = index < len(node.args) or argument.name in node.kwargs
        value = (
            node.args[index]
            if index < len(node.args)
            else node.kwargs.get(argument.name, argument.default_value)
        )
        if not argument.kwarg_only:
            positional.append(resolve(value))
        elif argument.name in lowering.keywords:
            keywords[argument.name] = resolve(value)
        elif given and value != argument.default_value and argument.name not in _WITHOUT_MEANING:
            raise MlpressError(f"{node.target}: the argument {argument.name}={value!r} is not supported")
    return positional, keywords


def _resolved(values: Mapping[str, Any], resolve: Callable[[Any], Any]) -> dict[str, Any]:
    return {key: resolve(value) for key, value in values.items()}


@cache
def _load_families() -> None:
    from mlpress.converter.lowering import families

    for module in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        importlib.import_module(module.name)
