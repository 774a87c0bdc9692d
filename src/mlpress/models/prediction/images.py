"""Between images of pillow and the tensors inside a model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlpress.errors import MlpressError
from mlpress.models.prediction.features import Color, ImageFeature

if TYPE_CHECKING:
    from PIL.Image import Image

_OPAQUE = 255


def pillow() -> Any:
    """Returns pillow's module ``PIL.Image``.

    Raises:
        MlpressError: It is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MlpressError("images need pillow: pip install 'mlpress[images]'") from error
    return Image


def from_image(feature: ImageFeature, image: Any) -> npt.NDArray[Any]:
    """Returns `image` as the tensor that a program takes, [1, channels, height, width].

    Channels are in the order of the feature's colour layout. 8-bit channels are float32 from 0 to 255;
    half-precision grey is float16.

    Args:
        feature: What the model takes.
        image: An image of pillow. As in coremltools, it is neither resized nor converted.

    Raises:
        MlpressError: It is no image, or has another size or mode than the model takes.
    """
    what = f"input {feature.name!r}"
    if not _is_image(image):
        raise MlpressError(f"{what} has the type {type(image).__name__}; the model takes {feature}")
    if image.mode != feature.color.mode:
        raise MlpressError(
            f"{what} has mode {image.mode!r}; the model takes {feature}: "
            f"image.convert({feature.color.mode!r}) makes one"
        )
    size = (image.height, image.width)
    if not feature.shapes.accepts(size):
        raise MlpressError(f"{what} is {size[0]} × {size[1]}; the model takes {feature}")
    pixels = np.asarray(image, np.float16 if feature.color is Color.GRAYSCALE_FLOAT16 else np.float32)
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if feature.color is Color.BGR:
        channels = channels[::-1]
    return np.ascontiguousarray(channels[None])


def to_image(feature: ImageFeature, tensor: npt.NDArray[Any]) -> Image:
    """Returns the image that a tensor of a program stands for.

    Args:
        feature: What the model describes; its size is not looked at.
        tensor: [1, channels, height, width], channels in the order of the feature's colour layout, 0 to 255.
            Values are rounded and clipped to 8 bits but for half-precision grey.

    Returns:
        An image of mode RGBA without transparency for colours, of L or F for grey, as in coremltools.

    Raises:
        MlpressError: The tensor has other axes, or pillow is not installed.
    """
    channels = 1 if feature.color in (Color.GRAYSCALE, Color.GRAYSCALE_FLOAT16) else 3
    if tensor.ndim != 4 or tensor.shape[:2] != (1, channels):
        raise MlpressError(
            f"output {feature.name!r} is an image, and the program gives the shape {tensor.shape}; "
            f"allowed: 1 × {channels} × height × width"
        )
    if feature.color is Color.GRAYSCALE_FLOAT16:
        return _image(tensor[0, 0].astype(np.float32))
    pixels = np.rint(np.clip(np.nan_to_num(tensor[0].astype(np.float32)), 0, 255)).astype(np.uint8)
    if feature.color is Color.GRAYSCALE:
        return _image(pixels[0])
    red_green_blue = pixels[::-1] if feature.color is Color.BGR else pixels
    alpha = np.full_like(pixels[:1], _OPAQUE)
    return _image(np.concatenate([red_green_blue, alpha]).transpose(1, 2, 0))


def _is_image(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # who has an image has imported it
    return module is not None and isinstance(value, module.Image)


def _image(pixels: npt.NDArray[Any]) -> Image:
    image: Image = pillow().fromarray(np.ascontiguousarray(pixels))
    return image
