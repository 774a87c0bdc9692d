"""Changes of a program on the way, under coremltools' names."""

from mlpress.converter.targets import FP16ComputePrecision

__all__ = ["FP16ComputePrecision"]
