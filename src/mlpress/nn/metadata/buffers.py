"""What coremltools' converter reads about a compressed parameter, and the names of the buffers that hold it.

A parameter ``weight`` of a module has the buffers ``_COREML_/weight/<field>`` in the same module. The
parameter itself holds the decoded values; indices and integers are found again from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mlpress.errors import EncodingError
from mlpress.nn.arrays import to_numpy, to_torch
from mlpress.nn.devices import device_of

Array = npt.NDArray[Any]

PREFIX: Final = "_COREML_"
VERSION: Final = f"{PREFIX}/metadata_version"
FIELDS: Final = (
    "compression_type",
    "quantization_n_bits",
    "quantization_scale",
    "zero_point",
    "lut",
    "palettization_scale",
    "vector_axis",
)


class Kind(IntEnum):
    """A code in ``compression_type``."""

    PRUNING = 1
    PALETTIZATION = 2
    QUANTIZATION = 3


@dataclass(frozen=True, slots=True, eq=False)
class Metadata:
    """The fields of one parameter, K being its rank.

    Attributes:
        compression_type: What was done to it, in order.
        quantization_n_bits: Bits of the integers that it, or its table, is stored as.
        quantization_scale: Floats of rank K; for a table K + 2.
        zero_point: Integers (floats are read, too) of the shape of the scale.
        lut: Floats [groups along each axis..., entries, elements of a vector]; rank K + 2.
        palettization_scale: Floats of rank K: what the table's values are multiplied by.
        vector_axis: Where the elements of a vector lie.
    """

    compression_type: tuple[Kind, ...]
    quantization_n_bits: int | None = None
    quantization_scale: Array | None = None
    zero_point: Array | None = None
    lut: Array | None = None
    palettization_scale: Array | None = None
    vector_axis: int | None = None

    def __post_init__(self) -> None:
        kinds = self.compression_type
        if not kinds or len(set(kinds)) != len(kinds):
            raise EncodingError(f"compression_type is {list(kinds)}; it has one to three different codes")
        if Kind.PALETTIZATION in kinds and self.lut is None:
            raise EncodingError("compression_type has palettization (2), but there is no lut")
        incomplete = self.quantization_n_bits is None or self.quantization_scale is None
        if Kind.QUANTIZATION in kinds and incomplete:
            raise EncodingError(
                "compression_type has quantization (3), but there is no quantization_n_bits or no "
                "quantization_scale"
            )
        if self.quantization_n_bits is not None and not 1 <= self.quantization_n_bits <= 8:
            raise EncodingError(f"quantization_n_bits is {self.quantization_n_bits}; allowed: 1 to 8")

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Returns the fields that are there, as coremltools registers them."""
        given = {field: getattr(self, field) for field in FIELDS}
        return {
            field: to_torch(np.asarray(value, value.dtype if isinstance(value, np.ndarray) else np.int64))
            for field, value in given.items()
            if value is not None
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> Metadata:
        """Inverse of `to_tensors`.

        Raises:
            EncodingError: A field is unknown or missing, or has a value that is not allowed.
        """
        unknown = [field for field in tensors if field not in FIELDS]
        if unknown:
            raise EncodingError(f"unknown field {unknown[0]!r}; allowed: {', '.join(FIELDS)}")
        if "compression_type" not in tensors:
            raise EncodingError("there is no compression_type")
        values: dict[str, Any] = {field: to_numpy(tensor) for field, tensor in tensors.items()}
        for field in ("quantization_n_bits", "vector_axis"):
            if field in values:
                values[field] = int(values[field])
        codes = [int(code) for code in values["compression_type"].reshape(-1)]
        if any(code not in list(Kind) for code in codes):
            raise EncodingError(f"compression_type is {codes}; allowed codes: {[int(kind) for kind in Kind]}")
        values["compression_type"] = tuple(map(Kind, codes))
        return cls(**values)


def buffer_name(parameter: str, field: str) -> str:
    """Returns the name of the buffer of a field."""
    return f"{PREFIX}/{parameter}/{field}"


def mark_version(model: torch.nn.Module) -> None:
    """Says at the root of a model which version of the fields it has."""
    model.register_buffer(VERSION, torch.tensor(1, device=device_of(model)))
