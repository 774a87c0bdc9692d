"""From the const and constexpr operators of a file to constants with an encoding each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mlpress.bits import FLOAT32, INT32, UINT1, UINT8, DType, Tensor, unsigned
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode_masked
from mlpress.errors import EncodingError, InvalidProgramError, UnsupportedModelError
from mlpress.mil.program import Block, Constant, Literal, Operand, Operation, Program, Value, uses

_SINGLE = (
    "constexpr_affine_dequantize",
    "constexpr_blockwise_shift_scale",
    "constexpr_cast",
    "constexpr_lut_to_dense",
    "constexpr_sparse_to_dense",
)
_MASKED = ("constexpr_lut_to_sparse", "constexpr_sparse_blockwise_shift_scale")
_CHAINED = frozenset((*_SINGLE, *_MASKED))


def lift(program: Program) -> None:
    """Replaces every chain of constexpr operators in `program` by one constant with an encoding, in place.

    Constants that only fed such chains go with them. No weight is read.

    Raises:
        InvalidProgramError: An operator's operands are missing or do not fit together.
        UnsupportedModelError: The result of a sparse operator is used by something that is no constexpr
            operator.
    """
    for function in program.functions.values():
        if any(node.type in _CHAINED for node in function.block.walk() if isinstance(node, Operation)):
            _Lifter().block(function.block, _used_outside_chains(function.block))


def _used_outside_chains(block: Block) -> set[Value]:
    return {
        value
        for value, found in uses(block).items()
        if any(use.operation is None or not use.operation.type.startswith("constexpr_") for use in found)
    }


class _Lifter:
    """Walks the blocks of a function and knows the encoding of every constant value seen so far."""

    def __init__(self) -> None:
        self._encodings: dict[Value, Encoding] = {}
        self._masks: dict[Value, Encoding] = {}
        self._read: set[Value] = set()

    def block(self, block: Block, used_plainly: set[Value]) -> None:
        kept: list[Operation | Constant] = []
        for node in block.operations:
            if isinstance(node, Constant):
                if not isinstance(node.data, Literal):
                    self._encodings[node.output] = node.data
                kept.append(node)
            elif node.type in _CHAINED:
                constant = self._operation(node, used_plainly)
                if constant is not None:
                    kept.append(constant)
            else:
                for nested in node.blocks:
                    self.block(nested, used_plainly)
                kept.append(node)
        absorbed = self._read - used_plainly
        block.operations[:] = [
            node for node in kept if not (isinstance(node, Constant) and node.output in absorbed)
        ]

    def _operation(self, operation: Operation, used_plainly: set[Value]) -> Constant | None:
        reader = _Parameters(operation, self._encodings, self._read)
        try:
            if operation.type in _MASKED:
                self._masked(operation, reader, used_plainly)
                return None
            encoding = self._single(operation, reader)
        except (EncodingError, ValueError, TypeError) as error:
            if isinstance(error, (InvalidProgramError, UnsupportedModelError)):
                raise
            raise InvalidProgramError(f"{operation.type} {operation.name!r}: {error}") from error
        if len(operation.outputs) != 1:
            raise InvalidProgramError(
                f"{operation.type} {operation.name!r} has {len(operation.outputs)} outputs, not 1"
            )
        (output,) = operation.outputs
        self._encodings[output] = encoding
        return Constant(operation.name, output, encoding, operation.unknown)

    def _single(self, operation: Operation, reader: _Parameters) -> Encoding:
        match operation.type:
            case "constexpr_affine_dequantize":
                return _affine_dequantize(reader)
            case "constexpr_cast":
                return _cast(reader)
            case "constexpr_blockwise_shift_scale":
                return Affine(reader.encoding("data"), reader.encoding("scale"), reader.optional("offset"))
            case "constexpr_lut_to_dense" if "shape" in operation.inputs:
                return _packed_lut(reader)
            case "constexpr_lut_to_dense":
                return _lut(reader.encoding("indices"), reader)
            case "constexpr_sparse_to_dense" if "shape" in operation.inputs:
                mask = _unpacked(reader.tensor("mask"), UINT1, reader.shape())
                return Scatter(Sparse(mask, reader.tensor("nonzero_data")))
            case _:
                return Scatter(self._masked_source(reader, "mask", "nonzero_data"))

    def _masked(self, operation: Operation, reader: _Parameters, used_plainly: set[Value]) -> None:
        if len(operation.outputs) != 2:
            raise InvalidProgramError(
                f"{operation.type} {operation.name!r} has {len(operation.outputs)} outputs, not 2"
            )
        mask, values = operation.outputs
        if mask in used_plainly or values in used_plainly:
            raise UnsupportedModelError(
                f"{operation.type} {operation.name!r} feeds an operator that is no constexpr operator"
            )
        encoding: Encoding
        if operation.type == "constexpr_lut_to_sparse":
            encoding = _lut(self._masked_source(reader, "indices_mask", "indices_nonzero_data"), reader)
        else:
            source = self._masked_source(reader, "data_mask", "nonzero_data")
            encoding = Affine(source, reader.encoding("scale"), reader.optional("offset"))
        self._masks[mask] = encoding
        self._encodings[values] = encoding

    def _masked_source(self, reader: _Parameters, mask_name: str, values_name: str) -> Encoding:
        mask, values = reader.operand(mask_name), reader.encoding(values_name)
        owner = self._masks.get(mask) if isinstance(mask, Value) else None
        if values.masked:
            if owner is not values and _mask_of(values) != (
                _mask_of(owner) if owner else reader.tensor(mask_name)
            ):
                raise InvalidProgramError(
                    f"{reader.operation.type} {reader.operation.name!r}: "
                    f"{mask_name} is not the mask of {values_name}"
                )
            return values
        if not isinstance(values, Dense):
            raise UnsupportedModelError(
                f"{reader.operation.type} {reader.operation.name!r}: "
                f"{values_name} is compressed by a dense operator"
            )
        return Sparse(_mask_of(owner) if owner else reader.tensor(mask_name), values.values)


def _mask_of(encoding: Encoding) -> Tensor:
    match encoding:
        case Sparse(mask):
            return mask
        case Lut(_, _, int()):
            return Tensor.from_numpy(decode_masked(encoding)[0], UINT1)
        case _:
            return _mask_of(encoding.operands[0])


class _Parameters:
    """The operands of one constexpr operator, by name."""

    def __init__(self, operation: Operation, encodings: Mapping[Value, Encoding], read: set[Value]) -> None:
        self.operation = operation
        self._encodings = encodings
        self._read = read

    def operand(self, name: str) -> Operand:
        bound = self.operation.inputs.get(name)
        if bound is None or isinstance(bound, tuple):
            raise EncodingError(f"parameter {name!r} is missing or bound more than once")
        if isinstance(bound, Value):
            self._read.add(bound)
        return bound

    def encoding(self, name: str) -> Encoding:
        operand = self.operand(name)
        if isinstance(operand, Value):
            if operand not in self._encodings:
                raise EncodingError(
                    f"parameter {name!r} is bound to {operand.name!r}, which is not a constant tensor"
                )
            return self._encodings[operand]
        if not isinstance(operand.value, Tensor):
            raise EncodingError(f"parameter {name!r} is not a tensor")
        return Dense(operand.value)

    def optional(self, name: str) -> Encoding | None:
        return self.encoding(name) if name in self.operation.inputs else None

    def tensor(self, name: str) -> Tensor:
        encoding = self.encoding(name)
        if not isinstance(encoding, Dense):
            raise EncodingError(f"parameter {name!r} is itself compressed")
        return encoding.values

    def integer(self, name: str) -> int:
        tensor = self.tensor(name)
        if tensor.dtype != INT32 or tensor.size != 1:
            raise EncodingError(f"parameter {name!r} is one int32, not {tensor}")
        return int(tensor.numpy().item())

    def shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.tensor("shape").numpy().reshape(-1))


def _affine_dequantize(reader: _Parameters) -> Encoding:
    data, scale, zero_point = (reader.tensor(name) for name in ("quantized_data", "scale", "zero_point"))
    rank = len(data.shape)
    axis = reader.integer("axis")
    if not -rank <= axis < rank:
        raise EncodingError(f"axis {axis} is outside a tensor of rank {rank}")
    size = max(scale.size, zero_point.size)
    shape = [1] * rank
    shape[axis] = size
    return Affine(Dense(data), Dense(_spread(scale, shape, size)), Dense(_spread(zero_point, shape, size)))


def _spread(tensor: Tensor, shape: list[int], size: int) -> Tensor:
    if tensor.size == size:
        return tensor.reshape(tuple(shape))
    return Tensor.from_numpy(
        np.broadcast_to(tensor.numpy().reshape(-1), (size,)).reshape(shape), tensor.dtype
    )


def _cast(reader: _Parameters) -> Encoding:
    wanted = reader.operand("output_dtype")
    if not (isinstance(wanted, Literal) and wanted.value == "fp32"):
        raise EncodingError("output_dtype has to be the string 'fp32'")
    source = reader.tensor("source_val")
    one = Tensor.from_numpy(np.ones([1] * len(source.shape), np.float32), FLOAT32)
    return Affine(Dense(source), Dense(one))


def _packed_lut(reader: _Parameters) -> Encoding:
    table, shape = reader.tensor("lut"), reader.shape()
    bits = max(table.size - 1, 0).bit_length()
    if bits not in (1, 2, 4, 6, 8) or table.size != 1 << bits:
        raise EncodingError(f"a look-up table has 2, 4, 16, 64 or 256 entries, not {table.size}")
    indices = _unpacked(reader.tensor("indices"), unsigned(bits), shape)
    return Lut(Dense(indices), Dense(table.reshape((1,) * len(shape) + (table.size, 1))))


def _unpacked(packed: Tensor, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    if packed.dtype != UINT8 or packed.nbytes != dtype.nbytes(math.prod(shape)):
        raise EncodingError(f"{packed} does not hold {dtype} elements of shape {shape}")
    return Tensor(dtype, shape, packed.buffer)


def _lut(indices: Encoding, reader: _Parameters) -> Encoding:
    table = reader.encoding("lut")
    axis = None
    if table.shape and table.shape[-1] > 1:
        axis = reader.integer("vector_axis")
        axis += len(indices.shape) if axis < 0 else 0
    elif "vector_axis" in reader.operation.inputs:
        reader.operand("vector_axis")
    return Lut(indices, table, axis)
