"""What a model is converted for: the oldest system it has to run on, and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any

from mlpress.errors import MlpressError
from mlpress.mil import Opset


class AvailableTarget(IntEnum):
    """A release of Apple's systems; the value is the specification version that it brought."""

    iOS13 = 4
    iOS14 = 5
    iOS15 = 6
    iOS16 = 7
    iOS17 = 8
    iOS18 = 9
    iOS26 = 10

    macOS10_15 = 4
    macOS10_16 = 5
    macOS11 = 5
    macOS12 = 6
    macOS13 = 7
    macOS14 = 8
    macOS15 = 9
    macOS26 = 10

    watchOS6 = 4
    watchOS7 = 5
    watchOS8 = 6
    watchOS9 = 7
    watchOS10 = 8
    watchOS11 = 9
    watchOS26 = 10

    tvOS13 = 4
    tvOS14 = 5
    tvOS15 = 6
    tvOS16 = 7
    tvOS17 = 8
    tvOS18 = 9
    tvOS26 = 10

    visionOS1 = 8
    visionOS2 = 9
    visionOS26 = 10

    @property
    def opset(self) -> Opset:
        """The opset of mlprograms for this target.

        Raises:
            MlpressError: It is older than mlprograms.
        """
        if self < AvailableTarget.iOS15:
            raise MlpressError(f"minimum_deployment_target is {self.name}; allowed: iOS15 and later")
        return Opset(self.value - 1)


class ComputePrecision(Enum):
    """What a program computes in."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"


class FP16ComputePrecision:
    """Float16 for the operations that a function chooses.

    Attributes:
        op_selector: Gets an operation, with `op_type`, `name`, `inputs` and `outputs`, and tells whether it
            computes in float16.
    """

    def __init__(self, op_selector: Callable[[Any], bool] | None = None) -> None:
        """Chooses all operations if `op_selector` is None."""
        self.op_selector = op_selector or (lambda _: True)


class ColorLayout(Enum):
    """How the pixels of an image lie."""

    RGB = "RGB"
    BGR = "BGR"
    GRAYSCALE = "G"
    GRAYSCALE_FLOAT16 = "G_FLOAT16"


target = AvailableTarget
precision = ComputePrecision
colorlayout = ColorLayout
