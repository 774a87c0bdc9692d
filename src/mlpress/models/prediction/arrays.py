"""Between the arrays that users hand in or get and the element types of a model."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import bits
from mlpress.bits import DType
from mlpress.errors import MlpressError


def to_array(what: str, value: Any, dtype: DType) -> npt.NDArray[Any]:
    """Returns `value` as an array of `dtype`, row-major; itself where it is one already.

    Floats are rounded to the precision of `dtype`; what is beyond its range becomes infinite. Integers never
    change their value: floats are taken where integers are wanted if all of them are whole.

    Args:
        what: What the value is for, such as ``"input 'x'"``, for messages.
        value: An array that NumPy can read, a tensor of torch on any device, lists, or a number.
        dtype: Element type of the result.

    Raises:
        MlpressError: The value holds no numbers, or one that an integer type cannot hold.
    """
    array = _numpy(what, value)
    try:
        given = bits.dtype_of(array)
    except ValueError:
        raise MlpressError(
            f"{what} ({_type_name(value)} of {array.dtype}) holds no real numbers; the model takes {dtype}"
        ) from None
    if dtype.is_integer and given != dtype:
        _check_whole(what, array, dtype)
    with np.errstate(over="ignore"):
        return array.astype(dtype.storage, order="C", copy=False)


def from_array(array: npt.NDArray[Any], dtype: DType) -> npt.NDArray[Any]:
    """Returns `array`, of `dtype` in the model, as users get it: half precision as float32.

    So does coremltools, and scripts written for it go on computing with it, where float16 would round and
    overflow, and torch would refuse to mix it with float32.
    """
    return array.astype(np.float32 if dtype == bits.FLOAT16 else dtype.storage, copy=False)


def _numpy(what: str, value: Any) -> npt.NDArray[Any]:
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is not None and isinstance(value, torch.Tensor):
        narrow = value.is_floating_point() and value.dtype.itemsize < 4  # NumPy has only one of these
        try:
            return np.asarray((value.float() if narrow else value).detach().cpu())
        except (TypeError, NotImplementedError) as error:
            raise MlpressError(
                f"{what} ({_type_name(value)} of {value.dtype}) makes no array: {error}"
            ) from error
    try:
        return np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise MlpressError(f"{what} ({_type_name(value)}) makes no array: {error}") from error


def _check_whole(what: str, array: npt.NDArray[Any], dtype: DType) -> None:
    """Refuses values that the integer type `dtype` does not have, NaN among them."""
    if np.can_cast(array.dtype, dtype.storage):
        return
    if array.dtype.kind not in "iu":
        array = array.astype(np.float64)  # holds the bounds below exactly, as smaller floats do not
    fits = (array >= dtype.low) & (array < dtype.high + 1) & (array == np.trunc(array))
    if not fits.all():
        raise MlpressError(
            f"{what} holds {array[~fits].flat[0]}; the model takes {dtype}, "
            f"integers from {dtype.low} to {dtype.high}"
        )


def _type_name(value: Any) -> str:
    return type(value).__name__
