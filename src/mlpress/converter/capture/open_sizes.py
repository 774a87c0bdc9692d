"""Functions of torch that fix an open size while a model is captured, written with those that do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class KeepsSizesOpen(TorchFunctionMode):
    """While it is entered, `linspace` takes a symbolic number of steps, `tensor_split` an open axis."""

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
        if func in (torch.tensor_split, torch.Tensor.tensor_split) and _is_open(*args, **given):
            return _tensor_split(*args, **given)
        return func(*args, **given)


def _steps(*args: Any, **kwargs: Any) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("steps")


def _linspace(start: Any, end: Any, steps: Any, **options: Any) -> Any:
    kept = {name: value for name, value in options.items() if name == "device"}
    positions = torch.arange(steps, dtype=options.get("dtype") or torch.get_default_dtype(), **kept)
    gaps: Any = torch.sym_max(steps - 1, 1)  # type: ignore[no-untyped-call]
    return start + positions * ((end - start) / gaps)


def _is_open(x: torch.Tensor, indices_or_sections: Any = None, dim: int = 0, **_: Any) -> bool:
    return isinstance(indices_or_sections, int) and isinstance(x.shape[dim], torch.SymInt)


def _tensor_split(x: torch.Tensor, indices_or_sections: int, dim: int = 0) -> tuple[torch.Tensor, ...]:
    each, longer = x.shape[dim] // indices_or_sections, x.shape[dim] % indices_or_sections
    bounds: Any = [
        part * each + torch.sym_min(part, longer)  # type: ignore[no-untyped-call]
        for part in range(indices_or_sections + 1)
    ]
    return tuple(torch.ops.aten.slice(x, dim, start, stop) for start, stop in itertools.pairwise(bounds))
