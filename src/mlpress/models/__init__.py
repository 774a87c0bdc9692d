"""Models: what users load, look at, hand over and save."""

from mlpress.models import model, utils
from mlpress.models.compute_unit import ComputeUnit
from mlpress.models.hints import ReshapeFrequency, SpecializationStrategy
from mlpress.models.mlmodel import MLModel, ModelLike, as_mlmodel
from mlpress.models.prediction import Interface, MLState

__all__ = [
    "ComputeUnit",
    "Interface",
    "MLModel",
    "MLState",
    "ModelLike",
    "ReshapeFrequency",
    "SpecializationStrategy",
    "as_mlmodel",
    "model",
    "utils",
]
