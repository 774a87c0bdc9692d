"""Measures a model on samples that stream through it: values inside, and inputs of weights (needs torch)."""

from mlpress.calibration.collect import measure, values_inside
from mlpress.calibration.estimators import Estimator, MeanSquaredError, MinMax, Percentile
from mlpress.calibration.gather import gather
from mlpress.calibration.samples import Progress, Samples, require_samples

__all__ = [
    "Estimator",
    "MeanSquaredError",
    "MinMax",
    "Percentile",
    "Progress",
    "Samples",
    "gather",
    "measure",
    "require_samples",
    "values_inside",
]
