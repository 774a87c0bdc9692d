"""`mlpress diff`: how the weights of two models differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlpress.cli.arguments import Json, Model
from mlpress.cli.progress import progress_bar
from mlpress.cli.render import Column, count, emit, print_json, print_table, shape

if TYPE_CHECKING:
    from mlpress.passes.diff import DiffRow

_COLUMNS: tuple[Column, ...] = (
    ("weight", "left"),
    ("shape", "left"),
    ("first", "left"),
    ("second", "left"),
    ("bytes", "right"),
    ("bytes", "right"),
    ("SNR dB", "right"),
)


def diff(first: Model, second: Model, json: Json = False) -> None:
    """Compare the weights of two models.

    For each weight: how each model stores it, its bytes, and the first model's signal over the difference in
    dB; "exact" means that all values are the same.
    """
    from mlpress.models import MLModel
    from mlpress.passes.diff import diff as diff_programs

    programs = MLModel(first).program, MLModel(second).program
    rows = []
    with progress_bar("comparing") as advance:
        for row in diff_programs(*programs):
            rows.append(row)
            advance(len(rows), None, row.name)
    if json:
        print_json({"weights": [row.to_dict() for row in rows]})
    else:
        _print(rows)


def _print(rows: list[DiffRow]) -> None:
    from mlpress.passes.report import format_snr, human_bytes

    several = len({row.function for row in rows}) > 1
    print_table(
        _COLUMNS,
        [
            (
                f"{row.function}/{row.name}" if several else row.name,
                _shapes(row),
                *(words or "missing" for words in row.encodings),
                *("" if nbytes is None else count(nbytes) for nbytes in row.nbytes),
                format_snr(row.snr_db),
            )
            for row in rows
        ],
    )
    exact = sum(row.snr_db == math.inf for row in rows)
    totals = [human_bytes(sum(row.nbytes[side] or 0 for row in rows)) for side in (0, 1)]
    emit(
        f"{len(rows)} weights, {exact} with the same values; "
        f"{totals[0]} in the first, {totals[1]} in the second"
    )


def _shapes(row: DiffRow) -> str:
    return " / ".join(dict.fromkeys(shape(sizes) for sizes in row.shapes if sizes is not None))
