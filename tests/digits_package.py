"""A package of a network for 8x8 digits with any parameters, from mlpress's own program types."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpress import package
from mlpress.bits import FLOAT16, Tensor
from mlpress.encoding import Dense
from mlpress.mil import (
    Block,
    Constant,
    Function,
    Literal,
    Operation,
    Opset,
    Program,
    StringType,
    TensorType,
    Value,
)
from mlpress.package.proto import model_pb2

Parameters = dict[str, NDArray[np.float32]]


@dataclass(slots=True)
class Builder:
    """Appends constants and operators to a block; all floats are float16."""

    operations: list[Operation | Constant] = field(default_factory=list)

    def constant(self, name: str, value: Any) -> Value:
        """Appends a constant: a string, or anything that NumPy makes an array of."""
        data: Dense | Literal
        if isinstance(value, str):
            data = Literal(StringType(), value)
            output = Value(name, data.type)
        else:
            data = Dense(Tensor.from_numpy(np.asarray(value)))
            output = Value(name, TensorType(data.dtype, data.shape))
        self.operations.append(Constant(name, output, data))
        return output

    def operator(self, kind: str, name: str, shape: tuple[int, ...], /, **inputs: Any) -> Value:
        """Appends an operator with an output of `shape`; inputs that are no values become constants."""
        operands = {
            key: value if isinstance(value, Value) else self.constant(f"{name}_{key}", value)
            for key, value in inputs.items()
        }
        output = Value(name, TensorType(FLOAT16, shape))
        self.operations.append(Operation(kind, name, operands, [output]))
        return output


def digits_program(parameters: Parameters) -> Program:
    """Returns the network on one image, float16 [1, 1, 8, 8] to probabilities [1, 10], for iOS 18."""
    half = {name: value.astype(np.float16) for name, value in parameters.items()}
    build = Builder()
    image = Value("image", TensorType(FLOAT16, (1, 1, 8, 8)))

    def convolution(x: Value, layer: str) -> Value:
        weight, bias = half[f"{layer}_weight"], half[f"{layer}_bias"]
        shape = (1, len(weight), 8, 8)
        settings = {
            "strides": np.ones(2, np.int32),
            "pad_type": "custom",
            "pad": np.ones(4, np.int32),
            "dilations": np.ones(2, np.int32),
            "groups": np.int32(1),
        }
        out = build.operator("conv", layer, shape, x=x, weight=weight, bias=bias, **settings)
        return build.operator("relu", f"{layer}_relu", shape, x=out)

    def dense(x: Value, layer: str) -> Value:
        weight, bias = half[f"{layer}_weight"], half[f"{layer}_bias"]
        return build.operator("linear", layer, (1, len(weight)), x=x, weight=weight, bias=bias)

    x = convolution(convolution(image, "conv1"), "conv2")
    twos = np.full(2, 2, np.int32)
    padding = {"pad_type": "valid", "pad": np.zeros(4, np.int32), "ceil_mode": np.bool_(False)}
    x = build.operator("max_pool", "pool", (1, 32, 4, 4), x=x, kernel_sizes=twos, strides=twos, **padding)
    x = build.operator("reshape", "flat", (1, 512), x=x, shape=np.array([1, 512], np.int32))
    x = build.operator("relu", "dense1_relu", (1, 128), x=dense(x, "dense1"))
    x = build.operator("softmax", "probabilities", (1, 10), x=dense(x, "dense2"), axis=np.int32(-1))
    return Program({"main": Function([image], Opset.CoreML8, Block([], build.operations, [x]))})


def write_digits_package(parameters: Parameters, path: Path) -> None:
    """Saves the network at `path`, replacing what is there."""
    spec = model_pb2.Model(specificationVersion=Opset.CoreML8.specification_version)
    spec.description.metadata.shortDescription = "Tells the ten digits apart on 8x8 grey images."
    for feature, name, shape in (
        (spec.description.input.add(), "image", (1, 1, 8, 8)),
        (spec.description.output.add(), "probabilities", (1, 10)),
    ):
        feature.name = name
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = model_pb2.ArrayFeatureType.FLOAT16
    package.save(package.ModelFile(spec, digits_program(parameters)), path)
