"""mlpress makes Core ML models small, and proves on any machine that they still work.

Names are imported when first used, so that ``import mlpress`` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlpress.version import __version__

if TYPE_CHECKING:
    from mlpress import models, optimize
    from mlpress.api import Compressed, compress, decompress
    from mlpress.models import MLModel
    from mlpress.passes import Report
    from mlpress.recipe import Palettize, Prune, Quantize, Recipe, Step
    from mlpress.verification import Verification, verify

_HOMES = {
    "Compressed": "mlpress.api",
    "MLModel": "mlpress.models",
    "Palettize": "mlpress.recipe",
    "Prune": "mlpress.recipe",
    "Quantize": "mlpress.recipe",
    "Recipe": "mlpress.recipe",
    "Report": "mlpress.passes",
    "Step": "mlpress.recipe",
    "Verification": "mlpress.verification",
    "compress": "mlpress.api",
    "decompress": "mlpress.api",
    "verify": "mlpress.verification",
}
_SUBPACKAGES = ("models", "optimize")

__all__ = [
    "Compressed",
    "MLModel",
    "Palettize",
    "Prune",
    "Quantize",
    "Recipe",
    "Report",
    "Step",
    "Verification",
    "__version__",
    "compress",
    "decompress",
    "models",
    "optimize",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"mlpress.{name}")
    raise AttributeError(f"module 'mlpress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
