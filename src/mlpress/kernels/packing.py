"""Packed n-bit integers, bit masks and look-ups.

Packed streams are Core ML's: element i occupies bits ``i * nbits`` to ``i * nbits + nbits - 1``, least
significant bit first, and the bits that pad the last byte are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress.kernels._backend import native
from mlpress.kernels.reference import packing as reference


def _flat(name: str, array: NDArray[Any], *dtypes: type) -> NDArray[Any]:
    """Returns `array` as a contiguous 1-D array after checking its dtype and rank."""
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; 1 is expected")
    if array.dtype.type not in dtypes:
        allowed = ", ".join(np.dtype(dtype).name for dtype in dtypes)
        raise ValueError(f"{name} has dtype {array.dtype}; allowed are {allowed}")
    return np.ascontiguousarray(array, dtype=array.dtype.type)


def _elements(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Returns `array` as a contiguous 1-D array after checking that its elements have 1, 2 or 4 bytes."""
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions; 1 is expected")
    if array.dtype.itemsize not in (1, 2, 4) or array.dtype.hasobject:
        raise ValueError(f"{name} has dtype {array.dtype}; allowed are dtypes of 1, 2 or 4 bytes")
    return np.ascontiguousarray(array)


def _check_nbits(nbits: int) -> None:
    if not 1 <= nbits <= 8:
        raise ValueError(f"nbits is {nbits}; allowed are 1 to 8")


