"""Other element types for inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from mlpress.bits import FLOAT16, FLOAT32, DType
from mlpress.errors import MlpressError
from mlpress.mil import Block, Function, Operation, Opset, TensorType, Value, raised, uses
from mlpress.models import MLModel, as_mlmodel
from mlpress.package.proto.model_pb2 import ArrayFeatureType, FeatureDescription
from mlpress.utils.editing import cast, with_values, word_of

_DTYPES: Final[dict[int, DType]] = {ArrayFeatureType.FLOAT16: FLOAT16, ArrayFeatureType.FLOAT32: FLOAT32}


def change_input_output_tensor_type(
    ml_model: Any,
    from_type: ArrayFeatureType.ArrayDataType,
    to_type: ArrayFeatureType.ArrayDataType,
    function_names: Sequence[str] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> MLModel:
    """Lets a model take and give tensors of other floats; what it computes with stays the same.

    An output has a new name, as from coremltools: ``y`` becomes ``y_to_fp16``.

    Args:
        ml_model: A model of mlpress or coremltools, or the path of a package. It is not changed.
        from_type: ``ArrayFeatureType.FLOAT16`` or ``FLOAT32``: what is changed.
        to_type: The same: to what.
        function_names: Functions to change; ``["main"]`` if not given.
        input_names: Inputs to change, ``["*"]`` for all of `from_type`; none if not given.
        output_names: Outputs to change; all of `from_type` if not given.

    Returns:
        The changed model, for iOS 16 or later, the first that knows tensors of float16.

    Raises:
        MlpressError: A type is another one, or there is no such function.
    """
    for name, kind in (("from_type", from_type), ("to_type", to_type)):
        if kind not in _DTYPES:
            raise MlpressError(f"{name} is {kind!r}; allowed: ArrayFeatureType.FLOAT16 and FLOAT32")
    model = as_mlmodel(ml_model)
    chosen = list(function_names or ["main"])
    for name in chosen:
        if name not in model.program.functions:
            raise MlpressError(f"the model has no function {name!r}; it has {list(model.program.functions)}")
    if from_type == to_type:
        return MLModel(model)
    return _Change(model, from_type, to_type).apply(chosen, input_names or (), output_names or ("*",))


class _Change:
    """A change of types in the making."""

    def __init__(
        self,
        model: MLModel,
        from_type: ArrayFeatureType.ArrayDataType,
        to_type: ArrayFeatureType.ArrayDataType,
    ) -> None:
        self._model = model
        self._from, self._to = from_type, to_type
        self._old, self._new = _DTYPES[from_type], _DTYPES[to_type]

    def apply(self, functions: Iterable[str], inputs: Sequence[str], outputs: Sequence[str]) -> MLModel:
        made = dict(raised(self._model.program, Opset.CoreML6).functions)
        parts = self._model.parts.with_program(self._model.program)
        described: dict[str, Any] = {one.name: one for one in parts.spec.description.functions}
        described = described or {"main": parts.spec.description}
        for name in functions:
            if name not in described:
                raise MlpressError(f"function {name!r} has no description; these have: {list(described)}")
            given = self._features(described[name].input, inputs)
            results = self._features(described[name].output, outputs)
            for feature in given:
                made[name] = self._change_input(made[name], feature.name)
            for feature in results:
                made[name] = self._change_output(made[name], feature.name)
                feature.name = f"{feature.name}_to_{word_of(self._new)}"
            for feature in (*given, *results):
                feature.type.multiArrayType.dataType = self._to
        return self._model.with_parts(parts.with_program(replace(parts.program, functions=made)))

    def _features(
        self, described: Iterable[FeatureDescription], names: Sequence[str]
    ) -> list[FeatureDescription]:
        return [
            feature
            for feature in described
            if ("*" in names or feature.name in names)
            and feature.type.WhichOneof("Type") == "multiArrayType"
            and feature.type.multiArrayType.dataType == self._from
        ]

    def _change_input(self, function: Function, name: str) -> Function:
        """Returns the function with an input of the new type, cast to the old one where that is needed."""
        (old,) = (value for value in function.inputs if value.name == name)
        new = Value(name, self._typed(old))
        inner = Value(f"{name}_to_{word_of(self._old)}", old.type)
        block = function.block
        # What is cast to float16 at once needs no cast any more.
        spared = [node for node in self._casts(block) if node.inputs["x"] is old]
        block = replace(block, operations=[node for node in block.operations if node not in spared])
        block = with_values(block, {old: inner, **{node.outputs[0]: new for node in spared}})
        if inner in uses(block):
            block = replace(block, operations=[*cast(new, inner), *block.operations])
        inputs = [new if value is old else value for value in function.inputs]
        return replace(function, inputs=inputs, block=block)

    def _change_output(self, function: Function, name: str) -> Function:
        """Returns the function with an output of the new type."""
        block = function.block
        (old,) = (value for value in block.outputs if value.name == name)
        new = Value(f"{name}_to_{word_of(self._new)}", self._typed(old))
        for node in self._casts(block, outputs=True):
            source = node.inputs["x"]
            if node.outputs == [old] and source not in (*function.inputs, *block.outputs):
                assert isinstance(source, Value)
                block = with_values(block, {source: new})
                break
        else:
            block = replace(block, operations=[*block.operations, *cast(old, new)])
        block = replace(block, outputs=[new if value is old else value for value in block.outputs])
        unused = [node for node in block.operations if node.outputs == [old] and old not in uses(block)]
        kept = [node for node in block.operations if node not in unused]
        return replace(function, block=replace(block, operations=kept))

    def _casts(self, block: Block, *, outputs: bool = False) -> list[Operation]:
        """Returns the operations that widen float16 to an output, or else narrow something to float16."""
        if self._new != FLOAT16:
            return []
        return [
            node
            for node in block.operations
            if isinstance(node, Operation)
            and node.type == "cast"
            and (node.outputs[0] in block.outputs) == outputs
            and _dtype(node.inputs["x"] if outputs else node.outputs[0]) == FLOAT16
        ]

    def _typed(self, value: Value) -> TensorType:
        assert isinstance(value.type, TensorType)
        return TensorType(self._new, value.type.shape)


def _dtype(operand: object) -> DType | None:
    kind = getattr(operand, "type", None)
    return kind.dtype if isinstance(kind, TensorType) else None
