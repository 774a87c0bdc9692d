"""From a PyTorch model to one graph of functional ATen operators: the first half of conversion.

    captured = capture(model, (torch.zeros(1, 3, 224, 224),))

`capture` takes modules, traced and scripted modules, and exported programs.
"""

from __future__ import annotations

from mlpress.converter.capture.captured import Captured, Dimension, Input, Output, State
from mlpress.converter.capture.entry import capture
from mlpress.converter.capture.errors import CaptureError, DataDependentError, SpecializedDimensionError
from mlpress.converter.capture.source import Source, source_of

__all__ = [
    "CaptureError",
    "Captured",
    "DataDependentError",
    "Dimension",
    "Input",
    "Output",
    "Source",
    "SpecializedDimensionError",
    "State",
    "capture",
    "source_of",
]
