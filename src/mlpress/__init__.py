"""mlpress makes Core ML models small, and proves on any machine that they still work.

Names are imported when first used, so that ``import mlpress`` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlpress.version import __version__

if TYPE_CHECKING:
    from mlpress import models, optimize, proto, utils
    from mlpress.api import Compressed, compress, decompress, quantize_activations
    from mlpress.converter import convert, transform
    from mlpress.converter.features import (
        ClassifierConfig,
        EnumeratedShapes,
        ImageType,
        RangeDim,
        Shape,
        StateType,
        TensorType,
    )
    from mlpress.converter.pass_pipeline import PassPipeline
    from mlpress.converter.targets import colorlayout, precision, target
    from mlpress.models import ComputeUnit, MLModel, ReshapeFrequency, SpecializationStrategy
    from mlpress.passes import Report
    from mlpress.recipe import Palettize, Prune, Quantize, Recipe, Step
    from mlpress.runtime import RunOptions
    from mlpress.training import Trainable, fine_tune, trainable
    from mlpress.verification import Verification, verify

_HOMES = {
    "ClassifierConfig": "mlpress.converter.features",
    "Compressed": "mlpress.api",
    "ComputeUnit": "mlpress.models",
    "EnumeratedShapes": "mlpress.converter.features",
    "ImageType": "mlpress.converter.features",
    "MLModel": "mlpress.models",
    "Palettize": "mlpress.recipe",
    "PassPipeline": "mlpress.converter.pass_pipeline",
    "Prune": "mlpress.recipe",
    "Quantize": "mlpress.recipe",
    "RangeDim": "mlpress.converter.features",
    "Recipe": "mlpress.recipe",
    "Report": "mlpress.passes",
    "ReshapeFrequency": "mlpress.models",
    "RunOptions": "mlpress.runtime",
    "Shape": "mlpress.converter.features",
    "SpecializationStrategy": "mlpress.models",
    "StateType": "mlpress.converter.features",
    "Step": "mlpress.recipe",
    "TensorType": "mlpress.converter.features",
    "Trainable": "mlpress.training",
    "Verification": "mlpress.verification",
    "colorlayout": "mlpress.converter.targets",
    "compress": "mlpress.api",
    "convert": "mlpress.converter.api",
    "decompress": "mlpress.api",
    "fine_tune": "mlpress.training",
    "precision": "mlpress.converter.targets",
    "quantize_activations": "mlpress.api",
    "target": "mlpress.converter.targets",
    "trainable": "mlpress.training",
    "transform": "mlpress.converter",
    "verify": "mlpress.verification",
}
_SUBPACKAGES = ("converter", "models", "optimize", "proto", "utils")

__all__ = [
    "ClassifierConfig",
    "Compressed",
    "ComputeUnit",
    "EnumeratedShapes",
    "ImageType",
    "MLModel",
    "Palettize",
    "PassPipeline",
    "Prune",
    "Quantize",
    "RangeDim",
    "Recipe",
    "Report",
    "ReshapeFrequency",
    "RunOptions",
    "Shape",
    "SpecializationStrategy",
    "StateType",
    "Step",
    "TensorType",
    "Trainable",
    "Verification",
    "__version__",
    "colorlayout",
    "compress",
    "convert",
    "converter",
    "decompress",
    "fine_tune",
    "models",
    "optimize",
    "precision",
    "proto",
    "quantize_activations",
    "target",
    "trainable",
    "transform",
    "utils",
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
