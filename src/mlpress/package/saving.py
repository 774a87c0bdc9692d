"""Writing packages and single model files, each replaced in one step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from google.protobuf.message import EncodeError, Message

from mlpress.errors import InvalidPackageError, UnsupportedModelError
from mlpress.package.atomic import replace_file, replacing_directory
from mlpress.package.attachments import Attachment, write_attachment
from mlpress.package.blob_writer import BlobLayout
from mlpress.package.manifest import DATA, MODEL_ITEM, WEIGHT_FILE, WEIGHTS_ITEM, is_package, write_manifest
from mlpress.package.model_file import ModelFile, build_spec
from mlpress.package.proto.model_pb2 import Model

PACKAGE: Final = ".mlpackage"
SINGLE_FILE: Final = ".mlmodel"


def save(model: ModelFile, path: Path) -> Path:
    """Writes `model`; what was at `path` is replaced in one step, or stays as it was if anything fails.

    The model may have been loaded from `path`.

    Args:
        model: Left as it is.
        path: A package (`.mlpackage`, added when there is no extension), or a single file (`.mlmodel`) for a
            model whose constants all fit into the program itself.

    Returns:
        The path with its extension.

    Raises:
        InvalidPackageError: The extension is another one, or `path` exists and isn't what it would become.
        UnsupportedModelError: The model has weights and `path` is a single file.
        LegalityError: An opset can't express the encoding of a constant.
        OSError: Writing failed, for example on a full disk.
    """
    path = path if path.suffix else path.with_name(path.name + PACKAGE)
    check_destination(path)
    spec, layout = build_spec(model)
    if path.suffix == PACKAGE:
        write_package(path, spec, lambda folder: _write_weights(layout, folder), model.attachments)
    elif len(layout):
        raise UnsupportedModelError(
            f"the model keeps {len(layout)} weights in a file; save it as {PACKAGE}, not {path.suffix}"
        )
    else:
        replace_file(path, serialize(spec))
    return path


def save_message(spec: Model, path: Path, weights: Path | None) -> None:
    """Writes a model message as it is, of any model type.

    Args:
        spec: The message.
        path: A package or a single file, replaced in one step.
        weights: Directory of blob files to copy into the package.

    Raises:
        InvalidPackageError: The extension is another one, or `path` exists and isn't what it would become.
        OSError: Reading or writing failed.
    """
    check_destination(path)
    if path.suffix == PACKAGE:
        write_package(path, spec, lambda folder: _copy_weights(weights, folder))
    else:
        replace_file(path, serialize(spec))


def check_destination(path: Path) -> None:
    """Refuses to write to `path` unless it is new, or holds what it would hold afterwards.

    Raises:
        InvalidPackageError: See above; nothing was changed.
    """
    if path.suffix not in (PACKAGE, SINGLE_FILE):
        raise InvalidPackageError(f"{path} has extension {path.suffix!r}; allowed: {PACKAGE}, {SINGLE_FILE}")
    if not path.resolve().parent.is_dir():
        raise InvalidPackageError(f"{path} can't be written: {path.parent} is no directory")
    if path.suffix == SINGLE_FILE and path.is_dir():
        raise InvalidPackageError(f"{path} is a directory and won't be replaced by a file")
    if path.suffix == PACKAGE and path.exists() and not is_package(path):
        if not path.is_dir():
            raise InvalidPackageError(f"{path} is a file and won't be replaced by a package")
        if any(path.iterdir()):
            raise InvalidPackageError(
                f"{path} is a directory of other files, no package, and won't be replaced"
            )


def write_package(
    path: Path,
    spec: Message,
    write_weights: Callable[[Path], None],
    attachments: tuple[Attachment, ...] = (),
) -> None:
    """Writes a package with the model message `spec`; `write_weights` fills the directory of weights."""
    with replacing_directory(path) as package:
        weights = package / DATA / WEIGHTS_ITEM.path
        weights.mkdir(parents=True)
        write_weights(weights)
        (package / DATA / MODEL_ITEM.path).write_bytes(serialize(spec))
        for attachment in attachments:
            write_attachment(package, attachment)
        write_manifest(package, tuple(attachment.item for attachment in attachments))


def serialize(spec: Message) -> bytes:
    """Serializes a message, equal ones to equal bytes.

    Raises:
        UnsupportedModelError: The message is above protobuf's limit of 2 GiB.
    """
    try:
        return spec.SerializeToString(deterministic=True)
    except EncodeError as error:
        raise UnsupportedModelError(f"the program can't be serialized: {error}") from error


def _copy_weights(source: Path | None, folder: Path) -> None:
    if source is not None:
        shutil.copytree(source, folder, dirs_exist_ok=True)


def _write_weights(layout: BlobLayout, folder: Path) -> None:
    if len(layout):
        with (folder / WEIGHT_FILE).open("wb") as file:
            layout.write(file)
