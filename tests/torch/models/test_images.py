"""Images of pillow, and the tensors that programs take and give for them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from mlpress.errors import MlpressError
from mlpress.models.prediction import Color, ImageFeature
from mlpress.models.prediction.images import from_image, to_image
from mlpress.models.prediction.inputs import to_program
from mlpress.models.prediction.shapes import Fixed
from tests.unit.models.descriptions import UNBOUNDED, array, image, interface

PIXELS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)  # height, width, channels


def feature(color: Color) -> ImageFeature:
    return ImageFeature("x", color, Fixed((3, 4)))


def test_channels_come_first_and_stay_between_0_and_255() -> None:
    tensor = from_image(feature(Color.RGB), Image.fromarray(PIXELS))
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, PIXELS.transpose(2, 0, 1)[None])


def test_bgr_turns_the_channels_around() -> None:
    tensor = from_image(feature(Color.BGR), Image.fromarray(PIXELS))
    np.testing.assert_array_equal(tensor, PIXELS[..., ::-1].transpose(2, 0, 1)[None])


def test_grey_has_one_channel() -> None:
    tensor = from_image(feature(Color.GRAYSCALE), Image.fromarray(PIXELS[..., 0]))
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, PIXELS[None, None, ..., 0])


def test_grey_in_floats_becomes_half_precision() -> None:
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    tensor = from_image(feature(Color.GRAYSCALE_FLOAT16), Image.fromarray(values))
    np.testing.assert_array_equal(tensor, values[None, None].astype(np.float16), strict=True)


@pytest.mark.parametrize(
    "color, mode",
    [(Color.RGB, "RGBA"), (Color.BGR, "L"), (Color.GRAYSCALE, "RGB"), (Color.GRAYSCALE_FLOAT16, "L")],
)
def test_an_image_of_another_mode_is_refused_with_the_way_to_convert_it(color: Color, mode: str) -> None:
    with pytest.raises(MlpressError) as error:
        from_image(feature(color), Image.new(mode, (4, 3)))
    assert f"input 'x' has mode {mode!r}; the model takes a PIL image of mode {color.mode!r}" in str(
        error.value
    )
    assert str(error.value).endswith(f"image.convert({color.mode!r}) makes one")


def test_an_image_of_another_size_is_refused_with_the_right_one() -> None:
    with pytest.raises(MlpressError, match=r"'x' is 4 × 3; the model takes .*, 3 × 4 \(height × width\)"):
        from_image(feature(Color.RGB), Image.new("RGB", (3, 4)))


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(MlpressError, match=r"'x' has the type list; the model takes a PIL image of mode 'L'"):
        from_image(feature(Color.GRAYSCALE), [[1, 2]])


def test_sizes_may_be_enumerated_together_with_arrays() -> None:
    inputs = interface(image("x", enumerated=[(4, 3), (8, 6)]), array("y", enumerated=[(1,), (2,)])).inputs

    found = to_program(inputs, {"x": Image.new("RGB", (8, 6)), "y": [0, 0]})
    assert found["x"].shape == (1, 3, 6, 8)
    with pytest.raises(MlpressError, match=r"'x' of 6 × 8, 'y' of 1 do not go together"):
        to_program(inputs, {"x": Image.new("RGB", (8, 6)), "y": [0]})
    with pytest.raises(MlpressError, match=r"3 × 4 or 6 × 8 \(height × width\)"):
        to_program(inputs, {"x": Image.new("RGB", (8, 3)), "y": [0]})


def test_sizes_may_be_ranges() -> None:
    inputs = interface(image("x", "GRAYSCALE", widths=(4, 8), heights=(2, UNBOUNDED))).inputs
    assert to_program(inputs, {"x": Image.new("L", (8, 500))})["x"].shape == (1, 1, 500, 8)
    with pytest.raises(MlpressError, match=r"'x' is 2 × 9; .*\(2 or more\) × \(4 to 8\) \(height × width\)"):
        to_program(inputs, {"x": Image.new("L", (9, 2))})


@pytest.mark.parametrize("color", list(Color))
def test_an_image_comes_back_as_it_went_in(color: Color) -> None:
    shape = (3, 4, 3) if color.mode == "RGB" else (3, 4)
    values = np.arange(np.prod(shape)).reshape(shape)
    given = Image.fromarray(values.astype(np.float32 if color.mode == "F" else np.uint8))
    back = to_image(feature(color), from_image(feature(color), given))
    assert back.size == (4, 3)
    assert back.mode == {"RGB": "RGBA"}.get(color.mode, color.mode)
    np.testing.assert_array_equal(np.asarray(back.convert(given.mode)), np.asarray(given))


def test_images_of_colours_are_opaque() -> None:
    back = to_image(feature(Color.BGR), np.zeros((1, 3, 2, 5), np.float32))
    assert np.asarray(back)[..., 3].min() == 255


def test_values_beyond_8_bits_are_clipped_and_others_rounded() -> None:
    tensor = np.array([[[[-4.0, 0.6, 2.5, 254.4, 1e9, np.inf, np.nan]]]], np.float32)
    assert np.asarray(to_image(feature(Color.GRAYSCALE), tensor)).tolist() == [[0, 1, 2, 254, 255, 255, 0]]


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (3, 3, 4), (2, 3, 3, 4)])
def test_a_result_of_other_axes_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(MlpressError, match=r"output 'x' is an image, .* allowed: 1 × 3 × height × width"):
        to_image(feature(Color.RGB), np.zeros(shape))


def test_without_pillow_an_image_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MlpressError, match=r"images need pillow: pip install 'mlpress\[images\]'"):
        to_image(feature(Color.GRAYSCALE), np.zeros((1, 1, 2, 2)))
