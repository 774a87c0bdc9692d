from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpress import verify
from mlpress.errors import MlpressError
from mlpress.models import Interface
from mlpress.verification import read_samples
from tests.torch.models.packages import image_model
from tests.torch.verification.models import network
from tests.unit.models.descriptions import array, image, interface, state

TWO = interface(array("x", 2, 4), array("mask", 3, dtype="INT32"))


def read(folder: Path, model: Interface | None, **arrays: object) -> list[dict]:
    np.savez(folder / "samples.npz", **{name: np.asarray(each) for name, each in arrays.items()})
    return list(read_samples(folder / "samples.npz", model))


def test_the_first_of_more_axes_counts_samples(tmp_path: Path) -> None:
    x, mask = np.random.default_rng(0).random((5, 2, 4)), np.arange(15).reshape(5, 3)
    samples = read(tmp_path, TWO, x=x, mask=mask)
    assert len(samples) == 5
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["x"], x[index])
        np.testing.assert_array_equal(sample["mask"], mask[index])


def test_arrays_of_the_inputs_own_axes_go_with_every_sample(tmp_path: Path) -> None:
    samples = read(tmp_path, TWO, x=np.zeros((5, 2, 4)), mask=[1, 2, 3])
    assert [sample["mask"].tolist() for sample in samples] == [[1, 2, 3]] * 5
    assert len(read(tmp_path, TWO, x=np.zeros((2, 4)), mask=[1, 2, 3])) == 1


def test_a_directory_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, value in (("b", 2), ("a", 1), ("c", 3)):
        np.savez(tmp_path / f"{name}.npz", x=np.full((2, 2, 4), value), mask=[0, 0, 0])
    (tmp_path / "notes.txt").write_text("no samples")
    assert [sample["x"][0, 0] for sample in read_samples(tmp_path, TWO)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("kind", "pixels"), [("RGB", (3, 4, 3)), ("BGR", (3, 4, 3)), ("GRAYSCALE", (3, 4))])
def test_pixels_become_images(tmp_path: Path, kind: str, pixels: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, *pixels), np.uint8)
    samples = read(tmp_path, interface(image("x", kind)), x=values)
    for sample, expected in zip(samples, values, strict=True):
        np.testing.assert_array_equal(np.asarray(sample["x"]), expected)


def test_half_precision_grey_is_an_image_of_floats(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2, 3, 4)).astype(np.float16)
    samples = read(tmp_path, interface(image("x", "GRAYSCALE_FLOAT16")), x=values)
    assert [sample["x"].mode for sample in samples] == ["F", "F"]
    np.testing.assert_array_equal(np.asarray(samples[1]["x"]), values[1].astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_colours_that_are_no_8_bit_pixels_are_refused(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(MlpressError, match=f"'x' holds {np.dtype(dtype)}; .* uint8"):
        read(tmp_path, interface(image("x")), x=np.zeros((3, 4, 3), dtype))


def test_models_take_what_was_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((6, 3, 4, 3), np.uint8))
    model = image_model()
    assert verify(model, model, read_samples(tmp_path, model.interface)).samples == 6


def test_the_samples_of_a_file_are_a_sequence_where_there_are_states(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 0), ("c", 3)):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((count, 2, 4)))
    model = interface(array("x", 2, 4), states=[state("total", 1, 8)])
    assert [len(sequence) for sequence in read_samples(tmp_path, model)] == [2, 3]


def test_without_a_description_a_file_is_a_sample(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, None, x=np.zeros((5, 2, 4)))
    assert sample["x"].shape == (5, 2, 4)


def test_wrong_axes(tmp_path: Path) -> None:
    with pytest.raises(
        MlpressError, match="'x' has 1 axes; allowed: 2 for one value, 3 for one value for each"
    ):
        read(tmp_path, TWO, x=[1.0], mask=[1, 2, 3])


def test_different_numbers_of_samples(tmp_path: Path) -> None:
    with pytest.raises(MlpressError, match="different numbers of samples: 'x' 5, 'mask' 4"):
        read(tmp_path, TWO, x=np.zeros((5, 2, 4)), mask=np.zeros((4, 3)))


def test_an_unknown_name_is_for_the_model_to_refuse(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4)), z=np.zeros(9))
    with pytest.raises(MlpressError, match="there is no input 'z'"):
        verify(network(), network(), read_samples(tmp_path, network().interface))


def test_no_samples_in_a_file_or_directory(tmp_path: Path) -> None:
    assert read(tmp_path, TWO, x=np.zeros((0, 2, 4)), mask=[1, 2, 3]) == []
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MlpressError, match=r"holds no \.npz files"):
        list(read_samples(empty, TWO))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not an archive")
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}]))
    for name in ("text.npz", "single.npz", "objects.npz"):
        with pytest.raises(MlpressError, match=rf"{name} is no \.npz file"):
            list(read_samples(tmp_path / name, TWO))
    with pytest.raises(FileNotFoundError):
        list(read_samples(tmp_path / "none.npz", TWO))
