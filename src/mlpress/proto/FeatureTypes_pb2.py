"""Messages that say what an input or output is."""

from mlpress.package.proto.model_pb2 import (
    ArrayFeatureType,
    DictionaryFeatureType,
    DoubleFeatureType,
    FeatureType,
    ImageFeatureType,
    Int64FeatureType,
    SequenceFeatureType,
    SizeRange,
    StateFeatureType,
    StringFeatureType,
)

__all__ = [
    "ArrayFeatureType",
    "DictionaryFeatureType",
    "DoubleFeatureType",
    "FeatureType",
    "ImageFeatureType",
    "Int64FeatureType",
    "SequenceFeatureType",
    "SizeRange",
    "StateFeatureType",
    "StringFeatureType",
]
