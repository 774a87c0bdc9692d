"""Small models of our own programs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlpress.bits import FLOAT16, FLOAT64, INT64, Tensor
from mlpress.mil import (
    Block,
    DictionaryType,
    Function,
    ListType,
    Literal,
    Operation,
    Opset,
    Program,
    StateType,
    StringType,
    Type,
    Value,
    literal,
)
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from mlpress.package import ModelFile
from mlpress.package.proto.model_pb2 import FeatureDescription, FunctionDescription, Model, ModelDescription
from tests.torch.runtime.programs import tensor_type
from tests.unit.models.descriptions import array, image, plain, state

WEIGHT = np.random.default_rng(0).integers(-4, 5, size=(4, 3)).astype(np.float32)
"""Whole numbers, so that results are exact."""


def mlmodel(program: Program, description: ModelDescription) -> MLModel:
    return MLModel(ModelFile(Model(specificationVersion=9, description=description), program))


def single(function: Function, inputs: Sequence[FeatureDescription], *outputs: FeatureDescription) -> MLModel:
    return mlmodel(Program({"main": function}), ModelDescription(input=inputs, output=outputs))


def linear_model() -> MLModel:
    """``y = x · WEIGHTᵀ`` of any number of rows up to 8."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(None, 3))
    y = build.op("linear", "y", x=x, weight=build.constant(WEIGHT, "weight"))
    function = Function([x], Opset.CoreML8, build.block([], [y]))
    return single(function, [array("x", ranges=[(1, 8), (3, 3)])], array("y"))


def scalar_model() -> MLModel:
    """Twice a number without axes."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type())
    y = build.op("mul", "y", x=x, y=2.0)
    return single(Function([x], Opset.CoreML8, build.block([], [y])), [array("x", 1)], array("y"))


def image_model() -> MLModel:
    """The sum over the channels of a BGR image of 3 × 4 (height × width), weighted 1, 10 and 100."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 3, 3, 4))
    weights = np.array([1, 10, 100], np.float32).reshape(1, 3, 1, 1)
    y = build.op("reduce_sum", "y", x=build.op("mul", x=x, y=weights), axes=[1], keep_dims=True)
    function = Function([x], Opset.CoreML8, build.block([], [y]))
    return single(function, [image("x", "BGR")], array("y", 1, 1, 3, 4))


def counting_model(*sizes: int) -> MLModel:
    """A function ``by_SIZE`` for each of `sizes`: adds up ``x`` of that size in the state ``total``, [1]."""
    functions, descriptions = {}, []
    for size in sizes:
        build = Builder(Opset.CoreML8)
        x = build.input("x", tensor_type(size, dtype=FLOAT16))
        total = build.input("total", StateType(tensor_type(1, dtype=FLOAT16)))
        before = Value("before", tensor_type(1, dtype=FLOAT16))
        build.operations.append(Operation("read_state", "before", {"input": total}, [before]))
        added = build.op("reduce_sum", "added", x=x, axes=[0], keep_dims=True)
        y = build.op("add", "y", x=before, y=added)
        build.operations.append(Operation("write_state", "write", {"input": total, "data": y}, []))
        functions[f"by_{size}"] = Function([x, total], Opset.CoreML8, build.block([], [y]))
        descriptions.append(
            FunctionDescription(
                name=f"by_{size}",
                input=[array("x", size, dtype="FLOAT16")],
                output=[array("y", 1, dtype="FLOAT16")],
                state=[state("total", 1)],
            )
        )
    description = ModelDescription(functions=descriptions, defaultFunctionName=f"by_{sizes[0]}")
    return mlmodel(Program(functions), description)


def classifier_model(labels: Sequence[str] | Sequence[int]) -> MLModel:
    """Takes the probabilities of `labels`, ``x``, as they are; gives the outputs ``label`` and ``probs``."""
    count = len(labels)
    x = Value("x", tensor_type(1, count))
    if isinstance(labels[0], str):
        key: Type = StringType()
        classes = [Literal(key, str(label)) for label in labels]
    else:
        key = tensor_type(dtype=INT64)
        classes = [literal(Tensor.from_numpy(np.array(label, np.int64))) for label in labels]
    label = Value("label", key)
    probabilities = Value("probs", DictionaryType(key, tensor_type(dtype=FLOAT64)))
    operands = {"probabilities": x, "classes": Literal(ListType(key, count), tuple(classes))}
    classify = Operation("classify", "classify", operands, [label, probabilities])
    function = Function([x], Opset.CoreML8, Block([], [classify], [label, probabilities]))
    outputs = (
        plain("label", "stringType" if key == StringType() else "int64Type"),
        plain("probs", "dictionaryType"),
    )
    return single(function, [array("x", 1, count)], *outputs)


def two_functions() -> MLModel:
    """``relu`` and ``square`` of a number, by functions of these names."""
    functions = {}
    for name in ("relu", "square"):
        x, y = Value("x", tensor_type(1)), Value("y", tensor_type(1))
        operation = Operation(name, name, {"x": x}, [y])
        functions[name] = Function([x], Opset.CoreML8, Block([], [operation], [y]))
    descriptions = [
        FunctionDescription(name=name, input=[array("x", 1)], output=[array("y", 1)]) for name in functions
    ]
    return mlmodel(Program(functions), ModelDescription(functions=descriptions, defaultFunctionName="relu"))
