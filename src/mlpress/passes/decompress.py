"""Undo compression: every weight dense again."""

from __future__ import annotations

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, decode, tensors
from mlpress.mil import Constant, Literal, Program, with_constants
from mlpress.package import Spool, release


def decompress(program: Program) -> Program:
    """Returns a copy of `program` whose constants hold their decoded values.

    `program` is not changed. Values go to a temporary file one after the other, so memory is bounded by the
    largest.

    Raises:
        EncodingError: A constant's parts contradict each other.
    """
    spool = Spool()
    replaced: dict[Constant, Encoding] = {}
    for function in program.functions.values():
        for constant in function.block.constants():
            encoding = constant.data
            if isinstance(encoding, (Literal, Dense)):
                continue
            replaced[constant] = Dense(spool.store(Tensor.from_numpy(decode(encoding), encoding.dtype)))
            for tensor in tensors(encoding):
                release(tensor)
    return with_constants(program, replaced)
