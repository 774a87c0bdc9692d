from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """Makes writing beyond this many bytes fail, as a full disk does."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 1 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    yield size
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
