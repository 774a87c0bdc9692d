"""The messages of a model file under coremltools' module names, for code that edits specifications.

Messages of model types that mlpress does not handle are not there.
"""

from mlpress.proto import FeatureTypes_pb2, MIL_pb2, Model_pb2

__all__ = ["FeatureTypes_pb2", "MIL_pb2", "Model_pb2"]
