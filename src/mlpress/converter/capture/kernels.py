"""Kernels for fake tensors that take the place of torch's while a model is captured.

On fake tensors torch runs a recurrent layer step by step, which fixes the number of steps; and it refuses
grouped products of types that a GPU does not take. These kernels only tell the shapes of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._C import DispatchKey
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch._subclasses.fake_impls import _deregister_op_impl, register_op_impl
from torch._subclasses.fake_tensor import FakeTensorMode

Tensor = torch.Tensor

_KEYS = (DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd, DispatchKey.Meta)


def _lstm(x: Tensor, hx: Sequence[Tensor], *parameters_and_options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes of `aten::lstm.input`; with a projection, the output is as wide as the hidden state."""
    output, hidden = _rnn(x, hx[0], *parameters_and_options)
    return output, hidden, torch.empty_like(hx[1])


def _rnn(
    x: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Shapes of `aten::gru.input` and its like: the last layer at all steps, all layers at the last step."""
    directions = 2 if bidirectional else 1
    return x.new_empty((*x.shape[:-1], hx.shape[-1] * directions)), torch.empty_like(hx)


def _grouped_product(
    mode: FakeTensorMode,
    op: OpOverload[..., Any],
    a: Tensor,
    b: Tensor,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> Tensor:
    """Shape of `aten::_grouped_mm`: an operand of rank 2 holds all groups, one after the other."""
    shape = (*a.shape[:-1], b.shape[-1])
    if a.ndim == 2 and b.ndim == 2:
        assert offs is not None
        shape = (offs.shape[0], a.shape[0], b.shape[1])
    elif a.ndim == 2 or b.ndim == 2:
        shape = (a.shape[-2], b.shape[-1])
    with mode:
        return a.new_empty(shape, dtype=out_dtype)


_KERNELS: dict[OpOverload[..., Any], Callable[..., Any]] = {
    torch.ops.aten.lstm.input: _lstm,
    torch.ops.aten.gru.input: _rnn,
    torch.ops.aten.rnn_tanh.input: _rnn,
    torch.ops.aten.rnn_relu.input: _rnn,
}

_GROUPED = torch.ops.aten._grouped_mm.default


@contextmanager
def shape_kernels() -> Iterator[None]:
    """Puts the kernels in place, and torch's back afterwards."""
    saved = {op: (dict(op.py_kernels), decomposition_table.get(op)) for op in _KERNELS}
    try:
        for op, kernel in _KERNELS.items():
            op.py_kernels.update(dict.fromkeys(_KEYS, kernel))
            op._dispatch_cache.clear()
            # `ExportedProgram.run_decompositions` replaces the kernels above; fake tensors then look here.
            decomposition_table[op] = kernel
        register_op_impl(_GROUPED)(_grouped_product)
        yield
    finally:
        _deregister_op_impl(_GROUPED)
        for op, (kernels, decomposition) in saved.items():
            op.py_kernels.clear()
            op.py_kernels.update(kernels)
            op._dispatch_cache.clear()
            decomposition_table.pop(op)
            if decomposition is not None:
                decomposition_table[op] = decomposition
