"""Small models to calibrate."""

from __future__ import annotations

import numpy as np

from mlpress.mil import Opset
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import model
from tests.unit.models.descriptions import array

_RANDOM = np.random.default_rng(0)


def _weight(*shape: int) -> np.ndarray:
    return (_RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


CONV, LINEAR = _weight(8, 3, 3, 3), _weight(5, 72)


def convolutional() -> MLModel:
    """``softmax(linear(flatten(max_pool(relu(conv(x))))))`` in float32."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 3, 8, 8))
    y = build.op("conv", "conv", x=x, weight=CONV, pad_type="valid")
    y = build.op("relu", "relu", x=y)
    y = build.op("max_pool", "pool", x=y, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid")
    y = build.op("reshape", "flat", x=y, shape=[1, 72])
    y = build.op("linear", "logits", x=y, weight=LINEAR)
    y = build.op("softmax", "y", x=y, axis=1)
    return model(build, {x: array("x", 1, 3, 8, 8)}, {y: array("y", 1, 5)})


def attention() -> MLModel:
    """Attention without an op of its own: two products of values that are computed."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 6, 4))
    scores = build.op("matmul", "scores", x=x, y=x, transpose_y=True)
    weights = build.op("softmax", "weights", x=scores, axis=2)
    y = build.op("matmul", "y", x=weights, y=x)
    return model(build, {x: array("x", 1, 6, 4)}, {y: array("y", 1, 6, 4)})


TRANSPOSED, VOLUME = _weight(3, 4, 2, 2), _weight(2, 1, 2, 3, 3)


def on_request() -> MLModel:
    """A transposed convolution, one over three axes, a product of two values and attention, in float32."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 3, 4, 4))
    up = build.op("conv_transpose", "up", x=x, weight=TRANSPOSED, strides=[2, 2])
    deep = build.op("expand_dims", "deep", x=up, axes=[1])
    solid = build.op("conv", "solid", x=deep, weight=VOLUME, pad_type="valid")
    rows = build.op("reshape", "rows", x=solid, shape=[1, 2, 18, 6])
    scores = build.op("matmul", "scores", x=rows, y=rows, transpose_y=True)
    mixed = build.op("matmul", "mixed", x=scores, y=rows)
    y = build.op("scaled_dot_product_attention", "y", query=mixed, key=rows, value=mixed)
    return model(build, {x: array("x", 1, 3, 4, 4)}, {y: array("y", 1, 2, 18, 6)})


def product() -> MLModel:
    """``y = linear(a) · b`` of two inputs, the first in a linear operator."""
    build = Builder(Opset.CoreML8)
    a, b = build.input("a", tensor_type(1, 4)), build.input("b", tensor_type(1, 4))
    y = build.op("mul", "y", x=build.op("linear", "l", x=a, weight=np.eye(4, dtype=np.float32)), y=b)
    return model(build, {a: array("a", 1, 4), b: array("b", 1, 4)}, {y: array("y", 1, 4)})
