"""Elements in order of their values."""

from __future__ import annotations

import torch
from torch import Tensor

from mlpress.ops.dtypes import dtype_from_mil
from mlpress.ops.op import op
from mlpress.ops.operands import check_choice


@op(CoreML5="x:T, axis:int32 const?, ascending:bool const?; T=fp16|fp32|int32")
def argsort(x: Tensor, axis: int = -1, ascending: bool = False) -> Tensor:
    """Int32 indices that sort x along `axis`; of equal elements the first comes first."""
    return x.argsort(dim=axis, descending=not ascending, stable=True).int()


@op(
    CoreML5="x:T, k:int32 const?, axis:int32 const?, ascending:bool const?; T=fp16|fp32|int32",
    CoreML6="x:T, k:int32 const?, axis:int32 const?, ascending:bool const?, sort:bool const?, "
    "return_indices:bool const?; T=fp16|fp32|int32",
    CoreML7="x:T, k:K const?, axis:int32 const?, ascending:bool const?, sort:bool const?, "
    "return_indices:bool const?, output_indices_dtype:string const?; "
    "T=fp16|fp32|int8|int16|int32|uint8|uint16, K=int8|int16|int32",
)
def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,
    return_indices: bool = True,
    output_indices_dtype: str = "int32",
) -> tuple[Tensor, ...]:
    """The k (-1: all) largest elements along `axis`, or smallest if `ascending`, and where they are."""
    check_choice("topk", "output_indices_dtype", output_indices_dtype, ("int32", "uint16"))
    comparable = x.int() if x.dtype is torch.uint16 else x  # torch cannot order uint16
    count = x.shape[axis] if k == -1 else k
    values, indices = comparable.topk(count, axis, largest=not ascending, sorted=sort)
    if not return_indices:
        return (values.to(x.dtype),)
    return values.to(x.dtype), indices.to(dtype_from_mil(output_indices_dtype))
