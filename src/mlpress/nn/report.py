"""What became of each parameter, as statistics that print as a table."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from typing import Any, Final

import torch

from mlpress.nn.arrays import whole
from mlpress.nn.metadata import Kind, Metadata
from mlpress.nn.metadata.modules import fields_of

_MISSING: Final = -1


class Report(UserDict[str, dict[str, Any]]):
    """Statistics by name of a module or parameter; prints as a table.

    Attributes:
        skipped: Why parameters were left as they were, by name.
    """

    def __init__(
        self, rows: dict[str, dict[str, Any]] | None = None, skipped: dict[str, str] | None = None
    ) -> None:
        columns = dict.fromkeys(column for row in (rows or {}).values() for column in row)
        super().__init__(
            {
                name: {column: row.get(column, _MISSING) for column in columns}
                for name, row in (rows or {}).items()
            }
        )
        self.skipped = dict(skipped or {})

    def __repr__(self) -> str:
        if not self.data:
            table = []
        else:
            columns = list(next(iter(self.data.values())))
            cells = [["name", *columns]]
            cells += [[name, *(_text(row[column]) for column in columns)] for name, row in self.data.items()]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            cells.insert(1, ["-" * width for width in widths])
            table = [
                " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                for row in cells
            ]
        return "\n".join([*table, *(f"skipped {name}: {reason}" for name, reason in self.skipped.items())])


def _text(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, float) else str(value)


def compressed_report(
    error: Callable[[str, torch.Tensor], float],
    after: torch.nn.Module,
    skipped: dict[str, str] | None = None,
) -> Report:
    """Says what became of the compressed parameters of a model.

    Args:
        error: Takes the name and the values of a parameter, and returns the root mean square of its change.
        after: The model with compressed parameters.
        skipped: Why parameters were left as they were.

    Returns:
        For each compressed parameter ``error``, ``#params``, and what goes with its techniques; -1 where
        something does not apply.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, module in after.named_modules():
        for parameter, fields in fields_of(module).items():
            path = f"{name}.{parameter}" if name else parameter
            values = whole(module.get_parameter(parameter)).cpu()
            rows[path] = {
                "error": error(path, values),
                "#params": values.numel(),
                **_of_techniques(Metadata.from_tensors(fields), values),
            }
    return Report(rows, skipped)


def _of_techniques(metadata: Metadata, values: torch.Tensor) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if Kind.PRUNING in metadata.compression_type:
        found.update(sparsities(values))
    if metadata.quantization_n_bits is not None:
        found["dtype"] = f"dtype=int{metadata.quantization_n_bits}"
    if metadata.lut is not None:
        entries, length = metadata.lut.shape[-2:]
        found["palettization_mode"] = f"num_clusters={entries}, cluster_dim={length}"
    return found


def rms_error(values: torch.Tensor, original: torch.Tensor) -> float:
    """Returns the root mean square of the difference."""
    return float((values.float() - original.float()).square().mean().sqrt())


def sparsities(values: torch.Tensor) -> dict[str, float]:
    """Returns the fractions of rows, of elements, and of pairs of rows' elements that are zero.

    -1 stands for pairs where the number of rows is odd.
    """
    rows = values.flatten(1) if values.dim() > 1 else values[:, None]
    zero = rows == 0
    even = len(rows) % 2 == 0
    return {
        "structured_weight_sparsity": float(zero.all(dim=1).float().mean()),
        "unstructured_weight_sparsity": float(zero.float().mean()),
        "block2_weight_sparsity": float((zero[::2] & zero[1::2]).float().mean()) if even else _MISSING,
    }
