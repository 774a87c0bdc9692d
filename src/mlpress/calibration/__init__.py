"""Measures what the values inside a model lie between, over samples that stream through it (needs torch)."""

from mlpress.calibration.collect import Progress, Samples, measure
from mlpress.calibration.estimators import Estimator, MeanSquaredError, MinMax, Percentile

__all__ = ["Estimator", "MeanSquaredError", "MinMax", "Percentile", "Progress", "Samples", "measure"]
