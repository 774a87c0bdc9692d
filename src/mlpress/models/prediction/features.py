"""The kinds of inputs and outputs that a model describes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mlpress.bits import DType
from mlpress.models.prediction.shapes import Fixed, Shapes


class Color(Enum):
    """The colour layout of an image, with the mode that pillow calls it by."""

    GRAYSCALE = "L"
    GRAYSCALE_FLOAT16 = "F"
    RGB = "RGB"
    BGR = "BGR"

    @property
    def mode(self) -> str:
        """Mode of images handed in; in what order the model wants channels is no matter of theirs."""
        return "RGB" if self is Color.BGR else self.value


@dataclass(frozen=True, slots=True)
class ArrayFeature:
    """An array of numbers.

    Attributes:
        name: Name.
        dtype: Element type at the interface.
        shapes: Shapes that are allowed. An output whose shape only a run can tell has no axes here.
        optional: Whether an input may be left out.
        fill: Value of all elements of an optional input that is left out.
    """

    name: str
    dtype: DType
    shapes: Shapes
    optional: bool = False
    fill: float = 0

    def __str__(self) -> str:
        return f"an array of {self.dtype}, {self.shapes}"


@dataclass(frozen=True, slots=True)
class ImageFeature:
    """An image of 8-bit channels, or of one channel of half-precision floats.

    Attributes:
        name: Name.
        color: Colour layout.
        shapes: Heights and widths that are allowed, as shapes of two axes.
    """

    name: str
    color: Color
    shapes: Shapes

    def __str__(self) -> str:
        return f"a PIL image of mode {self.color.mode!r}, {self.shapes} (height × width)"


@dataclass(frozen=True, slots=True)
class NumberFeature:
    """One number: an integer of 64 bits or a float of double precision.

    Attributes:
        name: Name.
        dtype: int64 or float64.
        optional: Whether an input may be left out; it is 0 then.
    """

    name: str
    dtype: DType
    optional: bool = False

    @property
    def shapes(self) -> Shapes:
        return Fixed(())

    def __str__(self) -> str:
        return f"a number ({self.dtype})"


@dataclass(frozen=True, slots=True)
class StringFeature:
    """A string: the label that a classifier finds."""

    name: str

    def __str__(self) -> str:
        return "a string"


@dataclass(frozen=True, slots=True)
class DictionaryFeature:
    """Numbers by label: the probabilities of a classifier."""

    name: str

    def __str__(self) -> str:
        return "a dictionary of numbers"


InputFeature = ArrayFeature | ImageFeature | NumberFeature
Feature = InputFeature | StringFeature | DictionaryFeature
