"""The model message and what describes it."""

from mlpress.package.proto.model_pb2 import (
    FeatureDescription,
    FunctionDescription,
    Metadata,
    Model,
    ModelDescription,
)

__all__ = ["FeatureDescription", "FunctionDescription", "Metadata", "Model", "ModelDescription"]
