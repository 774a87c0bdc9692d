"""Fields that this version does not know survive loading and saving, at every level of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from mlpress import bits
from mlpress.encoding import Affine, Dense
from mlpress.mil import Block, Function, Operation, Opset, Program, TensorType, Value
from mlpress.models import MLModel
from mlpress.package import load, save
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.proto.model_pb2 import Model
from mlpress.package.unknown_fields import graft, has_unknown
from tests.unit.package.samples import MODEL, function, model_file, ramp

UNKNOWN = b"\xba\x3e\x05hello"  # field 999, bytes


def package_with(folder: Path, change: Callable[[Model], Message]) -> Path:
    """A package where the message that `change` picks has an unknown field."""
    x, out = Value("x", TensorType(bits.FLOAT16, (2, 12))), Value("out", TensorType(bits.FLOAT16, (2, 12)))
    main = function({"dense": Dense(ramp((16, 12))), "small": Dense(ramp((1, 4)))})
    int8 = Affine(Dense(ramp((16, 12), bits.INT8)), Dense(ramp((16, 1))))
    main.block.operations += function({"int8": int8}).block.operations[:1]
    inner = Value("inner", TensorType(bits.FLOAT16, (2, 12)))
    nested = Block([inner], [Operation("relu", "r", {"x": inner}, [Value("relu", inner.type)])], [inner])
    main.block.operations.append(Operation("while_loop", "l", {"loop_vars": main.inputs[0]}, [out], [nested]))
    other = Function([x], Opset.CoreML8, Block([], [], [x]))
    package = save(model_file(Program({"main": main, "other": other})), folder / "m.mlpackage")
    spec = Model.FromString((package / MODEL).read_bytes())
    change(spec).MergeFromString(UNKNOWN)
    (package / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    return package


def body(spec: Model) -> pb.Block:
    return spec.mlProgram.functions["main"].block_specializations["CoreML8"]


def operation(spec: Model, type_: str) -> pb.Operation:
    return next(op for op in body(spec).operations if op.type == type_)


PLACES: dict[str, Callable[[Model], Message]] = {
    "model": lambda spec: spec,
    "description": lambda spec: spec.description,
    "feature type": lambda spec: spec.description.input[0].type.multiArrayType,
    "metadata": lambda spec: spec.description.metadata,
    "program": lambda spec: spec.mlProgram,
    "function": lambda spec: spec.mlProgram.functions["other"],
    "function input": lambda spec: spec.mlProgram.functions["other"].inputs[0],
    "block": body,
    "operation": lambda spec: operation(spec, "linear"),
    "operand": lambda spec: operation(spec, "linear").inputs["x"],
    "binding": lambda spec: operation(spec, "linear").inputs["x"].arguments[0],
    "output": lambda spec: operation(spec, "linear").outputs[0],
    "output type": lambda spec: operation(spec, "linear").outputs[0].type,
    "tensor type": lambda spec: operation(spec, "linear").outputs[0].type.tensorType,
    "dimension": lambda spec: operation(spec, "linear").outputs[0].type.tensorType.dimensions[1],
    "attribute": lambda spec: operation(spec, "linear").attributes["name"],
    "const": lambda spec: operation(spec, "const"),
    "constant": lambda spec: operation(spec, "const").attributes["val"],
    "blob reference": lambda spec: operation(spec, "const").attributes["val"].blobFileValue,
    "constexpr": lambda spec: operation(spec, "constexpr_blockwise_shift_scale"),
    "constexpr operand": lambda spec: (
        operation(spec, "constexpr_blockwise_shift_scale").inputs["data"].arguments[0].value
    ),
    "operation with blocks": lambda spec: operation(spec, "while_loop"),
    "nested block": lambda spec: operation(spec, "while_loop").blocks[0],
    "nested operation": lambda spec: operation(spec, "while_loop").blocks[0].operations[0],
}


@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_field_survives(tmp_path: Path, place: str) -> None:
    package = package_with(tmp_path, PLACES[place])
    before = (package / MODEL).read_bytes()

    again = save(load(package), tmp_path / "again.mlpackage")

    assert UNKNOWN in before
    assert (again / MODEL).read_bytes() == before
    assert MLModel(package).get_spec().SerializeToString(deterministic=True) == before


def test_fields_that_the_program_has_no_place_for_travel_too(tmp_path: Path) -> None:
    def doc_string(spec: Model) -> Message:
        value = operation(spec, "const").attributes["val"]
        value.MergeFromString(b"\x0a\x03doc")  # docString
        return value

    package = package_with(tmp_path, doc_string)
    again = save(load(package), tmp_path / "again.mlpackage")

    assert (again / MODEL).read_bytes() == (package / MODEL).read_bytes()


def test_unknown_fields_stay_with_the_operations_that_remain(tmp_path: Path) -> None:
    package = package_with(tmp_path, PLACES["operation"])
    model = load(package)
    main = model.program.functions["main"]
    main.block.operations[:] = [node for node in main.block.operations if node.name != "small_op"]
    main.block.outputs[:] = main.block.outputs[:1]
    again = save(model, tmp_path / "again.mlpackage")

    assert UNKNOWN in (again / MODEL).read_bytes()


def test_a_model_without_unknown_fields_keeps_nothing(tmp_path: Path) -> None:
    package = save(model_file(Program({"main": function({"w": Dense(ramp((16, 12)))})})), tmp_path / "m")
    program = load(package).program

    assert not any(node.unknown for node in program.functions["main"].block.walk())


def known_values() -> Iterator[pb.Value]:
    yield pb.Value()
    value = pb.Value()
    value.type.tensorType.dataType = pb.FLOAT16
    yield value


@pytest.mark.parametrize("target", list(known_values()), ids=["empty", "filled"])
def test_grafting_adds_only_what_is_unknown(target: pb.Value) -> None:
    source = pb.Value.FromString(UNKNOWN)
    source.type.tensorType.rank = 3
    source.type.tensorType.MergeFromString(UNKNOWN)
    assert has_unknown(source)

    had_type = target.HasField("type")
    graft(target, source)

    assert target.type.tensorType.rank == 0
    assert [field.data for field in UnknownFieldSet(target)] == [b"hello"]
    assert len(UnknownFieldSet(target.type.tensorType)) == had_type
