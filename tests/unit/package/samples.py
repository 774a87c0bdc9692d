"""Small programs and models for the tests of packages, made without any other library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mlpress import bits
from mlpress.bits import DType, Tensor
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode
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
    literal,
)
from mlpress.package import ModelFile, save
from mlpress.package.proto.model_pb2 import ArrayFeatureType, Model

WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")
MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")


def tensor(values: object, dtype: DType = bits.FLOAT16) -> Tensor:
    """A tensor of the given values."""
    return Tensor.from_numpy(np.array(values, dtype.storage), dtype)


def ramp(shape: tuple[int, ...], dtype: DType = bits.FLOAT16) -> Tensor:
    """A tensor whose elements count up, wrapping where the type ends."""
    count = np.arange(int(np.prod(shape))).reshape(shape)
    if dtype.is_float:
        return tensor(count / 8 - 3, dtype)
    return tensor(count % (dtype.high - dtype.low + 1) + dtype.low, dtype)


def weights_of_each_kind() -> dict[str, Encoding]:
    """Encodings of a [16, 12] weight, one for each way to store it from iOS 18 on."""
    mask = tensor(np.arange(16 * 12).reshape(16, 12) % 3 == 0, bits.UINT1)
    kept = 64
    scale = Dense(ramp((16, 1)))
    return {
        "dense": Dense(ramp((16, 12))),
        "int8": Affine(Dense(ramp((16, 12), bits.INT8)), scale),
        "uint4_blocks": Affine(
            Dense(ramp((16, 12), bits.UINT4)), Dense(ramp((16, 3))), Dense(ramp((16, 3), bits.UINT4))
        ),
        "palette": Lut(Dense(ramp((16, 12), bits.UINT4)), Dense(ramp((4, 1, 16, 1)))),
        "palette_3_bits": Lut(Dense(ramp((16, 12), bits.UINT3)), Dense(ramp((1, 1, 8, 1)))),
        "vectors": Lut(Dense(ramp((8, 12), bits.UINT2)), Dense(ramp((1, 1, 4, 2))), 0),
        "palette_int8": Lut(
            Dense(ramp((16, 12), bits.UINT6)),
            Affine(Dense(ramp((1, 1, 64, 1), bits.INT8)), Dense(ramp((1, 1, 1, 1)))),
        ),
        "sparse": Scatter(Sparse(mask, ramp((kept,)))),
        "sparse_int8": Scatter(Affine(Sparse(mask, ramp((kept,), bits.INT8)), scale)),
        "sparse_palette_int8": Scatter(
            Lut(
                Sparse(mask, ramp((kept,), bits.UINT4)),
                Affine(Dense(ramp((1, 1, 16, 1), bits.INT8)), Dense(ramp((1, 1, 1, 1)))),
            )
        ),
    }


def constant(name: str, data: Encoding | Literal) -> Constant:
    """A constant whose value is called `name` too."""
    type_ = data.type if isinstance(data, Literal) else TensorType(data.dtype, data.shape)
    return Constant(name, Value(name, type_), data)


def function(weights: Mapping[str, Encoding], opset: Opset = Opset.CoreML8) -> Function:
    """A function that runs its input through a `linear` for each weight; each gives its own output."""
    size = next(iter(weights.values())).shape[-1] if weights else 12
    x = Value("x", TensorType(bits.FLOAT16, (2, size)))
    operations: list[Operation | Constant] = []
    outputs = []
    for name, encoding in weights.items():
        weight = constant(name, encoding)
        out = Value(f"{name}_out", TensorType(bits.FLOAT16, (2, encoding.shape[0])))
        operations += [weight, Operation("linear", f"{name}_op", {"x": x, "weight": weight.output}, [out])]
        outputs.append(out)
    return Function([x], opset, Block([], operations, outputs or [x]))


def model_file(program: Program) -> ModelFile:
    """A model around `program`, with every kind of metadata."""
    spec = Model(specificationVersion=6)
    for feature in (spec.description.input.add(name="x"), spec.description.output.add(name="y")):
        feature.type.multiArrayType.shape.extend((2, 12))
        feature.type.multiArrayType.dataType = ArrayFeatureType.FLOAT16
        feature.shortDescription = f"feature {feature.name}"
    metadata = spec.description.metadata
    metadata.author, metadata.license, metadata.versionString = "Ada", "MIT", "1.2"
    metadata.shortDescription = "a sample"
    metadata.userDefined["key"] = "value"
    return ModelFile(spec, program)


def sample(opset: Opset = Opset.CoreML8) -> ModelFile:
    """A model with a weight of each kind."""
    return model_file(Program({"main": function(weights_of_each_kind(), opset)}))


def saved_sample(folder: Path) -> Path:
    """The sample as a package in `folder`."""
    return save(sample(), folder / "sample.mlpackage")


def string(text: str) -> Literal:
    """A string scalar."""
    return Literal(StringType(), text)


def number(value: int) -> Literal:
    """An int32 scalar."""
    return literal(tensor(value, bits.INT32))


def constants_of(model: ModelFile, name: str = "main") -> dict[str, Encoding | Literal]:
    """The constants of a function by name."""
    return {node.name: node.data for node in model.program.functions[name].block.constants()}


def decoded(data: Encoding | Literal) -> bytes:
    """The bits of a decoded weight."""
    assert not isinstance(data, Literal)
    return decode(data).tobytes()


def resident_file_bytes() -> int:
    """Bytes of mapped files that this process has in memory (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no RssFile")
