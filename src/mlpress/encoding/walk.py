"""Looking at and rebuilding encoding trees without decoding them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from mlpress.bits import Tensor
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse


def tensors(encoding: Encoding) -> Iterator[Tensor]:
    """Yields the stored tensors of the tree, operands after their node, a shared one once for each place."""
    yield from encoding.tensors
    for operand in encoding.operands:
        yield from tensors(operand)


def nbytes(encoding: Encoding) -> int:
    """Bytes that the tree takes in a file, padding and headers aside; tensors that share bytes count once."""
    return sum(nbytes_by_address(encoding).values())


def nbytes_by_address(encoding: Encoding) -> dict[tuple[int, int], int]:
    """Maps where each stored tensor lies to its length in bytes: sharing between trees can be seen."""
    return {tensor.address: tensor.nbytes for tensor in tensors(encoding)}


def storage_key(encoding: Encoding) -> Hashable:
    """Returns what is equal for trees of the same form over the same bytes, without comparing the bytes."""
    own: list[Hashable] = [type(encoding).__name__]
    own += [(tensor.address, tensor.dtype.name, tensor.shape) for tensor in encoding.tensors]
    if isinstance(encoding, Lut):
        own.append(encoding.vector_axis)
    return (*own, *(storage_key(operand) for operand in encoding.operands))


def map_tensors(encoding: Encoding, change: Callable[[Tensor], Tensor]) -> Encoding:
    """Returns the same tree with `change` applied to each stored tensor (which must keep dtype and shape)."""
    match encoding:
        case Dense(values):
            return Dense(change(values))
        case Sparse(mask, values):
            return Sparse(change(mask), change(values))
        case Affine(data, scale, offset):
            return Affine(
                map_tensors(data, change),
                map_tensors(scale, change),
                None if offset is None else map_tensors(offset, change),
            )
        case Lut(indices, table, vector_axis):
            return Lut(map_tensors(indices, change), map_tensors(table, change), vector_axis)
        case Scatter(source):
            return Scatter(map_tensors(source, change))


def describe(encoding: Encoding) -> str:
    """Says in a few words how the weight is stored, innermost last.

    For example ``"sparse 80% · 4-bit palette x16 · int8 table"`` or ``"int4 · 128x16 scales · offset"``.
    """
    return " · ".join(_words(encoding)) or encoding.dtype.name


def _words(encoding: Encoding) -> list[str]:
    match encoding:
        case Dense(values):
            return [values.dtype.name]
        case Sparse(mask, values):
            dropped = 1 - values.size / mask.size if mask.size else 0.0
            return [f"sparse {dropped:.0%}", values.dtype.name]
        case Scatter(source):
            return _words(source)
        case Affine(data, scale, offset):
            counts = [str(count) for count in scale.shape if count != 1]
            scales = f"{'x'.join(counts)} scales" if counts else "1 scale"
            return [*_words(data), scales, *(["offset"] if offset is not None else [])]
        case Lut(indices, table):
            return [*_palette_words(indices, table)]


def _palette_words(indices: Encoding, table: Encoding) -> list[str]:
    tables = 1
    for count in table.shape[:-2]:
        tables *= count
    palette = f"{indices.dtype.bits}-bit palette"
    if table.shape[-1] > 1:
        palette += f" of {table.shape[-1]}-vectors"
    if tables > 1:
        palette += f" x{tables}"
    words = [word for word in _words(indices) if word.startswith("sparse")]
    return [*words, palette, f"{_stored_dtype(table)} table"]


def _stored_dtype(encoding: Encoding) -> str:
    while not isinstance(encoding, (Dense, Sparse)):
        encoding = encoding.operands[0]
    return encoding.values.dtype.name
