"""Where the scale of a palettized weight stands: in its table or behind the look-up.

The two say the same thing bit for bit. Core ML expects it in the table before iOS 26, which repeats the
table for every scale, and behind the look-up from iOS 26 on. A sparse look-up keeps its scale in the table
in every opset.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

from mlpress.bits import Spool, Tensor
from mlpress.encoding import (
    Affine,
    Dense,
    Encoding,
    Lut,
    Scatter,
    map_tensors,
    nbytes,
    storage_key,
    tensors,
    to_vectors,
)
from mlpress.encoding.nodes import TABLE_DTYPES
from mlpress.mil.opset import Opset
from mlpress.mil.program import Constant, Literal, Program, with_constants


def canonical(encoding: Encoding, opset: Opset) -> Encoding:
    """Returns the form of `encoding` that `opset` expects; often the tree itself."""
    match encoding:
        case Scatter(source):
            return Scatter(_into_table(source))
        case _ if opset < Opset.CoreML9:
            return _into_table(encoding)
        case _:
            return _behind_lookup(encoding)


def canonical_program(program: Program) -> Program:
    """Returns `program` with every constant in the form that its opset expects; itself if they are so.

    Constants that share their storage still do afterwards. Tables that are repeated wait in a temporary file.
    """
    spool = Spool()
    forms: dict[Hashable, Encoding] = {}
    replaced: dict[Constant, Encoding] = {}
    for function in program.functions.values():
        for constant in function.block.constants():
            encoding = constant.data
            if isinstance(encoding, (Dense, Literal)):
                continue
            key = storage_key(encoding), function.opset
            if key not in forms:
                forms[key] = _with_new_in(spool, canonical(encoding, function.opset), encoding)
            if forms[key] is not encoding:
                replaced[constant] = forms[key]
    return with_constants(program, replaced) if replaced else program


def _with_new_in(spool: Spool, form: Encoding, origin: Encoding) -> Encoding:
    """Moves those tensors of a form to a spool that are none of the encoding that it was made from."""
    if form is origin:
        return form
    known = {tensor.address for tensor in tensors(origin)}
    return map_tensors(form, lambda tensor: tensor if tensor.address in known else spool.store(tensor))


def _behind_lookup(encoding: Encoding) -> Encoding:
    match encoding:
        case Lut(Dense() as indices, Affine(Dense(table), Dense(scale), offset) as entries, vector_axis) if (
            scale.shape[-2:] == (1, 1)
            and table.dtype in TABLE_DTYPES
            and (offset is None or isinstance(offset, Dense))
            and entries.dtype == scale.dtype
        ):
            outer = scale.shape[:-2]
            moved = None if offset is None else Dense(offset.values.reshape(outer))
            return Affine(Lut(indices, Dense(table), vector_axis), Dense(scale.reshape(outer)), moved)
    return encoding


def _into_table(encoding: Encoding) -> Encoding:
    match encoding:
        case Affine(Lut(indices, Dense(table), vector_axis) as lut, Dense(scale), offset) if (
            offset is None or isinstance(offset, Dense)
        ):
            layout = _table_layout(lut, scale.shape)
            if layout is None:
                return encoding
            groups, inner = layout
            repeated = Dense(_repeat(table, groups))
            scales = Dense(_beside_table(scale, vector_axis, inner))
            offsets = None if offset is None else Dense(_beside_table(offset.values, vector_axis, inner))
            return Lut(indices, Affine(repeated, scales, offsets), vector_axis)
    return encoding


def _table_layout(lut: Lut, scale_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Returns the tables along each axis and the shape of their scale; None if scales and tables straddle."""
    groups: list[int] = []
    inner: list[int] = []
    elements = 1
    for axis, (positions, tables, scales) in enumerate(
        zip(lut.indices.shape, lut.table.shape[:-2], scale_shape, strict=True)
    ):
        if axis == lut.vector_axis and scales > positions:
            # Scales differ within a vector: one table a vector, scaled element by element.
            if lut.vector_size % (scales // positions) or scales % positions:
                return None
            elements = scales // positions
            scales = positions
        if (scales % tables and tables % scales) or positions % max(scales, 1):
            return None
        groups.append(max(scales, tables))
        inner.append(scales)
    return tuple(groups), (*inner, 1, elements)


def _repeat(table: Tensor, groups: tuple[int, ...]) -> Tensor:
    if table.shape[:-2] == groups:
        return table
    values = table.numpy()
    for axis, count in enumerate(groups):
        values = np.repeat(values, count // values.shape[axis], axis=axis)
    return Tensor.from_numpy(values, table.dtype)


def _beside_table(scale: Tensor, vector_axis: int | None, shape: tuple[int, ...]) -> Tensor:
    """Gives a scale the shape that goes with a table: what differs within a vector comes last."""
    if vector_axis is None or shape[-1] == 1:
        return scale.reshape(shape)
    vectors = to_vectors(scale.numpy(), vector_axis, shape[-1])
    return Tensor.from_numpy(vectors.reshape(shape), scale.dtype)


def canonical_nbytes(encoding: Encoding, opset: Opset) -> int:
    """Bytes that `encoding` takes in a file of `opset`, repeated tables included, without building them."""
    tree = encoding.source if isinstance(encoding, Scatter) else encoding
    extra = 0
    if tree.masked or opset < Opset.CoreML9:
        match tree:
            case Affine(Lut(_, Dense(table)) as lut, Dense(scale)):
                layout = _table_layout(lut, scale.shape)
                if layout is not None:
                    entries = math.prod(layout[0]) * math.prod(table.shape[-2:])
                    extra = table.dtype.nbytes(entries) - table.nbytes
    return nbytes(encoding) + extra
