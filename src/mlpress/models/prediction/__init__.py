"""What a model takes and gives, and the way from users' values to a run of its program and back."""

from mlpress.models.prediction.features import (
    ArrayFeature,
    Color,
    DictionaryFeature,
    Feature,
    ImageFeature,
    NumberFeature,
    StringFeature,
)
from mlpress.models.prediction.interface import Interface, read_interface
from mlpress.models.prediction.predictor import Predictor
from mlpress.models.prediction.running import make_module, make_runner
from mlpress.models.prediction.shapes import Enumerated, Fixed, Ranged, Shapes
from mlpress.models.prediction.state import MLState

__all__ = [
    "ArrayFeature",
    "Color",
    "DictionaryFeature",
    "Enumerated",
    "Feature",
    "Fixed",
    "ImageFeature",
    "Interface",
    "MLState",
    "NumberFeature",
    "Predictor",
    "Ranged",
    "Shapes",
    "StringFeature",
    "make_module",
    "make_runner",
    "read_interface",
]
