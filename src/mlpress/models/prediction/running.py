"""Where torch comes in: it is imported when a model first runs, not before."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlpress.errors import MlpressError
from mlpress.mil import Program

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from mlpress.runtime import Runner, RunOptions


def make_runner(program: Program, function: str, options: RunOptions | None) -> Runner:
    """Returns a function of `program` ready to run.

    Raises:
        MlpressError: PyTorch is not installed.
        UnsupportedModelError: The function has operators that cannot be run; all are listed.
    """
    runner: Runner = require_runtime().Runner(program, function, options)
    return runner


def make_module(
    program: Program, function: str, options: RunOptions | None, changes: dict[str, Any]
) -> GraphModule:
    """Returns a function of `program` as a module of PyTorch.

    Args:
        program: Not changed.
        function: Name of the function.
        options: How it computes.
        changes: Fields of `options` to change.

    Raises:
        MlpressError: PyTorch is not installed, or an option is not allowed.
        UnsupportedModelError: The function has operators that cannot be run; all are listed.
    """
    base = options or require_runtime().RunOptions()
    return make_runner(program, function, replace(replace(base, **changes), kernels="exact")).module


def require_runtime() -> ModuleType:
    """Returns what runs models.

    Raises:
        MlpressError: PyTorch is not installed.
    """
    try:
        from mlpress import runtime
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MlpressError("running a model needs PyTorch: pip install 'mlpress[torch]'") from error
    return runtime
