"""`mlpress decompress`: a model with all weights as plain numbers again."""

from __future__ import annotations

from mlpress.cli.arguments import Json, Model, Output, require_writable
from mlpress.cli.render import emit, print_json


def decompress(model: Model, output: Output, json: Json = False) -> None:
    """Store all weights as plain numbers again.

    Values are those that the compressed weights stand for, in the precision that the model computes with.
    """
    require_writable(output)
    from mlpress.api import decompress as decompress_model
    from mlpress.models import MLModel
    from mlpress.passes.report import human_bytes
    from mlpress.passes.weights import totals, weights

    loaded = MLModel(model)
    plain = decompress_model(loaded)
    plain.save(output)
    before, after = (totals(weights(model.program)).nbytes for model in (loaded, plain))
    if json:
        print_json({"nbytes_before": before, "nbytes_after": after})
    else:
        emit(f"weights: {human_bytes(before)} -> {human_bytes(after)}")
