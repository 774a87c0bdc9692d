"""Example calls: elementwise functions, quantization, products, normalizations, pools, reductions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlpress.mil import Opset
from tests.torch.ops.example import Example

Array = NDArray[Any]

_F16: Final = np.float16
_F32: Final = np.float32
_I32: Final = np.int32
_OF_FLOAT: Final = {"float16": _F16, "float32": _F32}


def floats(*shape: int, dtype: type = _F32, low: float = -2, high: float = 2) -> Array:
    return np.random.default_rng(sum(shape) + len(shape)).uniform(low, high, shape).astype(dtype)


def integers(*shape: int, low: int = -9, high: int = 9, dtype: type = _I32) -> Array:
    return (
        np.random.default_rng(sum(shape) + len(shape)).integers(low, high, shape, endpoint=True).astype(dtype)
    )


def _activations() -> Iterator[Example]:
    for name in ("relu", "relu6", "sigmoid", "silu", "softmax", "softplus", "softsign", "gelu"):
        yield Example(name, {"x": 4 * floats(2, 3, 4)})
        yield Example(name, {"x": 4 * floats(2, 3, 4, dtype=_F16)}, note="float16")
    for name in ("elu", "leaky_relu", "thresholded_relu"):
        yield Example(name, {"x": floats(2, 5), "alpha": _F32(0.3)})
        yield Example(name, {"x": floats(2, 5, dtype=_F16), "alpha": _F32(0.3)}, Opset.CoreML7, "mixed")
    for name in ("clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"):
        yield Example(name, {"x": floats(2, 5), "alpha": _F32(0.3), "beta": _F32(0.5)})
        mixed = {"x": floats(2, 5, dtype=_F16), "alpha": _F32(0.3), "beta": _F32(0.5)}
        yield Example(name, mixed, Opset.CoreML7, "mixed")
    yield Example("prelu", {"x": floats(2, 3, 4, 5), "alpha": floats(3)})
    yield Example("prelu", {"x": floats(2, 3, 4, 5, dtype=_F16), "alpha": floats(3)}, Opset.CoreML7, "mixed")
    yield Example("prelu", {"x": floats(2, 3, 4), "alpha": np.full(3, 0.2, _F32)}, note="rank 3")
    channels = {"alpha": floats(3), "beta": floats(3) + _F32(0.1)}
    yield Example("softplus_parametric", {"x": floats(2, 3, 4, 5), **channels})
    mixed = {"x": floats(2, 3, 4, dtype=_F16), **channels}
    yield Example("softplus_parametric", mixed, Opset.CoreML7, "mixed")
    yield Example("softmax", {"x": floats(2, 3, 4), "axis": 1}, note="axis 1")
    yield Example("clamped_relu", {"x": floats(9), "alpha": _F32(-3), "beta": _F32(1)}, note="negative slope")
    for mode in ("TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
        yield Example("gelu", {"x": floats(3, 4), "mode": mode}, note=mode)


def _quantizations() -> Iterator[Example]:
    opset = Opset.CoreML7
    x = floats(2, 3, 4, low=-30, high=30)
    ties = np.arange(-3, 3, 0.5, dtype=_F32)
    yield Example("quantize", {"input": x, "scale": _F32(0.2), "output_dtype": "int8"}, opset)
    yield Example("quantize", {"input": ties, "scale": _F32(1), "output_dtype": "int8"}, opset, "ties")
    shifted = {"scale": _F32(0.2), "zero_point": np.uint8(128), "output_dtype": "uint8"}
    yield Example("quantize", {"input": x, **shifted}, opset, "zero point")
    rows = {"scale": np.array([0.1, 0.5, 2], _F32), "zero_point": np.array([-3, 0, 5], np.int8), "axis": 1}
    yield Example("quantize", {"input": x, **rows, "output_dtype": "int8"}, opset, "per channel")
    half = {"input": x.astype(_F16), "scale": _F16(0.25), "output_dtype": "int8"}
    yield Example("quantize", half, opset, "float16")
    levels = integers(2, 3, 4, low=-128, high=127, dtype=np.int8)
    yield Example("dequantize", {"input": levels, "scale": _F32(0.2)}, opset)
    yield Example("dequantize", {"input": levels, **rows}, opset, "per channel")
    yield Example("dequantize", {"input": levels, "scale": _F16(0.2)}, opset, "float16")
    unsigned = {"input": levels.view(np.uint8), "scale": _F32(0.2), "zero_point": np.uint8(200)}
    yield Example("dequantize", unsigned, opset, "uint8")


def _binaries() -> Iterator[Example]:
    arithmetic = ("add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum")
    comparisons = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
    x, y = integers(2, 3, 4), integers(3, 1)
    y[y == 0] = -2
    for name in (*arithmetic, *comparisons):
        yield Example(name, {"x": x, "y": y}, note="int32")
        yield Example(name, {"x": (x / 4).astype(_F32), "y": y.astype(_F32)})
        yield Example(name, {"x": (x / 4).astype(_F16), "y": y.astype(_F16)}, note="float16")
        yield Example(name, {"x": np.array(2.5, _F32), "y": np.array(-1.5, _F32)}, note="rank 0")
    yield Example("add", {"x": floats(0, 3), "y": floats(3)}, note="empty")
    yield Example("pow", {"x": floats(2, 3, low=0.1), "y": floats(3)})
    yield Example("pow", {"x": integers(2, 3), "y": integers(3, low=0, high=4)}, note="int32")
    yes = np.array([[True], [False]])
    for name in ("logical_and", "logical_or", "logical_xor"):
        yield Example(name, {"x": yes, "y": np.array([True, False])})


def _unaries() -> Iterator[Example]:
    anywhere = ("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "round", "sign", "sin")
    for name in (*anywhere, "sinh", "square", "tan", "tanh"):
        yield Example(name, {"x": floats(3, 5)})
        yield Example(name, {"x": floats(3, 5, dtype=_F16)}, note="float16")
        yield Example(name, {"x": np.array(0.7, _F32)}, note="rank 0")
    for name in ("acos", "asin", "atanh"):
        yield Example(name, {"x": floats(3, 5, low=-0.9, high=0.9)})
    yield Example("sqrt", {"x": floats(3, 5, low=0)})
    for name in ("abs", "sign", "square"):
        yield Example(name, {"x": integers(3, 5)}, note="int32")
    yield Example("exp2", {"x": integers(3, 5, low=0)}, note="int32")
    yield Example("round", {"x": np.arange(-3, 3, 0.5, dtype=_F32)}, note="ties")
    for name in ("inverse", "log", "rsqrt"):
        yield Example(name, {"x": floats(3, 5, low=0.1)})
        yield Example(name, {"x": floats(3, 5, low=0.1), "epsilon": _F32(0.5)}, note="epsilon")
        mixed = {"x": floats(3, 5, low=0.1, dtype=_F16), "epsilon": _F32(0.5)}
        yield Example(name, mixed, Opset.CoreML7, "mixed")
    yield Example("logical_not", {"x": np.array([True, False])})
    yield Example("clip", {"x": floats(3, 5), "alpha": _F32(-0.5), "beta": _F32(1)})
    yield Example("clip", {"x": floats(3, 5, dtype=_F16), "alpha": _F16(-1), "beta": _F16(1)}, Opset.CoreML7)
    yield Example("threshold", {"x": floats(3, 5), "alpha": _F32(0.25)})
    yield Example("threshold", {"x": integers(3, 5), "alpha": _I32(2)}, note="int32")
    for dtype in ("fp16", "fp32", "int32", "bool"):
        yield Example("cast", {"x": floats(3, 4, low=-9, high=9), "dtype": dtype}, note=dtype)
        yield Example("cast", {"x": integers(3, 4), "dtype": dtype}, note=f"int32 to {dtype}")
        yield Example("cast", {"x": np.array([True, False]), "dtype": dtype}, note=f"bool to {dtype}")
    for dtype in ("int8", "uint8", "int16", "uint16"):
        small = {"x": floats(3, 4, low=0, high=99), "dtype": dtype}
        yield Example("cast", small, Opset.CoreML7, dtype)
        back = {"x": integers(5, low=0, high=99).astype(dtype), "dtype": "fp32"}
        yield Example("cast", back, Opset.CoreML7, f"from {dtype}")


def _convolutions() -> Iterator[Example]:
    image, weight, bias = floats(2, 4, 7, 8), floats(6, 4, 3, 2), floats(6)
    yield Example("conv", {"x": image, "weight": weight})
    yield Example(
        "conv", {"x": image, "weight": weight, "bias": bias, "strides": [2, 1]}, note="bias, strides"
    )
    custom = {"x": image, "weight": weight, "pad_type": "custom"}
    yield Example("conv", {**custom, "pad": [1, 1, 2, 2]}, note="padded")
    yield Example("conv", {**custom, "pad": [0, 1, 2, 1], "dilations": [2, 1]}, note="uneven padding")
    yield Example("conv", {"x": image, "weight": floats(6, 2, 3, 3), "groups": 2}, note="groups")
    for pad_type in ("same", "same_lower"):
        strided = {"x": image, "weight": weight, "strides": [2, 3], "pad_type": pad_type}
        yield Example("conv", strided, Opset.CoreML6, pad_type)
    yield Example("conv", {"x": floats(1, 2, 9), "weight": floats(3, 2, 4), "pad_type": "same"}, note="1D")
    yield Example("conv", {"x": floats(1, 2, 4, 5, 6), "weight": floats(3, 2, 2, 2, 2)}, note="3D")
    mixed = {"x": image.astype(_F16), "weight": weight, "bias": bias}
    yield Example("conv", mixed, Opset.CoreML7, "mixed")
    quantized = {
        "x": image,
        "weight": integers(6, 4, 3, 2, low=0, high=255, dtype=np.uint8),
        "quantization_type": "linear",
        "quant_scale": floats(6),
        "quant_bias": floats(6),
    }
    yield Example("conv_quantized", quantized)
    backward = {"x": image, "weight": floats(4, 3, 3, 2)}
    yield Example("conv_transpose", backward)
    yield Example("conv_transpose", {**backward, "bias": floats(3), "strides": [3, 2]}, note="bias, strides")
    custom = {**backward, "strides": [2, 2], "pad_type": "custom"}
    yield Example("conv_transpose", {**custom, "pad": [1, 1, 0, 0]}, note="padded")
    yield Example("conv_transpose", {**custom, "pad": [0, 1, 1, 0]}, note="uneven padding")
    yield Example("conv_transpose", {**backward, "dilations": [2, 3]}, note="dilations")
    yield Example("conv_transpose", {**backward, "pad_type": "same", "strides": [2, 2]}, note="same")
    yield Example("conv_transpose", {**backward, "pad_type": "same", "strides": [4, 2]}, note="same, gaps")
    shaped = {**backward, "strides": [2, 2], "output_shape": [2, 3, 14, 15], "pad_type": "same"}
    yield Example("conv_transpose", shaped, note="output shape")
    yield Example("conv_transpose", {"x": floats(1, 4, 5), "weight": floats(4, 2, 3), "groups": 2}, note="1D")
    yield Example("conv_transpose", {"x": floats(1, 2, 3, 4, 2), "weight": floats(2, 1, 2, 2, 2)}, note="3D")
    mixed = {"x": image.astype(_F16), "weight": floats(4, 3, 3, 2), "bias": floats(3)}
    yield Example("conv_transpose", mixed, Opset.CoreML7, "mixed")


def _products() -> Iterator[Example]:
    yield Example("linear", {"x": floats(2, 3, 4), "weight": floats(5, 4), "bias": floats(5)})
    yield Example("linear", {"x": floats(4), "weight": floats(5, 4)}, note="rank 1, no bias")
    yield Example(
        "linear", {"x": integers(2, 4), "weight": integers(5, 4), "bias": integers(5)}, note="int32"
    )
    mixed = {"x": floats(2, 4, dtype=_F16), "weight": floats(5, 4), "bias": floats(5)}
    yield Example("linear", mixed, Opset.CoreML7, "mixed")
    yield Example("matmul", {"x": floats(2, 1, 3, 4), "y": floats(5, 4, 2)})
    transposed = {"x": floats(2, 4, 3), "y": floats(2, 5, 4), "transpose_x": True, "transpose_y": True}
    yield Example("matmul", transposed, note="transposed")
    yield Example("matmul", {"x": floats(4), "y": floats(2, 4, 3)}, note="rank 1")
    yield Example("matmul", {"x": integers(3, 4), "y": integers(4, 2)}, note="int32")
    yield Example("matmul", {"x": floats(3, 4, dtype=_F16), "y": floats(4, 2, dtype=_F16)}, note="float16")
    stated = {"x": floats(3, 4), "y": floats(4, 2), "transpose_x": False, "transpose_y": False}
    yield Example("matmul", stated, Opset.CoreML7)
    rank4 = {"values": (floats(1, 3, 2, 4), floats(5, 4, 2, 6)), "equation": "nchw,nwhu->nchu"}
    yield Example("einsum", rank4, note="rank 4")
    rank3 = {"values": (floats(3, 2, 4), floats(4, 1, 6)), "equation": "chw,whr->chr"}
    yield Example("einsum", rank3, note="rank 3")
    queries = {"query": floats(2, 3, 4, 8), "key": floats(2, 3, 5, 8), "value": floats(2, 3, 5, 6)}
    opset, name = Opset.CoreML8, "scaled_dot_product_attention"
    yield Example(name, queries, opset)
    yield Example(name, {**queries, "attn_mask": floats(4, 5)}, opset, "added mask")
    lower = np.tri(4, 5, 1, dtype=bool)
    yield Example(name, {**queries, "attn_mask": lower}, opset, "boolean mask")
    rank3 = {"query": floats(2, 4, 8), "key": floats(2, 5, 8), "value": floats(2, 5, 6)}
    yield Example(name, rank3, opset, "rank 3")
    mixed = {key: value.astype(_F16) for key, value in rank3.items()}
    yield Example(name, {**mixed, "attn_mask": floats(2, 4, 5)}, opset, "mixed")


def _normalizations() -> Iterator[Example]:
    x, gamma, beta = floats(2, 3, 4, 5), floats(3), floats(3)
    moments = {"mean": floats(3), "variance": floats(3, low=0.5)}
    yield Example("batch_norm", {"x": x, **moments})
    affine = {"gamma": gamma, "beta": beta, "epsilon": _F32(0.1)}
    yield Example("batch_norm", {"x": x, **moments, **affine}, note="affine")
    yield Example("batch_norm", {"x": x.astype(_F16), **moments, **affine}, Opset.CoreML7, "mixed")
    yield Example("instance_norm", {"x": x})
    yield Example("instance_norm", {"x": floats(2, 3, 6), **affine}, note="affine")
    yield Example("instance_norm", {"x": x.astype(_F16), **affine}, Opset.CoreML7, "mixed")
    yield Example("l2_norm", {"x": x, "epsilon": _F32(1e-3)})
    yield Example("l2_norm", {"x": floats(3, 4, 5), "epsilon": _F32(1e-3)}, note="rank 3")
    yield Example("l2_norm", {"x": x.astype(_F16), "epsilon": _F32(1e-3)}, Opset.CoreML7, "mixed")
    yield Example("layer_norm", {"x": x})
    last = {"gamma": floats(4, 5), "beta": floats(5, 4).T.copy(), "epsilon": _F32(1e-3)}
    yield Example("layer_norm", {"x": x, "axes": [-2, -1], **last}, note="last axes")
    yield Example("layer_norm", {"x": x, "axes": [1], **affine}, note="channels")
    yield Example("layer_norm", {"x": x.astype(_F16), "axes": [1], **affine}, Opset.CoreML7, "mixed")
    yield Example("local_response_norm", {"x": x, "size": 3})
    other = {"size": 2, "alpha": _F32(0.5), "beta": _F32(0.5), "k": _F32(2)}
    yield Example("local_response_norm", {"x": floats(2, 5, 6), **other}, note="even")
    yield Example("local_response_norm", {"x": x.astype(_F16), **other}, Opset.CoreML7, "mixed")


def _pools() -> Iterator[Example]:
    image = floats(2, 3, 7, 8)
    for name in ("avg_pool", "l2_pool", "max_pool"):
        window: dict[str, Any] = {"x": image, "kernel_sizes": [3, 2], "strides": [2, 2]}
        custom = {**window, "pad_type": "custom"}
        yield Example(name, {**window, "pad_type": "valid"})
        yield Example(name, {**custom, "pad": [1, 1, 0, 0]}, note="padded")
        yield Example(name, {**custom, "pad": [0, 1, 1, 0]}, note="uneven padding")
        yield Example(name, {**custom, "pad": [1, 1, 1, 1], "ceil_mode": True}, note="ceil")
        yield Example(name, {**window, "pad_type": "same"}, note="same")
        yield Example(name, {**window, "pad_type": "same_lower"}, Opset.CoreML6, "same_lower")
        line = {"x": floats(1, 2, 9, dtype=_F16), "kernel_sizes": [4], "pad_type": "valid"}
        yield Example(name, line, note="1D")
    for name in ("avg_pool", "max_pool"):
        volume = {"x": floats(1, 2, 5, 4, 6), "kernel_sizes": [2, 3, 2], "strides": [2, 1, 3]}
        yield Example(name, {**volume, "pad_type": "valid"}, note="3D")
    excluded = {"x": image, "kernel_sizes": [3, 3], "exclude_padding_from_average": True}
    padded = {**excluded, "pad_type": "custom", "pad": [1, 1, 1, 1]}
    yield Example("avg_pool", padded, note="padding excluded")
    yield Example("avg_pool", {**padded, "pad": [0, 2, 1, 1]}, note="uneven padding excluded")


def _reductions() -> Iterator[Example]:
    x, whole = floats(2, 3, 4, low=0.5), integers(2, 3, 4, low=1)
    numbers = (
        "l1_norm",
        "l2_norm",
        "log_sum",
        "log_sum_exp",
        "max",
        "mean",
        "min",
        "prod",
        "sum",
        "sum_square",
    )
    for name in (f"reduce_{number}" for number in numbers):
        yield Example(name, {"x": x, "axes": [-1, 0]})
        yield Example(name, {"x": x}, note="all axes")
        yield Example(name, {"x": x, "axes": [1], "keep_dims": True}, note="kept")
        yield Example(name, {"x": x.astype(_F16), "axes": [1]}, note="float16")
        yield Example(name, {"x": whole, "axes": [2]}, note="int32")
    for name in ("reduce_argmax", "reduce_argmin"):
        yield Example(name, {"x": x})
        yield Example(name, {"x": whole, "axis": 1, "keep_dims": True}, note="int32, kept")
        yield Example(name, {"x": x, "output_dtype": "uint16"}, Opset.CoreML7, "uint16")


EXAMPLES: Final = (
    *_activations(),
    *_quantizations(),
    *_binaries(),
    *_unaries(),
    *_convolutions(),
    *_products(),
    *_normalizations(),
    *_pools(),
    *_reductions(),
)
