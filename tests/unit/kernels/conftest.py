"""Runs each kernel test once for every instruction set that the machine has, and for the NumPy references."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from mlpress.kernels import _backend

LEVELS = ("baseline", "avx2", "avx512")


def _variants() -> list[str]:
    native = _backend.native
    return ["reference"] + ([] if native is None else list(LEVELS[: native.detected_isa() + 1]))


@pytest.fixture(params=_variants())
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Makes the public kernels of every module run on one variant."""
    import mlpress.kernels

    native = _backend.native
    if request.param == "reference":
        for module in vars(mlpress.kernels).values():
            if isinstance(module, ModuleType) and hasattr(module, "native"):
                monkeypatch.setattr(module, "native", None)
        yield request.param
    else:
        assert native is not None and native.use_isa(LEVELS.index(request.param))
        yield request.param
        native.use_isa(native.detected_isa())
