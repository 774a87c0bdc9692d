"""Models: what users load, look at, hand over and save."""

from mlpress.models import utils
from mlpress.models.compute_unit import ComputeUnit
from mlpress.models.mlmodel import MLModel, ModelLike, as_mlmodel

__all__ = ["ComputeUnit", "MLModel", "ModelLike", "as_mlmodel", "utils"]
