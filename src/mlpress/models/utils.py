"""Reading and writing the specification of a model of any type.

As in coremltools, what `mlpress.utils` has is here, too.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from mlpress.errors import MlpressError
from mlpress.mil import Opset
from mlpress.package import parse_spec, read_spec, save_message
from mlpress.package.proto.model_pb2 import Model


def load_spec(model_path: str | os.PathLike[str]) -> Model:
    """Reads the specification of a package or of a single model file.

    Unlike `MLModel`, this takes every type of Core ML model; those other than mlprograms are opaque.

    Args:
        model_path: A `.mlpackage` directory or a `.mlmodel` file.

    Returns:
        The protobuf message.

    Raises:
        InvalidPackageError: There is no model, or it is damaged.
    """
    return read_spec(Path(model_path))


def save_spec(
    spec: Message,
    filename: str | os.PathLike[str],
    auto_set_specification_version: bool = False,
    weights_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Writes a specification to a package or a single file; what was there is replaced in one step.

    Args:
        spec: A model message, from here or from coremltools.
        filename: Ends in `.mlpackage`, or in `.mlmodel`, which is added when there is no extension.
        auto_set_specification_version: Writes the lowest version that the opsets of the program allow.
        weights_dir: Directory of the blob files that `spec` refers to, copied into the package. Needed for an
            mlprogram in a package; may be empty.

    Raises:
        InvalidPackageError: The extension is another one, or `filename` exists and isn't what it would
            become.
        MlpressError: An mlprogram goes into a package, and no `weights_dir` is given.
        OSError: Writing failed.
    """
    message = parse_spec(spec.SerializeToString())
    path = Path(filename)
    path = path if path.suffix else path.with_name(f"{path.name}.mlmodel")
    is_program = message.WhichOneof("Type") == "mlProgram"
    if is_program and path.suffix == ".mlpackage" and weights_dir is None:
        raise MlpressError("a package of an mlprogram needs the directory of its weights: give weights_dir")
    if is_program and auto_set_specification_version:
        message.specificationVersion = _lowest_version(message)
    save_message(message, path, None if weights_dir is None else Path(weights_dir))


def _lowest_version(message: Model) -> int:
    opsets = (Opset.named(function.opset) for function in message.mlProgram.functions.values())
    return max((opset.specification_version for opset in opsets), default=message.specificationVersion)


def __getattr__(name: str) -> Any:
    found = importlib.import_module("mlpress.utils")  # stands above this package; loaded when asked for
    if name in found.__all__:
        return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
