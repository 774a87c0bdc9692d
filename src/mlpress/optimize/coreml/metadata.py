"""What the weights of a model look like, under coremltools' names."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, decode, size_of
from mlpress.mil import Constant, Literal, Operation, Value
from mlpress.models import as_mlmodel
from mlpress.passes import weights

_ZERO = 1e-12


@dataclass(frozen=True)
class CoreMLOpMetaData:
    """An operator that uses a weight.

    Attributes:
        op_type: Its type, such as ``"conv"``.
        name: Its name.
        params_name_mapping: Names of the large constants among its inputs, by parameter.
    """

    op_type: str
    name: str
    params_name_mapping: dict[str, str]

    def __str__(self) -> str:
        bound = "".join(f", {parameter}={name}" for parameter, name in self.params_name_mapping.items())
        return f"{self.op_type}(name={self.name}{bound}, ...)"


class CoreMLWeightMetaData:
    """A weight; its values are decoded when first asked for.

    Attributes:
        encoding: How it is stored.
        child_ops: Operators that use it; None if that is not known.
    """

    def __init__(
        self,
        val: npt.NDArray[Any] | Encoding,
        sparsity: float | None = None,
        unique_values: int | None = None,
        child_ops: list[CoreMLOpMetaData] | None = None,
    ) -> None:
        """Describes a weight.

        Args:
            val: Its values, as an array or as they are stored.
            sparsity: What `sparsity` is to be; computed when asked for if not given.
            unique_values: The same for `unique_values`.
            child_ops: Operators that use it.
        """
        self.encoding = val if isinstance(val, Encoding) else Dense(Tensor.from_numpy(val))
        self.child_ops = child_ops
        self._sparsity, self._unique_values = sparsity, unique_values

    @property
    def val(self) -> npt.NDArray[Any]:
        """The dense values; decoded anew at each access, so that metadata of a large model stays small."""
        return decode(self.encoding)

    @property
    def sparsity(self) -> float:
        """Fraction of the values whose magnitude is at most 1e-12."""
        if self._sparsity is None:
            values = self.val
            self._sparsity = float(np.count_nonzero(np.abs(values) <= _ZERO) / values.size)
        return self._sparsity

    @property
    def unique_values(self) -> int:
        """Number of different values."""
        if self._unique_values is None:
            self._unique_values = len(np.unique(self.val))
        return self._unique_values

    def __str__(self) -> str:
        lines = [
            "[",
            f"  val: np.ndarray(shape={self.encoding.shape}, dtype={self.encoding.dtype})",
            f"  sparsity: {self.sparsity}",
            f"  unique_values: {self.unique_values}",
        ]
        if self.child_ops is not None:
            lines += ["  child_ops: [", *(f"    {operation}" for operation in self.child_ops), "  ]"]
        return "\n".join([*lines, "]"])


class _MetaDataDict(OrderedDict[str, CoreMLWeightMetaData]):
    def __str__(self) -> str:
        return "".join(f"{name}\n{metadata}\n" for name, metadata in self.items())


def get_weights_metadata(mlmodel: Any, weight_threshold: int = 2048) -> dict[str, CoreMLWeightMetaData]:
    """Describes the weights of a model.

    Args:
        mlmodel: A model of mlpress or coremltools, or the path of a package.
        weight_threshold: Weights of fewer elements are left out.

    Returns:
        A dictionary by name of the constant, in program order; ``str()`` of it is a listing. Compressed
        weights are there too, with their decoded values.
    """
    found = _MetaDataDict()
    large: dict[Value, Constant] = {}
    selected = [
        weight
        for weight in weights(as_mlmodel(mlmodel).program)
        if size_of(weight.encoding) >= weight_threshold
    ]
    for weight in selected:
        large[weight.constant.output] = weight.constant
    for weight in selected:
        operations = dict.fromkeys(use.operation for use in weight.users if use.operation is not None)
        found[weight.constant.name] = CoreMLWeightMetaData(
            weight.encoding, child_ops=[_describe(operation, large) for operation in operations]
        )
    return found


def _describe(operation: Operation, large: dict[Value, Constant]) -> CoreMLOpMetaData:
    bound = {
        parameter: large[operand].name
        for parameter, operand in operation.operands()
        if not isinstance(operand, Literal) and operand in large
    }
    return CoreMLOpMetaData(operation.type, operation.name, bound)
