from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.oracle.models import build

Built = Callable[[str], Any]


@pytest.fixture(scope="session")
def built() -> Built:
    """The model of every kind of weight, built once for each deployment target."""
    return cache(build)
