"""Tensors in mapped files: kept out of memory, equal to what went in, safe from several threads."""

from __future__ import annotations

import errno
import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlpress import bits
from mlpress.bits import Spool, Tensor
from mlpress.bits import spool as spool_module
from mlpress.package import release
from mlpress.package.mapped import is_mapped, map_file
from tests.unit.package.samples import ramp, resident_file_bytes

LARGE = 40_000
"""Elements of a float16 tensor that is large enough to leave memory."""


def numbered(seed: int, count: int = LARGE) -> Tensor:
    return Tensor.from_numpy(np.random.default_rng(seed).standard_normal(count).astype(np.float16))


def test_a_large_tensor_moves_to_the_file_and_a_small_one_stays() -> None:
    spool = Spool()
    large, small = numbered(0), ramp((100,))

    stored = spool.store(large)

    assert stored == large
    assert is_mapped(stored)
    assert not is_mapped(large)
    assert spool.store(small) is small


def test_tensors_outlive_the_spool() -> None:
    stored = [Spool().store(numbered(seed)) for seed in range(3)]

    assert stored == [numbered(seed) for seed in range(3)]


def test_nothing_is_left_in_the_directory(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    stored = spool.store(numbered(1))

    if sys.platform != "win32":
        assert list(tmp_path.iterdir()) == []
    del spool, stored
    assert list(tmp_path.iterdir()) == []


def test_a_spool_grows_beyond_its_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_SEGMENT", mmap.ALLOCATIONGRANULARITY)
    spool = Spool()
    tensors = [numbered(seed, LARGE + 1000 * seed) for seed in range(8)]

    stored = [spool.store(tensor) for tensor in tensors]

    assert stored == tensors


def test_threads_may_store_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_SEGMENT", 300_000)
    spool = Spool()
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda seed: spool.store(numbered(seed)), range(40)))

    assert stored == [numbered(seed) for seed in range(40)]


def test_a_full_disk_is_an_error_and_the_rest_stays_readable(
    file_size_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_SEGMENT", mmap.ALLOCATIONGRANULARITY)
    spool = Spool()
    first = spool.store(numbered(0, file_size_limit // 8))

    with pytest.raises(OSError) as caught:
        for seed in range(10):
            spool.store(numbered(seed, file_size_limit // 4))

    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert first == numbered(0, file_size_limit // 8)


def test_a_released_tensor_is_read_again() -> None:
    stored = Spool().store(numbered(5))

    release(stored)
    release(stored)

    assert stored == numbered(5)


def test_releasing_a_tensor_in_memory_does_nothing() -> None:
    tensor = ramp((5,))
    release(tensor)
    release(Tensor(bits.FLOAT16, (0,), b""))

    assert tensor == ramp((5,))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_release_gives_memory_back(tmp_path: Path) -> None:
    size = 64 << 20
    (tmp_path / "large").write_bytes(bytes(size))
    mapped = Tensor(bits.UINT8, (size,), map_file(tmp_path / "large"))
    before = resident_file_bytes()
    mapped.numpy().sum()
    read = resident_file_bytes()
    release(mapped)

    assert read - before > size // 2
    assert resident_file_bytes() - before < size // 8
