"""A package split into two that run one after the other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from logging import INFO, WARNING, getLogger
from pathlib import Path
from typing import Any, Final

from mlpress.bits import FLOAT16, FLOAT32, INT32
from mlpress.encoding import Encoding, nbytes
from mlpress.errors import MlpressError, UnsupportedModelError
from mlpress.mil import Block, Constant, Function, Operation, StateType, TensorType, Value, uses
from mlpress.models import MLModel, ModelLike, as_mlmodel
from mlpress.package.proto.model_pb2 import ArrayFeatureType, FeatureDescription
from mlpress.utils.editing import cast, with_values

_log = getLogger(__name__)
_LOW: Final = 35.0
"""Decibels below which halves that differ from the model are worth a warning."""

_ARRAYS: Final = {
    FLOAT16: ArrayFeatureType.FLOAT16,
    FLOAT32: ArrayFeatureType.FLOAT32,
    INT32: ArrayFeatureType.INT32,
}


def bisect_model(
    model: ModelLike,
    output_dir: str | os.PathLike[str],
    merge_chunks_to_pipeline: bool = False,
    check_output_correctness: bool = True,
) -> None:
    """Splits a model into two packages with about half of the weights each.

    What goes from the first to the second are float32 tensors, under the names that they have in the program.
    The packages are called ``NAME_chunk1.mlpackage`` and ``NAME_chunk2.mlpackage`` after the package `model`,
    without ``NAME_`` if it is a model object. An output that the first makes is one of the first.

    Args:
        model: The path of a package, or a model of mlpress or coremltools, with one function.
        output_dir: Where to write; it is made if it is not there.
        merge_chunks_to_pipeline: Has to be False: mlpress writes no pipelines.
        check_output_correctness: Whether to run both on a random sample, and to log how far results are from
            those of `model`. Needs PyTorch.

    Raises:
        MlpressError: The model has several functions, no place to split it at, sizes there that only a run
            tells, or a state that both halves would use.
        UnsupportedModelError: `merge_chunks_to_pipeline` is true.
    """
    if merge_chunks_to_pipeline:
        raise UnsupportedModelError("merge_chunks_to_pipeline is True; mlpress writes no pipelines")
    source = as_mlmodel(model)
    if list(source.program.functions) != ["main"]:
        raise MlpressError(
            f"the model has the functions {list(source.program.functions)}; allowed: main alone"
        )
    halves = _split(source)
    if check_output_correctness:
        _check(source, halves)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{Path(model).stem}_" if isinstance(model, str | os.PathLike) else ""
    for number, half in enumerate(halves, 1):
        half.save(folder / f"{prefix}chunk{number}.mlpackage")


def _split(model: MLModel) -> tuple[MLModel, MLModel]:
    function = model.program.functions["main"]
    block = function.block
    operations = [node for node in block.operations if isinstance(node, Operation)]
    first, second, boundary = _halves(function, operations)
    made = {value for node in first for value in node.outputs}
    results = [value for value in block.outputs if value in made]
    rest = [value for value in block.outputs if value not in made]
    crossing = {value: _Crossing.of(value, as_it_is=value in results) for value in boundary}

    leaving = [node for one in crossing.values() for node in one.leave]
    renamed = {value: one.inside for value, one in crossing.items() if one.leave}
    new = [one.outside for one in crossing.values() if one.leave or one.inside not in results]
    before = _function(function, first, results, renamed, leaving, [], new)

    entering = [node for one in crossing.values() for node in one.enter]
    renamed = {value: one.inside for value, one in crossing.items()}
    given = [one.outside for one in crossing.values()]
    after = _function(function, second, rest, renamed, entering, given, [])
    return _model(model, before), _model(model, after)


@dataclass(frozen=True, slots=True)
class _Crossing:
    """A value that goes from the first half to the second.

    Attributes:
        inside: What it is computed as in either half.
        outside: What the halves give and take.
        leave: Operations that make `outside` from `inside`.
        enter: Operations that make `inside` from `outside`.
    """

    inside: Value
    outside: Value
    leave: list[Operation | Constant]
    enter: list[Operation | Constant]

    @classmethod
    def of(cls, value: Value, *, as_it_is: bool) -> _Crossing:
        assert isinstance(value.type, TensorType)
        if as_it_is or value.type.dtype != FLOAT16:
            return cls(value, value, [], [])
        inside = Value(f"{value.name}_inside_fp16", value.type)
        outside = Value(value.name, TensorType(FLOAT32, value.type.shape))
        return cls(inside, outside, cast(inside, outside), cast(outside, inside))


def _halves(
    function: Function, operations: list[Operation]
) -> tuple[list[Operation], list[Operation], list[Value]]:
    """Returns the operations before and after the split, and the values that go over."""
    users = uses(function.block)
    sizes = list(_sizes(function.block, operations))
    total, reached = sum(sizes), 0
    for number, (node, size) in enumerate(zip(operations, sizes, strict=True), 1):
        reached += size
        single = len(node.outputs) == 1 and len(users.get(node.outputs[0], ())) == 1
        if 2 * reached < total or not single or number == len(operations):
            continue
        first, second = operations[:number], operations[number:]
        used = _used(second)
        boundary = [value for one in first for value in one.outputs if value in used]
        states = [value for value in function.inputs if isinstance(value.type, StateType)]
        if all(map(_can_cross, boundary)) and not any(
            value in used and value in _used(first) for value in states
        ):
            return first, second, boundary
    raise MlpressError(
        "the model has no place to be split at: an operation behind half of the weights with one result, "
        "all sizes known, and no state that both halves would use"
    )


def _can_cross(value: Value) -> bool:
    return (
        isinstance(value.type, TensorType)
        and value.type.dtype in _ARRAYS
        and None not in value.type.shape
        and bool(value.type.shape)
    )


def _sizes(block: Block, operations: list[Operation]) -> Iterator[int]:
    """Yields for each operation the bytes of the weights that it is the first to use."""
    left = {
        constant.output: nbytes(constant.data)
        for constant in block.constants()
        if isinstance(constant.data, Encoding)
    }
    for node in operations:
        yield sum(left.pop(value, 0) for value in _used([node]))


def _used(operations: list[Operation]) -> set[Value]:
    """Returns the values that operations use, those in their blocks included."""
    return set(uses(Block([], list(operations), [])))


def _function(
    function: Function,
    operations: list[Operation],
    results: list[Value],
    renamed: dict[Value, Value],
    casts: list[Operation | Constant],
    given: list[Value],
    new_results: list[Value],
) -> Function:
    """Returns a function of some operations; casts stand where `given` or the new results are."""
    nodes: list[Operation | Constant] = list(operations)
    body = with_values(Block([], nodes, [*results]), renamed)
    body = replace(body, operations=[*casts, *body.operations] if given else [*body.operations, *casts])
    body = replace(body, outputs=[*body.outputs, *new_results])
    used = set(uses(body))
    constants = [
        node for node in function.block.operations if isinstance(node, Constant) and node.output in used
    ]
    inputs = [value for value in function.inputs if value in used]
    block = replace(function.block, operations=[*constants, *body.operations], outputs=body.outputs)
    return replace(function, inputs=[*inputs, *given], block=block)


def _model(model: MLModel, function: Function) -> MLModel:
    parts = model.parts.with_program(replace(model.program, functions={"main": function}))
    described = parts.spec.description
    _keep(described.input, [value for value in function.inputs if isinstance(value.type, TensorType)])
    _keep(described.state, [value for value in function.inputs if isinstance(value.type, StateType)])
    _keep(described.output, function.block.outputs)
    names = [value.name for value in function.block.outputs]
    if described.predictedFeatureName not in names:
        described.predictedFeatureName = described.predictedProbabilitiesName = ""
    return model.with_parts(parts)


def _keep(features: Any, values: Iterable[Value]) -> None:
    """Leaves the descriptions of `values` only, and describes those that are new."""
    known = {feature.name: feature for feature in features}
    made = [known.get(value.name) or _described(value) for value in values]
    copies = [type(feature).FromString(feature.SerializeToString()) for feature in made]
    del features[:]
    features.extend(copies)


def _described(value: Value) -> FeatureDescription:
    assert isinstance(value.type, TensorType)
    feature = FeatureDescription(name=value.name)
    feature.type.multiArrayType.dataType = _ARRAYS[value.type.dtype]
    feature.type.multiArrayType.shape.extend(size or 1 for size in value.type.shape)
    return feature


def _check(model: MLModel, halves: tuple[MLModel, MLModel]) -> None:
    """Runs the model and its halves on a sample and logs the difference of results."""
    from mlpress.verification.random_inputs import random_inputs
    from mlpress.verification.sums import Sums

    (sample,) = random_inputs(model.interface, model.interface, {}, 1, 0)
    expected = _predict(model, sample)
    known = dict(sample)
    for half in halves:
        known |= _predict(half, {name: known[name] for name in half.interface.inputs})
    for name, reference in expected.items():
        if not hasattr(reference, "dtype") or reference.dtype.kind != "f":
            continue
        sums = Sums()
        sums.add(reference, known[name])
        peak = float(abs(reference).max())
        error = (sums.noise / sums.elements) ** 0.5
        psnr = 20 * math.log10(peak / error) if error and peak else math.inf
        _log.log(WARNING if psnr < _LOW else INFO, "%s: the halves agree to %.1f dB", name, psnr)


def _predict(model: MLModel, sample: dict[str, Any]) -> dict[str, Any]:
    has_states = any(isinstance(value.type, StateType) for value in model.program.functions["main"].inputs)
    return model.predict(sample, model.make_state()) if has_states else model.predict(sample)
