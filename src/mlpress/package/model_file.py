"""A Core ML model as loaded: everything around the program, and the program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from mlpress.errors import InvalidPackageError, UnsupportedModelError
from mlpress.mil import Program, canonical_program
from mlpress.package.attachments import Attachment, read_attachment
from mlpress.package.blob_writer import BlobLayout
from mlpress.package.manifest import DATA, WEIGHTS, WEIGHTS_ITEM, read_manifest
from mlpress.package.mapped import map_file
from mlpress.package.program_reader import read_program
from mlpress.package.program_writer import write_program
from mlpress.package.proto.model_pb2 import Model
from mlpress.package.value_reader import ValueReader
from mlpress.package.value_writer import ValueWriter

VERSIONS: Final = range(6, 11)
"""Specification versions that hold an mlprogram and are known: iOS 15 to iOS 26."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model came from.

    Attributes:
        spec: The model file as it was, so that the offsets in it fit `weights`.
        weights: Directory of its blob files, if there is one.
        package: The package directory, None for a single file or a model that was handed over in memory.
    """

    spec: bytes | memoryview
    weights: Path | None
    package: Path | None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model in parts.

    Attributes:
        spec: The model message without its program: version, descriptions, metadata, unknown fields.
        program: The program; its weights lie in mapped files.
        attachments: Other items of the package.
        source: What it was loaded from; None once the program is another one.
    """

    spec: Model
    program: Program
    attachments: tuple[Attachment, ...] = ()
    source: Source | None = None

    def copy(self) -> ModelFile:
        """Returns a model with the same program and its own copy of the message."""
        spec = Model()
        spec.CopyFrom(self.spec)
        return replace(self, spec=spec)

    def with_program(self, program: Program) -> ModelFile:
        """Returns a model with another program and its own copy of the message."""
        return replace(self.copy(), program=program, source=None)


def load(path: Path) -> ModelFile:
    """Loads a package directory or a single model file; weights are mapped, not read.

    Raises:
        InvalidPackageError: The package, its manifest, its program or a weight file is missing or damaged.
        UnsupportedModelError: The model is no mlprogram, or newer than this version of mlpress.
    """
    file = path
    attachments: tuple[Attachment, ...] = ()
    if path.is_dir():
        manifest = read_manifest(path)
        file = path / DATA / manifest.root.path
        ours = (file, file.parent / WEIGHTS)
        others = (item for item in manifest.others if path / DATA / item.path not in ours)
        attachments = tuple(read_attachment(path, item, ours=ours) for item in others)
    weights = file.parent / WEIGHTS
    package = path if path.is_dir() else None
    source = Source(_read(file), weights if package and weights.is_dir() else None, package)
    return replace(_from_source(source), attachments=attachments)


def from_spec(spec: bytes, weights: Path | None) -> ModelFile:
    """Loads a serialized model message whose blob files lie in the directory `weights`.

    Raises:
        InvalidPackageError: The message, its program or a weight file is missing or damaged.
        UnsupportedModelError: The model is no mlprogram, or newer than this version of mlpress.
    """
    return _from_source(Source(spec, weights, None))


def read_spec(path: Path) -> Model:
    """Reads the model message of a package or a single file, of any model type, without its weights.

    Raises:
        InvalidPackageError: There is no model, or it is damaged.
    """
    if path.is_dir():
        path = path / DATA / read_manifest(path).root.path
    return parse_spec(_read(path))


def weights_directory(package: Path) -> Path:
    """Returns the directory of blob files of a package that was saved here."""
    return package / DATA / WEIGHTS_ITEM.path


def parse_spec(data: bytes | memoryview) -> Model:
    """Parses a serialized model message.

    Raises:
        InvalidPackageError: The bytes are no model message.
    """
    try:
        return Model.FromString(bytes(data))
    except (DecodeError, UnicodeDecodeError) as error:  # the latter from protobuf's Python runtime
        raise InvalidPackageError(f"not a Core ML model: {error}") from error


def original_spec(model: ModelFile, source: Source) -> Model:
    """Returns the message that `model` was loaded from, with everything but the program as it is now."""
    spec = model.copy().spec
    spec.mlProgram.CopyFrom(parse_spec(source.spec).mlProgram)
    return spec


def build_spec(model: ModelFile) -> tuple[Model, BlobLayout]:
    """Returns the message to save and the blob file that its offsets refer to; no weight is read.

    The specification version is raised where an opset of the program asks for it.

    Raises:
        LegalityError: An opset can't express the encoding of a constant.
        InvalidProgramError: The program contradicts itself.
    """
    spec = model.copy().spec
    needed = (function.opset.specification_version for function in model.program.functions.values())
    spec.specificationVersion = max(spec.specificationVersion, *needed, VERSIONS[0])
    values = ValueWriter(spec.specificationVersion)
    write_program(canonical_program(model.program), spec.mlProgram, values)
    return spec, values.layout


def _from_source(source: Source) -> ModelFile:
    spec = parse_spec(source.spec)
    _check_supported(spec)
    program = read_program(spec.mlProgram, ValueReader(source.weights))
    spec.ClearField("mlProgram")
    return ModelFile(spec, program, source=source)


def _check_supported(spec: Model) -> None:
    kind = spec.WhichOneof("Type")
    if kind != "mlProgram":
        raise UnsupportedModelError(
            f"the model is {f'a {kind}' if kind else 'of no known type'}; supported: mlProgram "
            f"(convert it with a deployment target of iOS 15 or later)"
        )
    if spec.specificationVersion not in VERSIONS:
        raise UnsupportedModelError(
            f"the model has specification version {spec.specificationVersion}; "
            f"supported for mlprograms: {VERSIONS[0]} to {VERSIONS[-1]}"
        )


def _read(file: Path) -> memoryview:
    try:
        return map_file(file)
    except OSError as error:
        raise InvalidPackageError(f"cannot open the model {file}: {error.strerror}") from error
