"""What is done with whole packages, under the names of coremltools' `utils`.

Names are imported when first used; coremltools has all of them in `models.utils`, too, and so has mlpress.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlpress.models.utils import load_spec, save_spec

if TYPE_CHECKING:
    from mlpress.utils.bisecting import bisect_model
    from mlpress.utils.element_types import change_input_output_tensor_type
    from mlpress.utils.fixed_shapes import materialize_dynamic_shape_mlmodel
    from mlpress.utils.multifunction import MultiFunctionDescriptor, save_multifunction
    from mlpress.utils.randomizing import randomize_weights
    from mlpress.utils.renaming import rename_feature

_HOMES = {
    "MultiFunctionDescriptor": "multifunction",
    "bisect_model": "bisecting",
    "change_input_output_tensor_type": "element_types",
    "materialize_dynamic_shape_mlmodel": "fixed_shapes",
    "randomize_weights": "randomizing",
    "rename_feature": "renaming",
    "save_multifunction": "multifunction",
}

__all__ = [
    "MultiFunctionDescriptor",
    "bisect_model",
    "change_input_output_tensor_type",
    "load_spec",
    "materialize_dynamic_shape_mlmodel",
    "randomize_weights",
    "rename_feature",
    "save_multifunction",
    "save_spec",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"mlpress.utils.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mlpress.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
