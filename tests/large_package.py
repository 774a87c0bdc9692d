"""A package of many large weights, written without holding them in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlpress.bits import FLOAT16, Tensor
from mlpress.encoding import Dense
from mlpress.mil import Block, Constant, Function, Operation, Opset, Program, TensorType, Value
from mlpress.package import ModelFile, save
from mlpress.package.mapped import map_file
from mlpress.package.proto.model_pb2 import Model


def write_large_package(path: Path, weights: int, shape: tuple[int, int]) -> Path:
    """Writes linear layers of one ``x``, [1, shape[1]], whose float16 weights are never all in memory."""
    values = np.random.default_rng(0).standard_normal(shape, np.float32).astype(np.float16)
    raw = path.with_suffix(".bin")
    with raw.open("wb") as file:
        for _ in range(weights):
            file.write(values.data)
    mapped = map_file(raw)
    raw.unlink()
    size = 2 * shape[0] * shape[1]
    x = Value("x", TensorType(FLOAT16, (1, shape[1])))
    operations: list[Operation | Constant] = []
    outputs = []
    for index in range(weights):
        tensor = Tensor(FLOAT16, shape, mapped[index * size : (index + 1) * size])
        value = Value(f"weight_{index}", TensorType(FLOAT16, shape))
        weight = Constant(value.name, value, Dense(tensor))
        y = Value(f"y_{index}", TensorType(FLOAT16, (1, shape[0])))
        operations += [weight, Operation("linear", f"linear_{index}", {"x": x, "weight": weight.output}, [y])]
        outputs.append(y)
    main = Function([x], Opset.CoreML8, Block([], operations, outputs))
    return save(ModelFile(Model(specificationVersion=9), Program({"main": main})), path)
