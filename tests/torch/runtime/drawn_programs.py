"""Random programs of 8-bit activations and compressed weights whose exact results float32 can hold.

Scales are powers of two, and weights whole numbers times such scales, so that no sum is rounded: kernels that
add in another order, or in whole numbers, have to give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlpress.bits import FLOAT16, FLOAT32, INT4, INT8, UINT1, UINT4, UINT8, DType, Tensor, unsigned
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse
from mlpress.mil import Opset, Program, TensorType, Value
from mlpress.ops.builder import Builder
from tests.torch.runtime.programs import program

Grid = tuple[DType, dict[str, Any]]

CHANNELS = (1, 2, 3, 4, 8, 16)
FUNCTIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "clamped_relu",
    "tanh",
    "sigmoid",
    "gelu",
    "silu",
    "softsign",
    "exp",
)


class Drawing:
    """Draws one program.

    Attributes:
        random: Where all choices come from.
        element: Type of the program's floats.
        builder: What has been drawn so far.
        grids: For dequantized values, the type of their codes and the rest of their parameters.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.element: DType = self.pick([FLOAT16, FLOAT32])
        self.builder = Builder(Opset.CoreML8)
        self.grids: dict[Value, Grid] = {}

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[self.random.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    # ---- numbers ----

    def floats(self, values: Any) -> Tensor:
        return Tensor.from_numpy(np.asarray(values).astype(self.element.storage))

    def scales(self, shape: Sequence[int], steps: int = 3) -> Dense:
        return Dense(self.floats(2.0 ** -self.random.integers(0, steps + 1, shape)))

    def integers(self, dtype: DType, shape: Sequence[int]) -> np.ndarray:
        return self.random.integers(dtype.low, dtype.high + 1, shape).astype(dtype.storage)

    def stored(self, dtype: DType, shape: Sequence[int]) -> Dense:
        return Dense(Tensor.from_numpy(self.integers(dtype, shape), dtype))

    # ---- weights ----

    def weight(self, shape: tuple[int, ...]) -> Encoding:
        """Draws a weight in an encoding that compression makes."""
        kind = self.pick([self._floats, self._quantized, self._palettized, self._pruned])
        return kind(shape)

    def _floats(self, shape: tuple[int, ...]) -> Encoding:
        return Dense(self.floats(self.random.integers(-8, 9, shape) / 4))

    def _counts(self, shape: tuple[int, ...], axis: int) -> list[int]:
        counts = [1] * len(shape)
        counts[axis] = self.pick([n for n in range(1, shape[axis] + 1) if shape[axis] % n == 0])
        return counts

    def _affine(self, data: Encoding) -> Encoding:
        shape = data.shape
        counts = self.pick([[1] * len(shape), [shape[0]] + [1] * (len(shape) - 1)])
        if self.chance(0.3):
            counts[1] = self._counts(shape, 1)[1]
        offset = self.stored(data.dtype, counts) if self.chance(0.4) else None
        return Affine(data, self.scales(counts, 2), offset)

    def _quantized(self, shape: tuple[int, ...]) -> Encoding:
        return self._affine(self.stored(self.pick([INT8, INT8, UINT8, INT4, UINT4]), shape))

    def _table(self, groups: Sequence[int], bits: int) -> Encoding:
        sizes = (*groups, 1 << bits, 1)
        if self.chance(0.5):
            return Dense(self.floats(self.random.integers(-64, 65, sizes) / 16))
        dtype = self.pick([INT8, INT8, UINT8])
        scales = self.scales((*self.pick([groups, [1] * len(groups)]), 1, 1))
        return Affine(self.stored(dtype, sizes), scales)

    def _palettized(self, shape: tuple[int, ...], indices: Encoding | None = None) -> Encoding:
        bits = self.pick([1, 2, 3, 4, 6, 8]) if indices is None else indices.dtype.bits
        groups = self._counts(shape, int(self.chance(0.2)))
        lut = Lut(indices or self.stored(unsigned(bits), shape), self._table(groups, bits))
        return Affine(lut, self.scales([shape[0]] + [1] * (len(shape) - 1))) if self.chance(0.2) else lut

    def _pruned(self, shape: tuple[int, ...]) -> Encoding:
        mask = (self.random.random(shape) < 0.5).astype(np.uint8)
        kept = (int(mask.sum()),)
        sparse = Tensor.from_numpy(mask, UINT1)
        match self.random.integers(3):
            case 0:
                return Scatter(Sparse(sparse, self.floats(self.random.integers(-8, 9, kept) / 4)))
            case 1:
                return Scatter(self._affine(Sparse(sparse, self.stored(INT8, kept).values)))
            case _:
                values = self.stored(unsigned(self.pick([1, 2, 4, 8])), kept).values
                return Scatter(self._palettized(shape, Sparse(sparse, values)))

    # ---- values ----

    def codes(self, x: Value, grid: Grid | None = None) -> Value:
        """Returns `x` through quantize and dequantize, on a grid that is drawn unless there is one."""
        dtype, how = grid or self._grid()
        made = self.builder.op("quantize", input=x, output_dtype=dtype.name, **how)
        value: Value = self.builder.op("dequantize", input=made, **how)
        self.grids[value] = dtype, how
        return value

    def _grid(self) -> Grid:
        dtype = self.pick([INT8, UINT8])
        zero = np.asarray(self.integers(dtype, ()), dtype.storage) if self.chance(0.7) else None
        scale = np.asarray(2.0 ** -self.random.integers(-1, 7), self.element.storage)
        return dtype, {"scale": scale} | ({} if zero is None else {"zero_point": zero})

    def finished(self, x: Value) -> Value:
        """Draws what follows a layer: maybe a function, then codes."""
        kind = self.pick(["", "", "", "relu", "relu", *FUNCTIONS])
        return self.codes(self.function(kind, x) if kind else x)

    def function(self, kind: str, x: Value) -> Value:
        how: dict[str, Any] = {}
        if kind == "gelu":
            how = {"mode": self.pick(["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])}
        elif kind == "leaky_relu":
            how = {"alpha": 0.25}
        elif kind == "clamped_relu":
            how = {"alpha": 0.5, "beta": 2.0}
        return self.builder.op(kind, x=x, **how)

    def window(self, sizes: Sequence[int]) -> tuple[list[int], dict[str, Any]]:
        """Draws sizes of a window, steps and padding that fit an image."""
        axes = len(sizes)
        kernel = [int(self.random.integers(1, min(4, size + 1) + 1)) for size in sizes]
        kind = self.pick(["valid", "same", "same_lower", "custom"])
        pads = [int(self.random.integers(0, 4)) for _ in range(2 * axes)]
        for axis, (size, k) in enumerate(zip(sizes, kernel, strict=True)):
            pads[2 * axis] = max(pads[2 * axis] % k, k - size)  # no window in nothing but padding
            pads[2 * axis + 1] %= k
        if kind == "valid" and any(k > size for k, size in zip(kernel, sizes, strict=True)):
            kind = "custom"
        how = {"strides": [int(self.random.integers(1, 4)) for _ in sizes], "pad_type": kind}
        return kernel, how | ({"pad": pads} if kind == "custom" else {})

    def conv(self, x: Value) -> Value:
        _, channels, *sizes = shape_of(x)
        groups = self.pick([g for g in (1, 1, 2, channels) if channels % g == 0])
        out = groups * int(self.random.integers(1, 1 + max(1, 16 // groups)))
        kernel, how = self.window(sizes)
        if self.chance(0.3):
            how["dilations"] = [1 + int(self.chance(0.3) and k < 2) for k in kernel]
        return self.builder.op(
            "conv", x=x, weight=self.weight((out, channels // groups, *kernel)), groups=groups,
            **self.bias(out), **how,
        )  # fmt: skip

    def linear(self, x: Value) -> Value:
        out = int(self.pick([1, 3, 8, 16, 33, 64]))
        return self.builder.op("linear", x=x, weight=self.weight((out, shape_of(x)[-1])), **self.bias(out))

    def bias(self, out: int) -> dict[str, Any]:
        """Draws a bias: so many odd steps that no sum lies half way between two codes."""
        odd = 2 * self.random.integers(-1000, 1000, out) + 1
        return {"bias": self.floats(odd * 2.0**-14).numpy()}

    def sum(self, x: Value, values: Sequence[Value]) -> Value:
        """Draws a sum with a value of the same shape, or with one that is as large as a pixel."""
        other = self.pick([value for value in values if shape_of(value) == shape_of(x)])
        if self.chance(0.3):
            axes = list(range(2, len(shape_of(x))))
            other = self.codes(self.builder.op("reduce_max", x=x, axes=axes, keep_dims=True))
        first, second = (x, other) if self.chance(0.5) else (other, x)
        return self.builder.op("add", x=first, y=second)

    def pool(self, x: Value) -> Value:
        kernel, how = self.window(shape_of(x)[2:])
        ceil = {"ceil_mode": True} if how["pad_type"] in ("valid", "custom") and self.chance(0.2) else {}
        return self.builder.op("max_pool", x=x, kernel_sizes=kernel, **how, **ceil)


def shape_of(x: Value) -> tuple[int, ...]:
    assert isinstance(x.type, TensorType)
    return tuple(int(size or 0) for size in x.type.shape)


def image_program(seed: int) -> tuple[Program, np.ndarray]:
    """Draws layers, sums, pools and functions over one to three axes; and an input."""
    drawing = Drawing(seed)
    axes = int(drawing.pick([1, 2, 2, 2, 3]))
    sizes = (int(drawing.random.integers(1, 10)) for _ in range(axes))
    shape = (int(drawing.pick([1, 1, 2, 3])), int(drawing.pick(CHANNELS)), *sizes)
    x = drawing.builder.input("x", TensorType(drawing.element, shape))
    values, outputs = [drawing.codes(x)], []
    for _ in range(int(drawing.random.integers(2, 7))):
        source = values[-1] if drawing.chance(0.7) else drawing.pick(values)
        match drawing.pick(["conv", "conv", "conv", "add", "pool", "function", "concat", "output"]):
            case "conv":
                values.append(drawing.finished(drawing.conv(source)))
            case "add":
                values.append(drawing.finished(drawing.sum(source, values)))
            case "pool":
                grid = drawing.grids[source] if drawing.chance(0.7) else None
                values.append(drawing.codes(drawing.pool(source), grid))
            case "function":
                values.append(drawing.codes(drawing.function(drawing.pick(FUNCTIONS), source)))
            case "concat":
                alike = [value for value in values if shape_of(value)[2:] == shape_of(source)[2:]]
                joined = drawing.builder.op("concat", values=[source, drawing.pick(alike)], axis=1)
                values.append(drawing.codes(joined))
            case _:
                outputs.append(drawing.conv(source) if drawing.chance(0.5) else source)
    flat = drawing.builder.op("reshape", x=values[-1], shape=[shape[0], -1])
    if shape_of(flat)[-1] <= 512:
        outputs.append(drawing.linear(flat))
    outputs = [drawing.builder.op("identity", x=value) for value in dict.fromkeys([*outputs, values[-1]])]
    numbers = drawing.random.integers(-64, 65, shape) / 8
    return program(drawing.builder, [x], outputs), numbers.astype(drawing.element.storage)


def feature_program(seed: int) -> tuple[Program, np.ndarray]:
    """Draws linear layers, and convolutions at one place, of floats and of codes; and an input."""
    drawing = Drawing(seed)
    k = int(drawing.pick([8, 32, 64, 96, 100, 128, 160, 256]))
    rows = int(drawing.pick([1, 1, 2, 3, 7, 16, 64, 70]))
    shape = drawing.pick([(rows, k), (1, rows, k), (2, rows, k), (k,)])
    build = drawing.builder
    x = build.input("x", TensorType(drawing.element, shape))
    layer = drawing.linear(drawing.codes(x) if drawing.chance(0.4) else x)
    outputs = [layer]
    if len(shape) > 1:
        again = drawing.linear(drawing.finished(layer))
        outputs.append(again)
        image = build.op("reshape", x=x, shape=[prod(shape[:-1]), k, 1, 1])
        out = int(drawing.pick([4, 24]))
        outputs.append(build.op("conv", x=image, weight=drawing.weight((out, k, 1, 1)), **drawing.bias(out)))
    made = program(build, [x], outputs)
    return made, (drawing.random.integers(-16, 17, shape) / 4).astype(drawing.element.storage)
