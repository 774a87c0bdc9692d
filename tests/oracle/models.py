"""Small packages that coremltools builds: a weight for every role that mlpress has to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

TARGETS = {
    "iOS15": ct.target.iOS15,
    "iOS16": ct.target.iOS16,
    "iOS17": ct.target.iOS17,
    "iOS18": ct.target.iOS18,
    "iOS26": ct.target.iOS26,
}

# Operator (the name of its output) -> shape of its weight.
SHAPES = {
    "linear": (128, 64),
    "shared": (96, 64),  # one constant for two operators
    "matmul_y": (64, 96),
    "matmul_y_transposed": (96, 64),
    "matmul_x": (96, 64),
    "gather": (160, 64),
    "conv": (64, 8, 3, 3),
    "grouped_conv": (64, 4, 3, 3),
    "conv_transpose": (16, 32, 3, 3),
    "linear_fp32": (80, 64),
    "small": (8, 64),
}
THRESHOLD = 600
"""Weight threshold that leaves ``small`` alone."""


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights with outliers, channels of different size and a channel of zeros."""
    random = np.random.default_rng(seed)
    found = {}
    for name, shape in SHAPES.items():
        scale = random.uniform(0.02, 0.3, size=(shape[0],) + (1,) * (len(shape) - 1))
        weight = random.standard_t(5, size=shape) * scale
        found[name] = np.clip(weight, -3, 3).astype(np.float16).astype(np.float32)
    found["conv"][5] = 0
    return found


def build(target: str, weights: Mapping[str, np.ndarray] | None = None) -> ct.models.MLModel:
    """A model with all of `SHAPES`, in float16 but for ``linear_fp32``."""
    w = dict(weights or random_weights())
    opset = TARGETS[target]

    @mb.program(
        input_specs=[
            mb.TensorSpec(shape=(2, 64)),
            mb.TensorSpec(shape=(1, 16, 8, 8)),
            mb.TensorSpec(shape=(3,), dtype=types.int32),
        ],
        opset_version=opset,
    )
    def program(x: Any, image: Any, ids: Any) -> Any:
        shared = mb.const(val=w["shared"], name="shared_weight")
        linear_bias = np.linspace(-1, 1, 128, dtype=np.float32)
        half = mb.slice_by_size(x=image, begin=[0, 0, 0, 0], size=[1, 8, 8, 8], name="half")
        return (
            mb.linear(x=x, weight=_const("linear", w), bias=linear_bias, name="linear"),
            mb.linear(x=x, weight=shared, name="shared_a"),
            mb.linear(x=mb.relu(x=x), weight=shared, name="shared_b"),
            mb.matmul(x=x, y=_const("matmul_y", w), name="matmul_y"),
            mb.matmul(x=x, y=_const("matmul_y_transposed", w), transpose_y=True, name="matmul_y_transposed"),
            mb.matmul(x=_const("matmul_x", w), y=x, transpose_y=True, name="matmul_x"),
            mb.gather(x=_const("gather", w), indices=ids, axis=0, name="gather"),
            mb.conv(x=half, weight=_const("conv", w), pad_type="same", name="conv"),
            mb.conv(
                x=image, weight=_const("grouped_conv", w), groups=4, pad_type="same", name="grouped_conv"
            ),
            mb.conv_transpose(x=image, weight=_const("conv_transpose", w), name="conv_transpose"),
            mb.linear(x=x, weight=_const("linear_fp32", w), name="linear_fp32"),
            mb.linear(x=x, weight=_const("small", w), name="small"),
        )

    return convert(program, target)


def build_linear(
    weight: np.ndarray, target: str = "iOS18", *, precision: str = "float16"
) -> ct.models.MLModel:
    """A model of one ``linear`` operator with `weight` [outputs, inputs]."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, weight.shape[1]))], opset_version=TARGETS[target])
    def program(x: Any) -> Any:
        return mb.linear(x=x, weight=mb.const(val=weight.astype(np.float32), name="weight"), name="linear")

    return convert(program, target, precision)


def build_conv(weight: np.ndarray, target: str = "iOS18", *, groups: int = 1) -> ct.models.MLModel:
    """A model of one ``conv`` operator with `weight` [outputs, inputs / groups, height, width]."""
    shape = (1, weight.shape[1] * groups, 8, 8)

    @mb.program(input_specs=[mb.TensorSpec(shape=shape)], opset_version=TARGETS[target])
    def program(x: Any) -> Any:
        kernel = mb.const(val=weight.astype(np.float32), name="weight")
        return mb.conv(x=x, weight=kernel, groups=groups, pad_type="same", name="conv")

    return convert(program, target)


def convert(program: Any, target: str, precision: str = "float16") -> ct.models.MLModel:
    """Converts without loading; operators whose name ends in ``fp32`` keep float32."""
    half = ct.transform.FP16ComputePrecision(op_selector=lambda op: not op.name.endswith("fp32"))
    return ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=TARGETS[target],
        compute_precision=half if precision == "float16" else ct.precision.FLOAT32,
        skip_model_load=True,
    )


def _const(name: str, weights: Mapping[str, np.ndarray]) -> Any:
    return mb.const(val=weights[name], name=f"{name}_weight")
