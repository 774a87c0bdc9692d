"""`MLModel` and `MLState` where scripts for coremltools look for them."""

from mlpress.models.mlmodel import MLModel
from mlpress.models.prediction import MLState

__all__ = ["MLModel", "MLState"]