def _mask(mask: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Checks that a packed mask has at least `count` bits and returns the bytes that hold them."""
    mask = _flat("mask", mask, np.uint8)
    size = (count + 7) // 8
    if mask.size < size:
        raise ValueError(f"mask has {mask.size} bytes; {count} elements need {size}")
    return mask[:size]


def _ones(mask: NDArray[np.uint8], count: int) -> int:
    ones = popcount(mask[: count // 8])
    rest = count % 8
    return ones + (int(mask[count // 8]) & ((1 << rest) - 1)).bit_count() if rest else ones


def pack(values: NDArray[np.uint8] | NDArray[np.int8], nbits: int) -> NDArray[np.uint8]:
    """Packs integers into `nbits` bits each.

    Args:
        values: uint8 or int8 ``[n]``. The low `nbits` bits of each are kept, so that negative values become
            two's complement of that width; the caller sees to it that the values fit.
        nbits: Width of an element, 1 to 8.

    Returns:
        uint8 ``[ceil(n * nbits / 8)]``.

    Raises:
        ValueError: `values` or `nbits` is not as described.
    """
    values = _flat("values", values, np.uint8, np.int8)
    _check_nbits(nbits)
    if native is None:
        return reference.pack(values, nbits)
    packed = np.empty((values.size * nbits + 7) // 8, np.uint8)
    native.pack(values.view(np.uint8), nbits, packed)
    return packed


def unpack(packed: NDArray[np.uint8], nbits: int, count: int, *, signed: bool = False) -> NDArray[Any]:
    """Unpacks `count` integers of `nbits` bits each.

    Args:
        packed: uint8 ``[>= ceil(count * nbits / 8)]``.
        nbits: Width of an element, 1 to 8.
        count: Number of elements.
        signed: Whether the elements are two's complement.

    Returns:
        uint8 ``[count]``, or int8 when `signed`.

    Raises:
        ValueError: `packed` is too short or an argument is not as described.
    """
    packed = _flat("packed", packed, np.uint8)
    _check_nbits(nbits)
    if count < 0:
        raise ValueError(f"count is {count}; it must not be negative")
    size = (count * nbits + 7) // 8
    if packed.size < size:
        raise ValueError(f"packed has {packed.size} bytes; {count} elements of {nbits} bits need {size}")
    if native is None:
        values = reference.unpack(packed[:size], nbits, count)
        return reference.sign_extend(values, nbits) if signed else values
    values = np.empty(count, np.uint8)
    native.unpack(packed, nbits, signed, values)
    return values.view(np.int8) if signed else values


def popcount(packed: NDArray[np.uint8]) -> int:
    """Returns the number of ones in uint8 ``[bytes]``, padding bits included.

    Raises:
        ValueError: `packed` is not a 1-D uint8 array.
    """
    packed = _flat("packed", packed, np.uint8)
    return reference.popcount(packed) if native is None else int(native.popcount(packed))


def gather_mask(values: NDArray[Any], mask: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns the elements where the mask is one, in order.

    Args:
        values: ``[n]`` of any dtype of 1, 2 or 4 bytes.
        mask: uint8 ``[>= ceil(n / 8)]``, a bit for each element.

    Returns:
        ``[ones]`` of the same dtype.

    Raises:
        ValueError: An argument is not as described, or the mask is too short.
    """
    values = _elements("values", values)
    mask = _mask(mask, values.size)
    if native is None:
        return values[reference.mask_bits(mask, values.size)]
    kept = np.empty(_ones(mask, values.size), values.dtype)
    native.gather_mask(values.view(np.uint8), mask, values.dtype.itemsize, kept.view(np.uint8))
    return kept


def scatter_mask(values: NDArray[Any], mask: NDArray[np.uint8], count: int) -> NDArray[Any]:
    """Puts values where the mask is one and zero elsewhere; the inverse of `gather_mask`.

    Args:
        values: ``[ones]`` of any dtype of 1, 2 or 4 bytes.
        mask: uint8 ``[>= ceil(count / 8)]``, a bit for each element of the result.
        count: Number of elements of the result.

    Returns:
        ``[count]`` of the same dtype.

    Raises:
        ValueError: The number of ones differs from the number of values, or an argument is not as described.
    """
    values = _elements("values", values)
    if count < 0:
        raise ValueError(f"count is {count}; it must not be negative")
    mask = _mask(mask, count)
    ones = _ones(mask, count)
    if ones != values.size:
        raise ValueError(f"the mask has {ones} ones among {count} bits, but there are {values.size} values")
    if native is None:
        dense = np.zeros(count, values.dtype)
        dense[reference.mask_bits(mask, count)] = values
        return dense
    dense = np.empty(count, values.dtype)
    native.scatter_mask(values.view(np.uint8), mask, values.dtype.itemsize, dense.view(np.uint8))
    return dense


def lookup(indices: NDArray[np.uint8], table: NDArray[Any]) -> NDArray[Any]:
    """Returns ``table[indices]``.

    Args:
        indices: uint8 ``[n]``.
        table: ``[k]`` of any dtype of 1, 2 or 4 bytes.

    Returns:
        ``[n]`` of the table's dtype.

    Raises:
        ValueError: An index is outside the table, or an argument is not as described.
    """
    indices = _flat("indices", indices, np.uint8)
    table = _elements("table", table)
    if indices.size and table.size < 256 and (largest := int(indices.max())) >= table.size:
        raise ValueError(f"an index is {largest}, but the table has {table.size} entries")
    if native is None:
        return reference.lookup(indices, table)
    values = np.empty(indices.size, table.dtype)
    native.lookup(indices, table.view(np.uint8), table.dtype.itemsize, values.view(np.uint8))
    return values


def sum_squared_error(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Returns ``(sum((a - b)**2), sum(a**2))``, computed in float64 in one pass.

    Args:
        a: float16 or float32 ``[n]``.
        b: Like `a`.

    Raises:
        ValueError: The arrays differ in dtype or size, or are not as described.
    """
    a = _flat("a", a, np.float16, np.float32)
    b = _flat("b", b, np.float16, np.float32)
    if a.size != b.size or a.dtype != b.dtype:
        raise ValueError(f"a is {a.dtype}[{a.size}] and b is {b.dtype}[{b.size}]; they must be alike")
    if native is None:
        return reference.sum_squared_error(a, b)
    if a.dtype == np.float16:
        error, signal = native.squared_sums_half(a.view(np.uint16), b.view(np.uint16))
    else:
        error, signal = native.squared_sums_float(a, b)
    return error, signal
