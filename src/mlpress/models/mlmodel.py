"""`MLModel`: a Core ML mlprogram with its descriptions and metadata."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

from mlpress import package
from mlpress.errors import MlpressError
from mlpress.mil import Program
from mlpress.models.compute_unit import ComputeUnit
from mlpress.models.features import FeatureDescriptions
from mlpress.models.prediction import (
    Interface,
    MLState,
    Predictor,
    make_module,
    make_runner,
    read_interface,
)
from mlpress.package import ModelFile
from mlpress.package.proto.model_pb2 import FunctionDescription, Metadata, Model, ModelDescription

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from mlpress.converter.passes.precision import PrecisionReport
    from mlpress.passes import Report
    from mlpress.runtime import RunOptions


@runtime_checkable
class Specification(Protocol):
    """A protobuf message of a model, from here or from coremltools."""

    def SerializeToString(self) -> bytes: ...


@runtime_checkable
class ForeignModel(Protocol):
    """A model object of another library that can state its specification, such as coremltools' `MLModel`."""

    weights_dir: str | None

    def get_spec(self) -> Any: ...


class MLModel:
    """A Core ML mlprogram.

    Loading maps the weights and reads none of them. The program inside is never changed in place: compressing
    a model gives another one.

    Attributes:
        compute_unit: Kept with the model; where it runs here is said by `run_options`.
        run_options: How predictions are computed; None for float32 arithmetic on the CPU.
        function_name: The function in use; None for the only function of a model without a choice.
        optimization_hints: Kept as given.
        is_temp_package: Whether the package is removed when the interpreter ends.
        compression_report: What a function of `mlpress.optimize.coreml` that returned this model did to each
            weight.
        conversion_report: What `mlpress.convert`, if it made this model, left in float32, and why.
    """

    def __init__(
        self,
        model: ModelLike,
        is_temp_package: bool = False,
        mil_program: Program | None = None,
        skip_model_load: bool = False,
        compute_units: ComputeUnit = ComputeUnit.ALL,
        weights_dir: str | os.PathLike[str] | None = None,
        function_name: str | None = None,
        optimization_hints: Mapping[str, Any] | None = None,
        *,
        run_options: RunOptions | None = None,
    ) -> None:
        """Loads a model.

        Args:
            model: Path of a `.mlpackage` or `.mlmodel`, a specification message, or a model object (ours or
                coremltools').
            is_temp_package: Removes the package at `model`, a path, when the interpreter ends.
            mil_program: Program to use in place of the one in `model`.
            skip_model_load: Accepted; nothing is compiled either way.
            compute_units: Kept as `compute_unit`.
            weights_dir: Directory of the blob files, for a `model` that is a specification message with
                weights.
            function_name: Function to use; the default function of the model if not given.
            optimization_hints: Kept.
            run_options: How predictions are computed: precision, device, memory; see
                `mlpress.runtime.RunOptions`.

        Raises:
            InvalidPackageError: The model or its weights are missing or damaged.
            UnsupportedModelError: The model is no mlprogram, or newer than this version of mlpress.
            MlpressError: The model has no function `function_name`.
            TypeError: An argument has the wrong type.
        """
        file = _load(model, weights_dir)
        self._file = file if mil_program is None else file.with_program(mil_program)
        self._materialized: Path | None = None
        self.compute_unit = ComputeUnit.of(compute_units)
        self.optimization_hints = None if optimization_hints is None else dict(optimization_hints)
        self.function_name = self._checked_function(function_name)
        self.run_options = run_options
        self._predictors: dict[tuple[str, RunOptions | None], Predictor] = {}
        self.compression_report: Report | None = None
        self.conversion_report: PrecisionReport | None = None
        self.is_temp_package = is_temp_package
        if is_temp_package and isinstance(model, str | os.PathLike) and _expanded(model).is_dir():
            atexit.register(shutil.rmtree, _expanded(model), ignore_errors=True)

    @property
    def program(self) -> Program:
        """The program; not to be changed in place."""
        return self._file.program

    def with_program(self, program: Program) -> MLModel:
        """Returns a model that has `program`, and a copy of everything else."""
        return self.with_parts(self._file.with_program(program))

    @property
    def parts(self) -> ModelFile:
        """The message, the program and what else is in the package; not to be changed in place."""
        return self._file

    def with_parts(self, parts: ModelFile) -> MLModel:
        """Returns a model made of other parts, which is used as this one is."""
        return MLModel(
            parts,
            compute_units=self.compute_unit,
            function_name=self.function_name,
            optimization_hints=self.optimization_hints,
            run_options=self.run_options,
        )

    @property
    def predictor(self) -> Predictor:
        """What predicts with the function and the options in use; ready to run from its first use on."""
        function, options = key = self._function(), self.run_options
        if function not in self.program.functions:
            raise MlpressError(
                f"the model has no function {function!r}; it has {list(self.program.functions)}: "
                f"choose one by function_name="
            )
        if key not in self._predictors:
            program = self.program
            made = Predictor(self.interface, lambda: make_runner(program, function, options))
            self._predictors.setdefault(key, made)  # the first one, if another thread was faster
        return self._predictors[key]

    @overload
    def predict(self, data: Mapping[str, Any], state: MLState | None = None) -> dict[str, Any]: ...

    @overload
    def predict(self, data: Sequence[Mapping[str, Any]], state: None = None) -> list[dict[str, Any]]: ...

    def predict(
        self, data: Mapping[str, Any] | Sequence[Mapping[str, Any]], state: MLState | None = None
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Runs the model, on any machine that has PyTorch. Weights are decoded when this is first called.

        Args:
            data: Values of the inputs by name, or a list of such dictionaries; nothing in it is changed. A
                value is an array, a tensor, a list or a number, of a shape that the model takes, or, where it
                takes an image, an image of pillow of its size and mode. Floats are rounded to the model's
                element type; integers must not change. Optional inputs may be left out.
            state: What the model remembers, from `make_state`; it is changed. For a model with states.

        Returns:
            The outputs by name, or a list of such dictionaries: arrays of the element types in the
            description, but float32 for float16, as from coremltools; images of pillow; for a classifier its
            label, ``str`` or ``int``, and the probabilities by label. A number has the shape ``(1,)``.

        Raises:
            MlpressError: A value is missing, unknown, or not what the model takes, which the message says. A
                state is missing or another model's. PyTorch is not installed.
            UnsupportedModelError: The program has operators that cannot be run; all are listed.
            TypeError: `data` is neither a dictionary nor a list of them, or `state` is no state.
        """
        if isinstance(data, Mapping):
            return self.predictor(data, state)
        if not isinstance(data, list | tuple) or not all(isinstance(one, Mapping) for one in data):
            raise TypeError(f"data is a {type(data).__name__}; allowed: a dictionary, or a list of them")
        if state is not None:
            raise MlpressError("state= goes with one prediction, not with a list of them")
        return [self.predictor(one) for one in data]

    def make_state(self) -> MLState:
        """Returns a new state, all zeros, for `predict`.

        Raises:
            MlpressError: The function has no states, or PyTorch is not installed.
            UnsupportedModelError: The program has operators that cannot be run; all are listed.
        """
        return self.predictor.make_state()

    def to_torch(self, **options: Any) -> GraphModule:
        """Returns the function in use as a module of PyTorch, new at each call.

        Its parameters are the weights, under their names in the program. It takes tensors in the order of the
        inputs and returns a dictionary of tensors. Hooks, autograd, `torch.compile` and `.to` work on it. On
        CUDA the settings of torch hold, which round what convolutions multiply to TF32 unless told otherwise;
        `predict` computes in full float32.

        Args:
            **options: Fields of `mlpress.runtime.RunOptions` that are to differ from `run_options`, such as
                ``weights="encoded"``, which decodes weights at each use.

        Raises:
            MlpressError: An option is not allowed, or PyTorch is not installed.
            UnsupportedModelError: The program has operators that cannot be run; all are listed.
        """
        return make_module(self.program, self._function(), self.run_options, options)

    @property
    def interface(self) -> Interface:
        """What the function in use takes and gives.

        Raises:
            UnsupportedModelError: A feature is of a kind that mlprograms do not have.
            InvalidPackageError: The description is damaged.
        """
        return read_interface(self._interface())

    def save(self, save_path: str | os.PathLike[str]) -> None:
        """Saves the model, in one step: if anything fails, what was at `save_path` stays as it was.

        Saving over the package that the model was loaded from works.

        Args:
            save_path: A `.mlpackage`, which is added when there is no extension; a `.mlmodel` for a model
                without weights.

        Raises:
            InvalidPackageError: The extension is another one, or `save_path` exists and isn't a model of that
                kind.
            UnsupportedModelError: The model has weights and `save_path` is a `.mlmodel`.
            OSError: Writing failed, for example on a full disk.
        """
        package.save(self._file, _expanded(save_path))

    def get_spec(self) -> Model:
        """Returns a copy of the specification; its offsets refer to the files in `weights_dir`."""
        if self._file.source is not None:
            return package.original_spec(self._file, self._file.source)
        return package.build_spec(self._file)[0]

    @property
    def weights_dir(self) -> str | None:
        """Directory of the blob files that `get_spec` refers to; None for a model from a single file.

        A model that wasn't loaded from a package writes one into a temporary directory, removed when the
        interpreter ends.
        """
        source = self._file.source
        if source is not None:
            return None if source.weights is None else str(source.weights)
        return str(package.weights_directory(self._temporary_package()))

    @property
    def package_path(self) -> str | None:
        """Directory of the package, None for a single file; a temporary one for a model made in memory."""
        source = self._file.source
        if source is None or (source.package is None and source.weights is not None):
            return str(self._temporary_package())
        return None if source.package is None else str(source.package)

    @property
    def input_description(self) -> FeatureDescriptions:
        """Short descriptions of the inputs by name."""
        return FeatureDescriptions(self._interface().input)

    @property
    def output_description(self) -> FeatureDescriptions:
        """Short descriptions of the outputs by name."""
        return FeatureDescriptions(self._interface().output)

    @property
    def user_defined_metadata(self) -> MutableMapping[str, str]:
        """Free texts by key; changes go into the model."""
        return self._metadata.userDefined

    @property
    def short_description(self) -> str:
        """What the model does, in a line."""
        return self._metadata.shortDescription

    @short_description.setter
    def short_description(self, text: str) -> None:
        self._metadata.shortDescription = text

    @property
    def author(self) -> str:
        """Who made the model."""
        return self._metadata.author

    @author.setter
    def author(self, text: str) -> None:
        self._metadata.author = text

    @property
    def license(self) -> str:
        """Terms of use."""
        return self._metadata.license

    @license.setter
    def license(self, text: str) -> None:
        self._metadata.license = text

    @property
    def version(self) -> str:
        """Version of the model, free text."""
        return self._metadata.versionString

    @version.setter
    def version(self, text: str) -> None:
        self._metadata.versionString = text

    def __repr__(self) -> str:
        return repr(self._file.spec.description)

    @property
    def _metadata(self) -> Metadata:
        return self._file.spec.description.metadata

    def _interface(self) -> ModelDescription | FunctionDescription:
        """Returns what describes the inputs and outputs: of one function where there are several."""
        description = self._file.spec.description
        for function in description.functions:
            if function.name == self._function():
                return function
        return description

    def _function(self) -> str:
        return self.function_name or "main"

    def _checked_function(self, name: str | None) -> str | None:
        description = self._file.spec.description
        names = [function.name for function in description.functions] or ["main"]
        if name is not None and name not in names:
            raise MlpressError(f"the model has no function {name!r}; it has {names}")
        return name or description.defaultFunctionName or None

    def _temporary_package(self) -> Path:
        if self._materialized is None:
            folder = tempfile.mkdtemp(prefix="mlpress-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._materialized = package.save(self._file, Path(folder, "model.mlpackage"))
        return self._materialized


ModelLike = MLModel | ModelFile | Specification | ForeignModel | str | os.PathLike[str]
"""Whatever `MLModel` can be made from."""


def as_mlmodel(model: ModelLike) -> MLModel:
    """Returns `model` itself if it is an `MLModel`, otherwise one made from it.

    Args:
        model: Also a path, or a model object of coremltools.

    Raises:
        InvalidPackageError, UnsupportedModelError, TypeError: As `MLModel` does.
    """
    return model if isinstance(model, MLModel) else MLModel(model)


def _load(model: ModelLike, weights_dir: str | os.PathLike[str] | None) -> ModelFile:
    match model:
        case MLModel():
            return model._file.copy()
        case ModelFile():
            return model
        case str() | os.PathLike():
            return package.load(_expanded(model))
        case Specification():
            weights = None if weights_dir is None else _expanded(weights_dir)
            return package.from_spec(model.SerializeToString(), weights)
        case ForeignModel():
            return _load(model.get_spec(), model.weights_dir)
    raise TypeError(
        f"model is a {type(model).__name__}; allowed: the path of a .mlpackage or .mlmodel, "
        f"a specification message, an MLModel of mlpress or coremltools"
    )


def _expanded(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()
