"""Encodings of parameters as the ``_COREML_/...`` buffers of modules, in both directions."""

from mlpress.nn.metadata.buffers import Kind, Metadata, mark_version
from mlpress.nn.metadata.modules import encodings, fields_of, load, store
from mlpress.nn.metadata.read import encoding_of
from mlpress.nn.metadata.write import metadata_of

__all__ = [
    "Kind",
    "Metadata",
    "encoding_of",
    "encodings",
    "fields_of",
    "load",
    "mark_version",
    "metadata_of",
    "store",
]
