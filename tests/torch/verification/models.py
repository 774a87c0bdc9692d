"""Small models to compare, made of our own programs."""

from __future__ import annotations

import numpy as np

from mlpress.bits import FLOAT16, INT32
from mlpress.mil import Function, Opset, Program, TensorType, Value
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from mlpress.package.proto.model_pb2 import FeatureDescription, ModelDescription
from tests.torch.models.packages import mlmodel
from tests.torch.runtime.programs import tensor_type
from tests.unit.models.descriptions import array

WEIGHTS = {
    "first": np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32),
    "second": np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32),
}


def model(
    build: Builder,
    inputs: dict[Value, FeatureDescription],
    outputs: dict[Value, FeatureDescription],
) -> MLModel:
    """A model of what `build` has built, with a description for each of its inputs and outputs."""
    function = Function(list(inputs), build.opset, build.block([], list(outputs)))
    description = ModelDescription(input=inputs.values(), output=outputs.values())
    return mlmodel(Program({"main": function}), description)


def network(changed: str | None = None, noise: float = 0.1, **description: object) -> MLModel:
    """``y = second · relu(first · x)``; noise on the weight `changed`; `description` is that of ``x``."""
    random = np.random.default_rng(2)
    weights = dict(WEIGHTS)
    if changed is not None:
        weights[changed] = weights[changed] + noise * random.standard_normal(weights[changed].shape)
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(None, 4))
    hidden = build.op("linear", "hidden", x=x, weight=weights["first"].astype(np.float32))
    active = build.op("relu", "active", x=hidden)
    y = build.op("linear", "y", x=active, weight=weights["second"].astype(np.float32))
    described = array("x", 2, 4, **description) if description else array("x", 2, 4)
    return model(build, {x: described}, {y: array("y")})


def half_network() -> MLModel:
    """The same in a program of float16."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", TensorType(FLOAT16, (2, 4)))
    hidden = build.op("linear", "hidden", x=x, weight=WEIGHTS["first"].astype(np.float16))
    active = build.op("relu", "active", x=hidden)
    y = build.op("linear", "y", x=active, weight=WEIGHTS["second"].astype(np.float16))
    return model(build, {x: array("x", 2, 4, dtype="FLOAT16")}, {y: array("y", 2, 3, dtype="FLOAT16")})


def embedding(rows: int, width: int = 2) -> MLModel:
    """Rows of a table at positions ``i``; negative ones count from the end, as converters write it."""
    build = Builder(Opset.CoreML8)
    table = build.constant(np.arange(rows * width, dtype=np.float32).reshape(rows, width), "table")
    i = build.input("i", tensor_type(1, 5, dtype=INT32))
    from_end = build.op("add", x=i, y=np.int32(rows))
    inside = build.op("select", cond=build.op("greater_equal", x=i, y=np.int32(0)), a=i, b=from_end)
    y = build.op("gather", "y", x=table, indices=inside, axis=0)
    return model(build, {i: array("i", 1, 5, dtype="INT32")}, {y: array("y", 1, 5, width)})


def unary(kind: str, *, offset: float = 0.0) -> MLModel:
    """``y = kind(x) + offset`` of two numbers."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    inner = build.op(kind, "inner", x=x)
    y = build.op("add", "y", x=inner, y=np.float32(offset))
    return model(build, {x: array("x", 2)}, {y: array("y", 2)})
