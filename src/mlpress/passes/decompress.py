"""Undo compression: every weight dense again."""

from __future__ import annotations

from collections.abc import Hashable

from mlpress.bits import Spool, Tensor
from mlpress.encoding import Dense, Encoding, decode, storage_key, tensors
from mlpress.mil import Constant, Literal, Program, with_constants
from mlpress.package import release


def decompress(program: Program) -> Program:
    """Returns a copy of `program` whose constants hold their decoded values.

    `program` is not changed. Values go to a temporary file one after the other, so memory is bounded by the
    largest.

    Raises:
        EncodingError: A constant's parts contradict each other.
    """
    spool = Spool()
    replaced: dict[Constant, Encoding] = {}
    decoded: dict[Hashable, Dense] = {}  # shared constants stay shared
    for function in program.functions.values():
        for constant in function.block.constants():
            encoding = constant.data
            if isinstance(encoding, (Literal, Dense)):
                continue
            key = storage_key(encoding)
            if key not in decoded:
                decoded[key] = Dense(spool.store(Tensor.from_numpy(decode(encoding), encoding.dtype)))
                for tensor in tensors(encoding):
                    release(tensor)
            replaced[constant] = decoded[key]
    return with_constants(program, replaced)
