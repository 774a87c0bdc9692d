"""An ordinary module that does what a TorchScript module does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.jit import ScriptModule

from mlpress.converter.capture.torchscript.check import check
from mlpress.converter.capture.torchscript.interpreter import Interpreter


class Mirror(nn.Module):
    """A module with the parameters, buffers and children of a TorchScript module, under the same names.

    The tensors are the same; other attributes are looked up in the original.
    """

    def __init__(self, script: ScriptModule, known: dict[int, nn.Parameter]) -> None:
        super().__init__()
        # As an attribute of its own, it would be a child of this module.
        self._original = (script,)
        self.training = bool(getattr(script, "training", False))
        for name, parameter in script._parameters.items():
            self._parameters[name] = _parameter(parameter, known)
        for name, value in script._buffers.items():
            self._buffers[name] = value
        children: Any = script._modules.items()
        for name, child in children:
            self._modules[name] = Mirror(child, known)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_original"][0], name)


class MirrorRoot(Mirror):
    """The mirror of a whole model, which runs its graph.

    Raises:
        CaptureError: The graph has operators that cannot be run one by one; all of them are listed.
    """

    def __init__(self, script: ScriptModule) -> None:
        super().__init__(script, {})
        self._graph = script.inlined_graph
        check(self._graph)
        self.__dict__["forward"] = _forward(self, inspect.Signature(_arguments(script)))


def _parameter(value: torch.Tensor | None, known: dict[int, nn.Parameter]) -> nn.Parameter | None:
    """The parameter for a tensor, which modules from files give without saying that it is one."""
    if value is None or isinstance(value, nn.Parameter):
        return value
    key = value.untyped_storage()._cdata
    parameter = known.get(key)
    if parameter is None or parameter.shape != value.shape or parameter.stride() != value.stride():
        parameter = known[key] = nn.Parameter(value, requires_grad=False)
    return parameter


def _arguments(script: ScriptModule) -> list[inspect.Parameter]:
    method: Any = script.forward
    arguments = method.schema.arguments[1:]
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
        )
        for name, argument in zip(_unique([argument.name for argument in arguments]), arguments, strict=True)
    ]


def _unique(names: list[str]) -> list[str]:
    """Numbers names that are there already: tracing may name several inputs after what they are used for."""
    found: list[str] = []
    for name in names:
        count = 0
        free = name
        while free in found or (count and free in names):
            count += 1
            free = f"{name}_{count}"
        found.append(free)
    return found


def _forward(module: MirrorRoot, signature: inspect.Signature) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return Interpreter(module).run(module._graph, bound.args)

    # torch.export names inputs after the arguments that it finds here.
    forward.__signature__ = signature  # type: ignore[attr-defined]
    return forward
