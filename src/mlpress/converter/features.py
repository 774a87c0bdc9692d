"""What users say about inputs, outputs and states of a model, under coremltools' names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlpress import bits
from mlpress.bits import DType
from mlpress.converter.targets import ColorLayout
from mlpress.errors import MlpressError

_DTYPES = {"float16": bits.FLOAT16, "float32": bits.FLOAT32, "int32": bits.INT32, "int8": bits.INT8}
_MIL_NAMES = {"fp16": "float16", "fp32": "float32"}


class RangeDim:
    """A size that may change between bounds.

    Attributes:
        lower_bound: Smallest size.
        upper_bound: Largest size.
        default: The size that stands for all.
        symbol: Its name; sizes with the same one are equal.
    """

    def __init__(
        self,
        lower_bound: int = 1,
        upper_bound: int = -1,
        default: int | None = None,
        symbol: str | None = None,
    ) -> None:
        """Takes the bounds; the default is the lower one if it is not given.

        Raises:
            MlpressError: There are no sizes between the bounds, or the default is not between them.
        """
        if upper_bound < 0:
            raise MlpressError(
                f"RangeDim upper_bound is {upper_bound}; mlprograms need a bound that is not negative"
            )
        if not 1 <= lower_bound <= upper_bound:
            raise MlpressError(
                f"RangeDim has no sizes from {lower_bound} to {upper_bound}; allowed: from 1 on"
            )
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound
        self.default = lower_bound if default is None else default
        self.symbol = symbol
        if not lower_bound <= self.default <= upper_bound:
            raise MlpressError(f"RangeDim default is {default}; allowed: {lower_bound} to {upper_bound}")

    def __repr__(self) -> str:
        bounds = f"{self.lower_bound}, {self.upper_bound}"
        return f"RangeDim({bounds}, default={self.default}, symbol={self.symbol!r})"


class Shape:
    """Sizes of the axes, each a number or a `RangeDim`.

    Attributes:
        shape: The sizes.
        default: A number for each.
    """

    def __init__(self, shape: Sequence[int | RangeDim], default: Sequence[int] | None = None) -> None:
        """Takes sizes; numbers for ranges come from them unless `default` has some.

        Raises:
            MlpressError: A size is neither, or `default` does not fit.
        """
        for size in shape:
            if not isinstance(size, RangeDim) and (int(size) != size or size < 0):
                raise MlpressError(
                    f"a size is {size!r}; allowed: a number that is not negative, or a RangeDim"
                )
        self.shape = tuple(size if isinstance(size, RangeDim) else int(size) for size in shape)
        own = tuple(size.default if isinstance(size, RangeDim) else size for size in self.shape)
        self.default = own if default is None else tuple(default)
        if len(self.default) != len(own):
            raise MlpressError(f"default {self.default} has not as many axes as {self.shape}")

    def __repr__(self) -> str:
        return f"Shape({self.shape})"


class EnumeratedShapes:
    """Several fixed shapes.

    Attributes:
        shapes: All, the default one first.
    """

    def __init__(
        self, shapes: Sequence[Shape | Sequence[int]], default: Shape | Sequence[int] | None = None
    ) -> None:
        """Takes shapes; the first is the default unless `default` says otherwise.

        Raises:
            MlpressError: There are fewer than two, or their ranks differ.
        """
        given = [_plain(shape) for shape in shapes]
        first = given[0] if default is None and given else _plain(default if default is not None else ())
        if len(given) < 2 or first not in given or len({len(shape) for shape in given}) != 1:
            raise MlpressError(
                f"EnumeratedShapes({given}): allowed: two or more shapes of one rank, the default among them"
            )
        self.shapes = [first, *(shape for shape in given if shape != first)]

    @property
    def default(self) -> tuple[int, ...]:
        """The shape that stands for all."""
        return self.shapes[0]


def _plain(shape: Shape | Sequence[int]) -> tuple[int, ...]:
    return shape.default if isinstance(shape, Shape) else tuple(int(size) for size in shape)


def _as_shape(shape: Any) -> Shape | EnumeratedShapes | None:
    if shape is None or isinstance(shape, Shape | EnumeratedShapes):
        return shape
    return Shape(tuple(shape))


class TensorType:
    """An input or output that is a tensor.

    Attributes:
        name: Its name, None to keep that of the model.
        shape: Its shape, None for what the model gives.
        dtype: Its element type, None for the one that fits the program.
        default_value: What it is where a prediction leaves it out, one number in all places.
    """

    def __init__(
        self,
        name: str | None = None,
        shape: Any = None,
        dtype: Any = None,
        default_value: npt.NDArray[Any] | None = None,
    ) -> None:
        """Takes what is known.

        Raises:
            MlpressError: The type is none that Core ML has, or the default value has several numbers.
        """
        self.name = name
        self.shape = _as_shape(shape)
        self.dtype = None if dtype is None else interface_dtype(dtype)
        self.default_value = default_value
        if default_value is not None and len(np.unique(default_value)) != 1:
            raise MlpressError("default_value holds different numbers; Core ML keeps one for all places")

    def __repr__(self) -> str:
        return f"TensorType(name={self.name!r}, shape={self.shape}, dtype={self.dtype})"


class ImageType:
    """An input or output that is an image.

    An input becomes ``scale * pixel + bias``, for each channel.

    Attributes:
        name: As in `TensorType`.
        shape: ``[1, channels, height, width]``.
        scale: One number, or one a channel.
        bias: One number, or one a channel.
        color_layout: How the pixels lie.
    """

    def __init__(
        self,
        name: str | None = None,
        shape: Any = None,
        scale: Any = 1.0,
        bias: Any = None,
        color_layout: ColorLayout | str = ColorLayout.RGB,
        channel_first: bool | None = None,
        grayscale_use_uint8: bool = False,
    ) -> None:
        """Takes what is known.

        Raises:
            MlpressError: The layout is unknown, channels come last, or pixels should be uint8.
        """
        try:
            self.color_layout = ColorLayout(color_layout)
        except ValueError:
            allowed = ", ".join(layout.name for layout in ColorLayout)
            raise MlpressError(f"color_layout is {color_layout!r}; allowed: {allowed}") from None
        if channel_first is False:
            raise MlpressError("channel_first is False; images of PyTorch models have their channels first")
        if grayscale_use_uint8:
            raise MlpressError("grayscale_use_uint8 is not supported; pixels are float32")
        self.name = name
        self.shape = _as_shape(shape)
        self.scale = scale
        self.bias = 0.0 if bias is None else bias

    @property
    def channels(self) -> int:
        """Channels of a pixel."""
        return 3 if self.color_layout in (ColorLayout.RGB, ColorLayout.BGR) else 1

    @property
    def dtype(self) -> DType:
        """Element type of the tensor in the program."""
        return bits.FLOAT16 if self.color_layout is ColorLayout.GRAYSCALE_FLOAT16 else bits.FLOAT32


class StateType:
    """A buffer that the model remembers.

    Attributes:
        wrapped_type: Its shape and element type.
        name: Full name of the buffer in the model.
    """

    def __init__(self, wrapped_type: TensorType, name: str | None = None) -> None:
        """Takes the type of the buffer.

        Raises:
            MlpressError: It is no `TensorType`.
        """
        if not isinstance(wrapped_type, TensorType):
            raise MlpressError(f"a state wraps a {type(wrapped_type).__name__}; allowed: TensorType")
        self.wrapped_type = wrapped_type
        self.name = name if name is not None else wrapped_type.name


class ClassifierConfig:
    """Labels of a classifier.

    Attributes:
        class_labels: One for each class, all ``str`` or all ``int``.
        predicted_feature_name: Name of the output with the label.
        predicted_probabilities_output: Name of the output with the probabilities, None for the last one.
    """

    def __init__(
        self,
        class_labels: Sequence[str] | Sequence[int] | str | os.PathLike[str],
        predicted_feature_name: str = "classLabel",
        predicted_probabilities_output: str | None = None,
    ) -> None:
        """Takes labels, or the path of a text file with one on each line.

        Raises:
            MlpressError: Labels are of several types, or there are none.
        """
        if isinstance(class_labels, str | os.PathLike):
            class_labels = Path(class_labels).read_text(encoding="utf-8").splitlines()
        labels = list(class_labels)
        if not labels or not (
            all(isinstance(label, str) for label in labels) or all(isinstance(label, int) for label in labels)
        ):
            raise MlpressError("class_labels must be strings or integers, at least one")
        self.class_labels: list[Any] = labels
        self.predicted_feature_name = predicted_feature_name
        self.predicted_probabilities_output = predicted_probabilities_output


def interface_dtype(dtype: Any) -> DType:
    """Returns the element type that `dtype`, of NumPy, torch or MIL, means at the interface of a model.

    Raises:
        MlpressError: Core ML's interfaces do not have it.
    """
    name = getattr(dtype, "name", None) or str(dtype).removeprefix("torch.")
    name = getattr(dtype, "__name__", name) if isinstance(dtype, type) else name
    name = _MIL_NAMES.get(name, name)
    name = {
        "double": "float32",
        "float64": "float32",
        "float": "float32",
        "int64": "int32",
        "int": "int32",
    }.get(name, name)
    if name not in _DTYPES:
        raise MlpressError(f"dtype is {dtype!r}; allowed: {', '.join(_DTYPES)}")
    return _DTYPES[name]
