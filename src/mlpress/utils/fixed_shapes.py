"""Functions for inputs of fixed sizes, made from one that takes several."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlpress import ops, package
from mlpress.bits import Tensor
from mlpress.converter.passes.folding import evaluated
from mlpress.converter.passes.pipeline import clean
from mlpress.encoding import Dense, Encoding
from mlpress.errors import MlpressError
from mlpress.mil import (
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    Opset,
    Program,
    TensorType,
    Value,
    raised,
)
from mlpress.models import ModelLike, as_mlmodel
from mlpress.ops.infer import Inference, type_of
from mlpress.package.proto.model_pb2 import FunctionDescription, ModelDescription
from mlpress.utils.descriptions import function_descriptions
from mlpress.utils.editing import with_values

Shapes = Mapping[str, Sequence[int]]
_SMALL: Final = 1 << 16
"""Elements up to which results of constants become constants: sizes, and what is computed from them."""


def materialize_dynamic_shape_mlmodel(
    dynamic_shape_mlmodel: ModelLike,
    function_name_to_materialization_map: Mapping[str, Shapes],
    destination_path: str | os.PathLike[str],
    source_function_name: str = "main",
) -> None:
    """Saves a model with further functions, each for inputs of fixed shapes; weights are stored once.

    Needs PyTorch.

    Args:
        dynamic_shape_mlmodel: A model of mlpress or coremltools, or the path of a package. It is not changed.
        function_name_to_materialization_map: For each new function, shapes by name of input. One that has the
            name of a function that is there already takes its place.
        destination_path: The package to write.
        source_function_name: The function that takes several shapes.

    Raises:
        MlpressError: There is no such function or input, or it does not take such a shape.
        LegalityError: The model is for iOS 15 to 17 and has an operator that iOS 18, which brought several
            functions, replaced by another.
    """
    model = as_mlmodel(dynamic_shape_mlmodel)
    program, spec = model.program, model.parts.copy().spec
    described = function_descriptions(spec)
    if source_function_name not in program.functions:
        raise MlpressError(
            f"the model has no function {source_function_name!r}; it has {list(program.functions)}"
        )
    functions, descriptions = dict(program.functions), dict(described)
    for name, shapes in function_name_to_materialization_map.items():
        source = program.functions[source_function_name]
        functions[name] = _Fixed(source, shapes).function()
        descriptions[name] = _description(described[source_function_name], name, functions[name])
    made: Program = replace(program, functions=functions)
    if list(functions) == ["main"] and not spec.description.functions:
        _describe_alone(spec.description, descriptions["main"])
    else:
        made = raised(made, Opset.CoreML8)
        default = spec.description.defaultFunctionName or "main"
        metadata = spec.description.metadata
        spec.description.CopyFrom(
            ModelDescription(functions=descriptions.values(), defaultFunctionName=default, metadata=metadata)
        )
    package.save(replace(model.parts, spec=spec, program=made, source=None), Path(destination_path))


class _Fixed:
    """A function for fixed shapes in the making: sizes that were open are told, op by op."""

    def __init__(self, source: Function, shapes: Shapes) -> None:
        self._source = source
        self._inference = Inference()
        self._replaced: dict[Value, Value] = {}
        known = {value.name: value for value in source.inputs}
        for name, shape in shapes.items():
            if name not in known:
                raise MlpressError(f"the function has no input {name!r}; it has {list(known)}")
            self._replaced[known[name]] = Value(name, _fixed(known[name], shape))

    def function(self) -> Function:
        nodes: list[Operation | Constant] = []
        for node in self._source.block.operations:
            if isinstance(node, Constant):
                self._inference.know(node)
                nodes.append(node)
            else:
                nodes.extend(self._copied(node))
        outputs = [self._replaced.get(value, value) for value in self._source.block.outputs]
        inputs = [self._replaced.get(value, value) for value in self._source.inputs]
        block = replace(self._source.block, operations=nodes, outputs=outputs)
        function = replace(self._source, inputs=inputs, block=block)
        clean(function)
        return function

    def _copied(self, node: Operation) -> list[Operation | Constant]:
        (copy,) = with_values(
            replace(self._source.block, operations=[node], outputs=[]), self._replaced
        ).operations
        assert isinstance(copy, Operation)
        folded = self._folded(copy)
        if folded is not None:
            for constant, value in zip(folded, node.outputs, strict=True):
                self._replaced[value] = constant.output
                self._inference.know(constant)
            return [*folded]
        if any(_is_open(value) for value in copy.outputs):
            copy.outputs = self._inferred(copy)
            self._replaced.update(zip(node.outputs, copy.outputs, strict=True))
        return [copy]

    def _folded(self, node: Operation) -> list[Constant] | None:
        """Returns constants in place of an operation whose results are known and small."""
        if node.type == "shape":
            source = node.inputs["x"]
            if isinstance(source, Value) and not _is_open(source):
                assert isinstance(source.type, TensorType)
                return [_constant(node.outputs[0], np.array(source.type.shape))]
            return None
        if any(value in self._source.block.outputs for value in node.outputs):
            return None
        results = evaluated(node, self._source.opset, self._known)
        if results is None or any(result.numel() > _SMALL for result in results):
            return None
        return [_constant(value, result.numpy()) for value, result in zip(node.outputs, results, strict=True)]

    def _known(self, operand: Operand) -> Encoding | Literal | None:
        if isinstance(operand, Literal):
            return operand
        constant = self._inference.constant(operand)
        return None if constant is None else constant.data

    def _inferred(self, node: Operation) -> list[Value]:
        version = ops.lookup(node.type, self._source.opset)
        if version is None or node.blocks:
            return node.outputs  # their sizes stay open
        made = []
        for value, fake in zip(node.outputs, self._inference.results(node, version), strict=True):
            told = type_of(fake)
            assert isinstance(value.type, TensorType)
            made.append(Value(value.name, TensorType(value.type.dtype, told.shape)))
            self._inference.hold(made[-1], fake)
        return made


def _is_open(value: Value) -> bool:
    return isinstance(value.type, TensorType) and None in value.type.shape


def _fixed(value: Value, shape: Sequence[int]) -> TensorType:
    assert isinstance(value.type, TensorType)
    allowed = value.type.shape
    fits = len(shape) == len(allowed) and all(
        size >= 1 and expected in (None, size) for size, expected in zip(shape, allowed, strict=False)
    )
    if not fits:
        raise MlpressError(f"shape {tuple(shape)} is not one of input {value.name!r}, which is {value.type}")
    return TensorType(value.type.dtype, tuple(int(size) for size in shape))


def _constant(value: Value, array: Any) -> Constant:
    assert isinstance(value.type, TensorType)
    stored = np.ascontiguousarray(array, value.type.dtype.storage).reshape(np.shape(array))
    data = Dense(Tensor.from_numpy(stored, value.type.dtype))
    return Constant(value.name, Value(value.name, TensorType(data.dtype, data.shape)), data)


def _description(source: FunctionDescription, name: str, function: Function) -> FunctionDescription:
    made = FunctionDescription()
    made.CopyFrom(source)
    made.name = name
    kinds = {value.name: value.type for value in (*function.inputs, *function.block.outputs)}
    for feature in (*made.input, *made.output):
        kind = kinds[feature.name]
        if feature.type.WhichOneof("Type") == "multiArrayType" and isinstance(kind, TensorType):
            array = feature.type.multiArrayType
            if None not in kind.shape:
                array.ClearField("shapeRange")
                array.ClearField("enumeratedShapes")
                array.shape[:] = [size or 1 for size in kind.shape] or [1]
    return made


def _describe_alone(whole: ModelDescription, main: FunctionDescription) -> None:
    del whole.input[:], whole.output[:]
    whole.input.extend(main.input)
    whole.output.extend(main.output)
