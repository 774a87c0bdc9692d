"""From an encoding to the chain of constexpr operators that a file holds."""

from __future__ import annotations

import numpy as np

from mlpress.bits import INT32, UINT1, UINT8, UINT32, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse
from mlpress.errors import LegalityError
from mlpress.mil.canonical import canonical
from mlpress.mil.legal import is_cast, why_illegal
from mlpress.mil.opset import Opset
from mlpress.mil.program import Constant, Literal, Operand, Operation, Value
from mlpress.mil.types import StringType, TensorType


def lower(constant: Constant, opset: Opset) -> list[Operation]:
    """Returns the operators that compute `constant` in a file of `opset`, in program order.

    The last one bears the constant's name and defines its value. A constant that is stored as it is, or that
    is no tensor, takes none.

    Raises:
        LegalityError: The opset cannot express the encoding.
    """
    encoding = constant.data
    if isinstance(encoding, (Literal, Dense)):
        return []
    reason = why_illegal(encoding, opset)
    if reason is not None:
        raise LegalityError(f"constant {constant.name!r}: {reason}")
    if is_cast(encoding):
        return [_lower_cast(constant, encoding)]
    if opset < Opset.CoreML8:
        return [_lower_before_ios18(constant, encoding)]
    chain = _Chain(constant)
    chain.dense(canonical(encoding, opset), last=True)
    return chain.operations


def literal(tensor: Tensor) -> Literal:
    """Wraps a tensor as an inline operand."""
    return Literal(TensorType(tensor.dtype, tensor.shape), tensor)


class _Chain:
    """Operators of one constant from iOS 18 on, where parameters are inputs that other operators may feed."""

    def __init__(self, constant: Constant) -> None:
        self._constant = constant
        self.operations: list[Operation] = []

    def dense(self, encoding: Encoding, *, role: str = "", last: bool = False) -> Operand:
        """Emits what computes a dense encoding; returns its result."""
        match encoding:
            case Dense(values):
                return literal(values)
            case Affine(data, scale, offset):
                inputs = {"data": self.dense(data, role=f"{role}_data"), **self._scales(scale, offset, role)}
                return self._emit("constexpr_blockwise_shift_scale", inputs, encoding, role, last)
            case Lut(indices, table, vector_axis):
                inputs = {
                    "indices": self.dense(indices, role=f"{role}_indices"),
                    "lut": self.dense(table, role=f"{role}_lut"),
                    **_vector_axis(vector_axis),
                }
                return self._emit("constexpr_lut_to_dense", inputs, encoding, role, last)
            case Scatter(source):
                mask, nonzero = self._masked(source, role)
                inputs = {"nonzero_data": nonzero, "mask": mask}
                return self._emit("constexpr_sparse_to_dense", inputs, encoding, role, last)
            case Sparse():
                raise AssertionError("legality was checked before lowering")

    def _masked(self, encoding: Encoding, role: str) -> tuple[Operand, Operand]:
        match encoding:
            case Sparse(mask, values):
                return literal(mask), literal(values)
            case Affine(data, scale, offset):
                mask_in, values_in = self._masked(data, f"{role}_data")
                inputs = {
                    "data_mask": mask_in,
                    "nonzero_data": values_in,
                    **self._scales(scale, offset, role),
                }
                return self._emit_masked("constexpr_sparse_blockwise_shift_scale", inputs, encoding, role)
            case Lut(Sparse(mask, indices), table, vector_axis):
                inputs = {
                    "indices_mask": literal(mask),
                    "indices_nonzero_data": literal(indices),
                    "lut": self.dense(table, role=f"{role}_lut"),
                    **_vector_axis(vector_axis),
                }
                return self._emit_masked("constexpr_lut_to_sparse", inputs, encoding, role)
            case _:
                raise AssertionError("legality was checked before lowering")

    def _scales(self, scale: Encoding, offset: Encoding | None, role: str) -> dict[str, Operand]:
        scales = {"scale": self.dense(scale, role=f"{role}_scale")}
        if offset is not None:
            scales["offset"] = self.dense(offset, role=f"{role}_offset")
        return scales

    def _emit(
        self, kind: str, inputs: dict[str, Operand], encoding: Encoding, role: str, last: bool
    ) -> Value:
        name = self._constant.name if last else f"{self._constant.name}{role}"
        output = self._constant.output if last else Value(name, TensorType(encoding.dtype, encoding.shape))
        self.operations.append(Operation(kind, name, dict(inputs), [output]))
        return output

    def _emit_masked(
        self, kind: str, inputs: dict[str, Operand], encoding: Encoding, role: str
    ) -> tuple[Value, Value]:
        name = f"{self._constant.name}{role}_nonzero"
        mask = Value(f"{name}_mask", TensorType(UINT1, encoding.shape))
        values = Value(name, TensorType(encoding.dtype, (_kept_count(encoding),)))
        self.operations.append(Operation(kind, name, dict(inputs), [mask, values]))
        return mask, values


