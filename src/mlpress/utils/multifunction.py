"""Several functions in one package, which share what is equal in their weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlpress import package
from mlpress.errors import MlpressError
from mlpress.mil import Opset, Program, raised
from mlpress.package import ModelFile
from mlpress.package.proto.model_pb2 import FunctionDescription, Model
from mlpress.passes import shared
from mlpress.utils.descriptions import function_descriptions

AnyPath = str | os.PathLike[str]


class MultiFunctionDescriptor:
    """Which functions of which packages go into a new one, and what they are called there.

    Example:
        ::

            desc = MultiFunctionDescriptor()
            desc.add_function("base.mlpackage", "main", "plain")
            desc.add_function("adapted.mlpackage", "main", "adapted")
            desc.default_function_name = "plain"
            save_multifunction(desc, "both.mlpackage")
    """

    def __init__(self, model_path: AnyPath | None = None) -> None:
        """Begins with the functions of the package `model_path`, or with none."""
        self._functions: dict[str, tuple[str, str]] = {}
        self._known: dict[str, list[str]] = {}
        self._default: str | None = None
        if model_path is not None:
            self.add_model(model_path)

    @property
    def functions(self) -> Mapping[str, tuple[str, str]]:
        """Path of the package and name there, for each function by its name in the new package."""
        return dict(self._functions)

    @property
    def default_function_name(self) -> str | None:
        """The function that is used where none is asked for; has to be set before saving."""
        return self._default

    @default_function_name.setter
    def default_function_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise MlpressError(f"default_function_name is {name!r}; allowed: the name of a function")
        self._default = name

    def add_function(self, model_path: AnyPath, src_function_name: str, target_function_name: str) -> None:
        """Takes the function `src_function_name` of a package, and calls it `target_function_name`.

        Raises:
            MlpressError: The package has no such function, or there is another one of the new name.
            InvalidPackageError: There is no package, or it is damaged.
        """
        path, names = self._read(model_path)
        if src_function_name not in names:
            raise MlpressError(f"{path} has no function {src_function_name!r}; it has {names}")
        if target_function_name in self._functions:
            raise MlpressError(f"there is a function {target_function_name!r} already")
        self._functions[target_function_name] = path, src_function_name

    def add_model(self, model_path: AnyPath) -> None:
        """Takes all functions of a package under their names.

        Raises:
            MlpressError: There is a function of the same name already.
            InvalidPackageError: There is no package, or it is damaged.
        """
        path, names = self._read(model_path)
        for name in names:
            self.add_function(path, name, name)

    def remove_function(self, function_name: str) -> None:
        """Leaves a function out that was added.

        Raises:
            MlpressError: There is none of that name.
        """
        if function_name not in self._functions:
            raise MlpressError(f"there is no function {function_name!r}; there are {list(self._functions)}")
        del self._functions[function_name]

    def _read(self, model_path: AnyPath) -> tuple[str, list[str]]:
        path = os.fspath(model_path)
        if path not in self._known:
            described = package.read_spec(Path(path)).description
            self._known[path] = [function.name for function in described.functions] or ["main"]
        return path, self._known[path]


def save_multifunction(desc: MultiFunctionDescriptor, destination_path: AnyPath) -> None:
    """Writes a package of several functions; equal weights are stored once.

    Metadata is that of the package that the default function is from. The new package is for iOS 18, or
    later if one that it is made from is.

    Args:
        desc: The functions, and which of them is the default.
        destination_path: Where to; what was there is replaced in one step.

    Raises:
        MlpressError: There is no default function, or no such function.
        LegalityError: A function has an operator that iOS 18 replaced by another.
        UnsupportedModelError: A package is no mlprogram.
        OSError: Writing failed.
    """
    default = desc.default_function_name
    if default is None or default not in desc.functions:
        raise MlpressError(
            f"default_function_name is {default!r}; set it to one of {list(desc.functions)} before saving"
        )
    files = {path: package.load(Path(path)) for path, _ in desc.functions.values()}
    functions = {
        name: raised(files[path].program, Opset.CoreML8).functions[source]
        for name, (path, source) in desc.functions.items()
    }
    described = [
        _description(files[path].spec, source, name) for name, (path, source) in desc.functions.items()
    ]
    spec = Model()
    spec.specificationVersion = max(file.spec.specificationVersion for file in files.values())
    spec.description.metadata.CopyFrom(files[desc.functions[default][0]].spec.description.metadata)
    spec.description.functions.extend(described)
    spec.description.defaultFunctionName = default
    package.save(ModelFile(spec, shared(Program(functions))), Path(destination_path))


def _description(spec: Model, function_name: str, new_name: str) -> FunctionDescription:
    renamed = FunctionDescription()
    renamed.CopyFrom(function_descriptions(spec)[function_name])
    renamed.name = new_name
    return renamed
