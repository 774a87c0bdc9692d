"""Core ML packages: the only place that knows protobuf, JSON and blob files."""

from mlpress.package.mapped import release
from mlpress.package.model_file import (
    ModelFile,
    Source,
    build_spec,
    from_spec,
    load,
    original_spec,
    parse_spec,
    read_spec,
    weights_directory,
)
from mlpress.package.saving import save, save_message

__all__ = [
    "ModelFile",
    "Source",
    "build_spec",
    "from_spec",
    "load",
    "original_spec",
    "parse_spec",
    "read_spec",
    "release",
    "save",
    "save_message",
    "weights_directory",
]
