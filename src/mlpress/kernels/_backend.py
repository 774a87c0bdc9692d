"""Which kernels run: the compiled module, or the NumPy references beside it."""

from __future__ import annotations

import importlib
import os
from typing import Any

CHOICES = ("native", "reference")


def _choose(setting: str | None) -> Any | None:
    """Returns the compiled module, or None for the NumPy references.

    Args:
        setting: Value of the environment variable ``MLPRESS_KERNELS``. Unset means native where it was built.

    Raises:
        ValueError: The setting is not one of ``CHOICES``.
        ImportError: The setting asks for the native module, which was not built.
    """
    if setting is not None and setting not in CHOICES:
        raise ValueError(f"MLPRESS_KERNELS is {setting!r}; allowed values are {', '.join(CHOICES)}")
    if setting == "reference":
        return None
    try:
        return importlib.import_module("mlpress.kernels._native")
    except ImportError:
        if setting == "native":
            raise
        return None


native: Any | None = _choose(os.environ.get("MLPRESS_KERNELS"))
backend: str = "reference" if native is None else "native"
