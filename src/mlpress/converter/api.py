"""`convert`: from a PyTorch model to a Core ML model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torch import nn
from torch.export import ExportedProgram

from mlpress import bits
from mlpress.calibration import Progress, Samples
from mlpress.converter import examples
from mlpress.converter.capture import Captured, capture
from mlpress.converter.carried import carried_encodings
from mlpress.converter.description import describe
from mlpress.converter.features import ClassifierConfig, ImageType, StateType, TensorType
from mlpress.converter.interface import add_classifier, set_inputs, set_outputs
from mlpress.converter.lowering import registry
from mlpress.converter.lowering.program import lower
from mlpress.converter.overflow import leaving_range
from mlpress.converter.pass_pipeline import PassPipeline
from mlpress.converter.passes.pipeline import clean, prepare_float16, simplify
from mlpress.converter.passes.precision import PrecisionReport, Selector, set_precision
from mlpress.converter.ranks import check_ranks
from mlpress.converter.selection import selector
from mlpress.converter.targets import AvailableTarget, ComputePrecision, FP16ComputePrecision
from mlpress.errors import MlpressError
from mlpress.mil import Function, Opset, Program
from mlpress.models import ComputeUnit, MLModel
from mlpress.package import ModelFile

_LOG: Final = logging.getLogger(__name__)

Feature = TensorType | ImageType


def convert(
    model: nn.Module | ExportedProgram,
    source: str = "auto",
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Feature] | None = None,
    classifier_config: ClassifierConfig | None = None,
    minimum_deployment_target: AvailableTarget | None = None,
    convert_to: str | None = None,
    compute_precision: ComputePrecision | FP16ComputePrecision | None = None,
    skip_model_load: bool = False,
    compute_units: ComputeUnit = ComputeUnit.ALL,
    package_dir: str | None = None,
    debug: bool = False,
    pass_pipeline: PassPipeline | None = None,
    states: Sequence[StateType] | None = None,
    *,
    samples: Samples | Callable[[MLModel], Samples] | None = None,
    progress: Progress | None = None,
) -> MLModel:
    """Converts a PyTorch model; the result's ``conversion_report`` says what does not compute in float16.

    Weights that are float16 already share memory with the model until the result is saved.

    Args:
        model: A module, one that `torch.jit` traced or scripted, or an exported program.
        source: ``"auto"`` or ``"pytorch"``.
        inputs: A `TensorType` or `ImageType` for each input, in the order of `forward`, or example tensors.
            May be left out for an exported program.
        outputs: A `TensorType` or `ImageType` for each output, in order: names and element types.
        classifier_config: Labels; the model then returns a label and probabilities by label.
        minimum_deployment_target: Oldest system that the result has to run on; iOS 15 if not given.
        convert_to: ``"mlprogram"``.
        compute_precision: `ComputePrecision.FLOAT16` if not given; `FP16ComputePrecision` chooses operations.
        skip_model_load: Accepted; nothing is compiled either way.
        compute_units: Kept with the model.
        package_dir: Where to save the model, too.
        debug: Accepted.
        pass_pipeline: Compresses weights that were trained to be pruned or palettized; the other passes are
            fixed.
        states: The buffers that the model remembers. Those that it changes are found without; given ones are
            checked.
        samples: Inputs by name, as `MLModel.predict` takes them: any iterable, read once. The program runs
            on them here, and what leaves float16's range stays in float32. A list of dictionaries is a
            sequence for a model with states. Values inside the blocks of control flow are not looked at. Or
            a function that makes them for the model in float16, whose inputs have their names and shapes.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Raises:
        TypeError: `samples`, or one of them, has the wrong type.
        MlpressError: An argument is wrong, or the model cannot be captured or expressed; the message says
            what and where. All operators that cannot be converted are listed at once.
    """
    del skip_model_load, debug
    _check_choices(source, convert_to, pass_pipeline)
    pipeline = pass_pipeline or PassPipeline()
    opset = (minimum_deployment_target or AvailableTarget.iOS15).opset
    features = examples.as_features(inputs)
    captured = _captured(model, features)
    _check_states(captured, states)
    wanted = features or examples.features_of(captured)
    if len(wanted) != len(captured.inputs):
        names = ", ".join(given.name for given in captured.inputs)
        raise MlpressError(
            f"{len(wanted)} inputs are described; the model takes {len(captured.inputs)}: {names}"
        )
    wants_float16 = selector(compute_precision)
    if samples is not None and wants_float16 is None:
        raise MlpressError("samples is given, but compute_precision is FLOAT32: nothing can leave its range")

    def made_with(overflows: Mapping[str, str]) -> MLModel:
        program, compression = pipeline.apply(_program(captured, opset, wanted, outputs))
        function = program.functions["main"]
        report = _in_precision(function, wanted, wants_float16, overflows)
        check_ranks(function, captured)
        shown = _by_name(function, outputs)
        set_outputs(function, shown)
        if classifier_config is not None:
            add_classifier(function, classifier_config)
        clean(function)
        made = _model(program, wanted, captured, shown, classifier_config, compute_units)
        made.conversion_report, made.compression_report = report, compression
        return made

    made = made_with({})
    if samples is not None and made.conversion_report is not None:
        given = samples(made) if callable(samples) else samples
        overflows = leaving_range(made, given, made.conversion_report.clamped, progress)
        made = made_with(overflows) if overflows else made
    _log(made.conversion_report)
    if package_dir is not None:
        made.save(package_dir)
    return made


def _check_choices(source: str, convert_to: str | None, pass_pipeline: object) -> None:
    if source not in ("auto", "pytorch"):
        raise MlpressError(f"source is {source!r}; allowed: 'auto', 'pytorch'")
    if convert_to not in (None, "mlprogram"):
        raise MlpressError(f"convert_to is {convert_to!r}; allowed: 'mlprogram'")
    if pass_pipeline is not None and not isinstance(pass_pipeline, PassPipeline):
        raise MlpressError(f"pass_pipeline is {pass_pipeline!r}; allowed: a mlpress.PassPipeline or None")


def _captured(model: Any, features: Sequence[Feature] | None) -> Captured:
    if isinstance(model, ExportedProgram):
        return capture(model, keep=registry.known())
    if not isinstance(model, nn.Module):
        raise MlpressError(
            f"model is a {type(model).__name__}; allowed: torch.nn.Module, torch.export.ExportedProgram"
        )
    if features is None:
        raise MlpressError("inputs is not given; a module needs a TensorType with a shape for each input")
    tensors, dynamic_shapes = examples.examples(model, features)
    return capture(model, tensors, dynamic_shapes, keep=registry.known())


def _check_states(captured: Captured, states: Sequence[StateType] | None) -> None:
    known = {state.name for state in captured.states}
    for state in states or ():
        if state.name not in known:
            raise MlpressError(
                f"state {state.name!r} is no buffer that the model changes; those are {sorted(known)}"
            )


def _program(
    captured: Captured, opset: Opset, inputs: Sequence[Feature], outputs: Sequence[Feature] | None
) -> Program:
    names = [feature.name or given.name for feature, given in zip(inputs, captured.inputs, strict=True)]
    if outputs is not None and len(outputs) != len(captured.outputs):
        raise MlpressError(f"{len(outputs)} outputs are described; the model returns {len(captured.outputs)}")
    wanted = [feature.name for feature in outputs] if outputs is not None else [None] * len(captured.outputs)
    results = [name or given.name for name, given in zip(wanted, captured.outputs, strict=True)]
    return lower(captured, opset, names, results, carried_encodings(captured, opset))


def _in_precision(
    function: Function,
    inputs: Sequence[Feature],
    wants_float16: Selector | None,
    overflows: Mapping[str, str],
) -> PrecisionReport:
    """Gives a function its inputs, makes it smaller, and settles what computes in float16, in place."""
    narrow = wants_float16 is not None and function.opset >= Opset.CoreML6
    set_inputs(function, inputs, bits.FLOAT16 if narrow else bits.FLOAT32)
    simplify(function)
    if wants_float16 is not None:
        prepare_float16(function)
    return set_precision(function, wants_float16, overflows)


def _by_name(function: Function, outputs: Sequence[Feature] | None) -> Mapping[str, Feature]:
    values = function.block.outputs
    return {value.name: feature for value, feature in zip(values, outputs or (), strict=False)}


def _model(
    program: Program,
    inputs: Sequence[Feature],
    captured: Captured,
    outputs: Mapping[str, Feature],
    classifier: ClassifierConfig | None,
    compute_units: ComputeUnit,
) -> MLModel:
    function = program.functions["main"]
    images = {name: feature for name, feature in outputs.items() if isinstance(feature, ImageType)}
    shapes = [feature.shape for feature in inputs]
    if None in shapes:
        shapes = list(examples.captured_shapes(captured))
    spec = describe(function, inputs, images, shapes, classifier)
    return MLModel(ModelFile(spec, program), compute_units=compute_units)


def _log(report: PrecisionReport | None) -> None:
    if report is not None and str(report):
        _LOG.log(logging.WARNING if report.islands else logging.INFO, "%s", report)
