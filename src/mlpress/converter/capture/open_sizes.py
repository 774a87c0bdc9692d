"""Functions of torch that fix an open size while a model is captured, written with those that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class KeepsSizesOpen(TorchFunctionMode):
    """While it is entered, `torch.linspace` takes a symbolic number of steps."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, or what stands for it."""
        given = kwargs or {}
        if func is torch.linspace and isinstance(_steps(*args, **given), torch.SymInt):
            return _linspace(*args, **given)
        return func(*args, **given)


def _steps(*args: Any, **kwargs: Any) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("steps")


def _linspace(start: Any, end: Any, steps: Any, **options: Any) -> Any:
    kept = {name: value for name, value in options.items() if name == "device"}
    positions = torch.arange(steps, dtype=options.get("dtype") or torch.get_default_dtype(), **kept)
    gaps: Any = torch.sym_max(steps - 1, 1)  # type: ignore[no-untyped-call]
    return start + positions * ((end - start) / gaps)
