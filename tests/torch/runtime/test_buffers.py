"""Memory of large images is used again, and only when nobody can see it any more."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from mlpress.runtime import buffers


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(buffers, "LARGE", 100)
    buffers._spare.clear()
    yield
    buffers._spare.clear()


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (2, 16, 5, 7)])
def test_images_have_channels_last_and_begin_with_a_line_of_the_caches(
    shape: tuple[int, int, int, int],
) -> None:
    image = buffers.empty_image(*shape)
    assert image.shape == shape and image.dtype == torch.float32
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert image.data_ptr() % 64 == 0


def test_memory_is_used_again_when_the_image_and_its_views_are_gone() -> None:
    image = buffers.empty_image(1, 16, 5, 5)
    address, view = image.data_ptr(), image[:, :4].numpy()
    del image
    gc.collect()
    assert buffers.empty_image(1, 16, 5, 5).data_ptr() != address
    del view
    gc.collect()
    again = [buffers.empty_image(1, 16, 5, 5) for _ in range(3)]
    assert address in [image.data_ptr() for image in again]


def test_little_is_kept() -> None:
    images = [buffers.empty_image(1, 16, 5, size) for size in range(5, 15)]
    del images
    gc.collect()
    assert len(buffers._spare) <= 4
