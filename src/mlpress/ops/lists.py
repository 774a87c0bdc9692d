"""Lists of tensors: Python tuples. To write to a list is to make another one, which shares the elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.ops.dtypes import dtype_from_mil
from mlpress.ops.op import TensorList, op


@op(
    CoreML5="init_length:int32?, dynamic_length:bool const?, elem_shape:tensors, dtype:string const?",
)
def make_list(
    elem_shape: Sequence[int | str],
    init_length: int = 1,
    dynamic_length: bool = True,
    dtype: str = "fp32",
    *,
    anchor: Tensor,
) -> TensorList:
    """A list of `init_length` zero tensors.

    A size that is a name is unknown, and 0 until the element is written. A list that is written to behind its
    end grows, whether or not `dynamic_length` says that it may.
    """
    shape = [0 if isinstance(size, str) else size for size in elem_shape]
    return TensorList((anchor.new_zeros(shape, dtype=dtype_from_mil(dtype)),) * init_length)


@op(CoreML5="ls:list")
def list_length(ls: TensorList, *, anchor: Tensor) -> Tensor:
    """The number of elements, an int32 of rank 0."""
    return torch.full((), len(ls), dtype=torch.int32, device=anchor.device)


@op(CoreML5="ls:list, index:int32")
def list_read(ls: TensorList, index: int) -> Tensor:
    """Element `index`."""
    return ls[_checked(index, len(ls))]


@op(CoreML5="ls:list, index:int32, value:T; T=fp16|fp32|bool|int32")
def list_write(ls: TensorList, index: int, value: Tensor) -> TensorList:
    """The list with `value` as element `index`."""
    return _written(ls, [index], [value])


@op(CoreML5="ls:list, indices:int32")
def list_gather(ls: TensorList, indices: Sequence[int]) -> Tensor:
    """The elements at `indices`, stacked along a new first axis."""
    if not indices:
        return torch.stack(tuple(ls[:1]))[:0]
    return torch.stack([ls[_checked(index, len(ls))] for index in indices])


@op(CoreML5="ls:list, indices:int32, value:T; T=fp16|fp32|bool|int32")
def list_scatter(ls: TensorList, indices: Sequence[int], value: Tensor) -> TensorList:
    """The list with value[i] as element indices[i]."""
    return _written(ls, indices, value.unbind(0))


def _written(ls: TensorList, indices: Sequence[int], values: Sequence[Tensor]) -> TensorList:
    elements = list(ls)
    for index, value in zip(indices, values, strict=True):
        if index >= len(elements):
            elements += [torch.zeros_like(value)] * (index + 1 - len(elements))
        elements[_checked(index, len(elements))] = value
    return TensorList(tuple(elements))


def _checked(index: int, length: int) -> int:
    if not 0 <= index < length:
        raise InvalidProgramError(f"a list of {length} elements has no element {index}")
    return index