def _kept_count(encoding: Encoding) -> int:
    match encoding:
        case Sparse(_, values):
            return values.size
        case Lut(indices):
            return _kept_count(indices) * encoding.vector_size
        case _:
            return _kept_count(encoding.operands[0])


def _vector_axis(axis: int | None) -> dict[str, Operand]:
    return {} if axis is None else {"vector_axis": _scalar(axis)}


def _scalar(value: int) -> Literal:
    return literal(Tensor.from_numpy(np.array(value, np.int32), INT32))


def _lower_cast(constant: Constant, encoding: Encoding) -> Operation:
    (source,) = encoding.operands[0].tensors
    inputs: dict[str, Operand | tuple[Operand, ...]] = {
        "source_val": literal(source),
        "output_dtype": Literal(StringType(), "fp32"),
    }
    return Operation("constexpr_cast", constant.name, inputs, [constant.output])


def _lower_before_ios18(constant: Constant, encoding: Encoding) -> Operation:
    """One operator does it all; bit-packed tensors are written as bytes beside their shape."""
    match encoding:
        case Affine(Dense(data), Dense(scale), offset):
            kind, inputs = "constexpr_affine_dequantize", _affine_dequantize(data, scale, offset)
        case Lut(Dense(indices), Dense(table)):
            kind = "constexpr_lut_to_dense"
            inputs = {
                "indices": literal(_as_bytes(indices)),
                "lut": literal(table.reshape((table.size,))),
                "shape": _shape(indices.shape),
            }
        case Scatter(Sparse(mask, values)):
            kind = "constexpr_sparse_to_dense"
            inputs = {
                "nonzero_data": literal(values),
                "mask": literal(_as_bytes(mask)),
                "shape": _shape(mask.shape),
            }
        case _:
            raise AssertionError("legality was checked before lowering")
    return Operation(kind, constant.name, dict(inputs), [constant.output])


def _affine_dequantize(data: Tensor, scale: Tensor, offset: Encoding | None) -> dict[str, Operand]:
    axis = next((axis for axis, size in enumerate(scale.shape) if size != 1), None)
    shape = () if axis is None else (scale.size,)
    if isinstance(offset, Dense):
        zero_point = offset.values.reshape(shape)
    else:
        zero_point = Tensor.from_numpy(np.zeros(shape, data.dtype.storage), data.dtype)
    return {
        "quantized_data": literal(data),
        "zero_point": literal(zero_point),
        "scale": literal(scale.reshape(shape)),
        "axis": _scalar(axis or 0),
    }


def _as_bytes(packed: Tensor) -> Tensor:
    return Tensor(UINT8, (packed.nbytes,), packed.buffer)


def _shape(shape: tuple[int, ...]) -> Literal:
    return literal(Tensor.from_numpy(np.array(shape, np.uint32), UINT32))
