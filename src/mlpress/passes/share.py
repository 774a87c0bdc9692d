"""Constants of equal contents become constants over the same bytes, which a file holds once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from mlpress.bits import Tensor
from mlpress.encoding import Encoding, map_tensors, tensors
from mlpress.mil import Program, with_constants
from mlpress.package import release

_Key = tuple[str, int]


def shared(program: Program) -> Program:
    """Returns a program in which weights of equal contents, in all functions, are stored once.

    Only weights are read of which there are several of one type and size.
    """
    constants = [
        (constant, constant.data)
        for function in program.functions.values()
        for constant in function.block.constants()
        if isinstance(constant.data, Encoding)
    ]
    places: dict[_Key, set[Hashable]] = {}  # distinct bytes of each type and size
    for _, encoding in constants:
        for tensor in tensors(encoding):
            places.setdefault(_key(tensor), set()).add(tensor.address)
    first: dict[Hashable, Tensor] = {}
    known: dict[Hashable, Tensor] = {}

    def one_of(tensor: Tensor) -> Tensor:
        if len(places[_key(tensor)]) < 2:
            return tensor
        place = _key(tensor), tensor.address
        if place not in known:
            digest = hashlib.sha256(tensor.buffer).digest()
            release(tensor)
            known[place] = first.setdefault((_key(tensor), digest), tensor)
        return Tensor(tensor.dtype, tensor.shape, known[place].buffer)

    return with_constants(
        program, {constant: map_tensors(encoding, one_of) for constant, encoding in constants}
    )


def _key(tensor: Tensor) -> _Key:
    return tensor.dtype.name, tensor.size
