"""Small models whose weights samples say something about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpress.bits import FLOAT16
from mlpress.mil import Opset
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import model
from tests.unit.models.descriptions import array


def one_op(
    kind: str, parameter: str, weight: tuple[int, ...], x: tuple[int, ...], scale: Any = 1, **arguments: Any
) -> MLModel:
    """``y``: one operator with a random weight times `scale` as `parameter`, on an input ``x``."""
    build, random = Builder(Opset.CoreML8), np.random.default_rng(3)
    values = (random.standard_normal(weight) * scale / np.sqrt(np.prod(weight[1:]))).astype(np.float32)
    given = build.input("x", tensor_type(*x))
    other = "y" if parameter == "x" else "x"
    operands: dict[str, Any] = {parameter: build.constant(values, "weight"), other: given}
    y = build.op(kind, "y", **operands, **arguments)
    return model(build, {given: array("x", *x)}, {y: array("y", *y.type.shape)})


def network() -> MLModel:
    """Embedded tokens through a product, ReLU and a linear operator, in float16: ``y`` of ``ids``."""
    build, random = Builder(Opset.CoreML8), np.random.default_rng(3)
    ids = build.input("x", tensor_type(1, 6, 16, dtype=FLOAT16))
    half = {
        "first": random.standard_normal((16, 48)).astype(np.float16) / np.float16(4),
        "second": random.standard_normal((12, 48)).astype(np.float16) / np.float16(7),
    }
    hidden = build.op("matmul", "hidden", x=ids, y=build.constant(half["first"], "first"))
    active = build.op("relu", "active", x=hidden)
    y = build.op("linear", "y", x=active, weight=build.constant(half["second"], "second"))
    return model(
        build, {ids: array("x", 1, 6, 16, dtype="FLOAT16")}, {y: array("y", 1, 6, 12, dtype="FLOAT16")}
    )


def samples(shape: tuple[int, ...], count: int = 24, axis: int = -1) -> list[Mapping[str, Any]]:
    """Inputs whose channels, on `axis`, go together as those of real networks do."""
    random = np.random.default_rng(0)
    mixing = random.standard_normal((shape[axis], shape[axis]))
    mixed = [np.moveaxis(random.standard_normal(shape), axis, -1) @ mixing for _ in range(count)]
    return [{"x": np.moveaxis(each, -1, axis).astype(np.float32)} for each in mixed]


def output_snr(model: MLModel, compressed: MLModel, given: list[Mapping[str, Any]]) -> float:
    """Signal-to-noise ratio of ``y`` over all samples, in dB."""
    before, after = (
        np.stack([each.predict(one)["y"] for one in given]).astype(np.float64) for each in (model, compressed)
    )
    return float(10 * np.log10(np.sum(before**2) / np.sum((after - before) ** 2)))
