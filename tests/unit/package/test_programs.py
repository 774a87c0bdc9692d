"""Programs, there and back: scopes, blocks, functions, states, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlpress import bits
from mlpress.encoding import Affine, Dense, Encoding, Scatter, Sparse
from mlpress.errors import InvalidPackageError, InvalidProgramError, LegalityError, UnsupportedModelError
from mlpress.mil import (
    Block,
    Constant,
    DictionaryType,
    Function,
    ListType,
    Literal,
    Operation,
    Opset,
    Program,
    StateType,
    StringType,
    TensorType,
    Value,
    why_illegal,
)
from mlpress.package import ModelFile, load, save
from mlpress.package.proto import mil_pb2 as pb
from mlpress.package.proto.model_pb2 import Model
from tests.unit.package.samples import (
    MODEL,
    constant,
    constants_of,
    decoded,
    function,
    model_file,
    number,
    ramp,
    sample,
    saved_sample,
    string,
    tensor,
    weights_of_each_kind,
)

HALF = TensorType(bits.FLOAT16, (2, 12))


def reloaded(program: Program, folder: Path) -> ModelFile:
    return load(save(model_file(program), folder / "m.mlpackage"))


def text_of(package: Path) -> str:
    """The program in protobuf's text form."""
    return str(spec_of(package).mlProgram)


def spec_of(package: Path) -> Model:
    return Model.FromString((package / MODEL).read_bytes())


def edited(package: Path, change: Callable[[pb.Block], object]) -> Path:
    """Changes the body of `main`."""
    spec = spec_of(package)
    change(spec.mlProgram.functions["main"].block_specializations["CoreML8"])
    (package / MODEL).write_bytes(spec.SerializeToString())
    return package


@pytest.mark.parametrize("opset", list(Opset))
def test_every_encoding_that_an_opset_can_express_comes_back(opset: Opset, tmp_path: Path) -> None:
    weights = {
        name: encoding
        for name, encoding in weights_of_each_kind().items()
        if not why_illegal(encoding, opset)
    }
    assert weights

    loaded = reloaded(Program({"main": function(weights, opset)}), tmp_path)

    assert loaded.spec.specificationVersion == opset.specification_version
    assert loaded.program.functions["main"].opset == opset
    for name, data in constants_of(loaded).items():
        assert decoded(data) == decoded(weights[name]), name
        if opset >= Opset.CoreML8 and name != "palette_int8":  # its scale moves behind the look-up in iOS 26
            assert data == weights[name]


def test_an_encoding_that_the_opset_cannot_express_is_refused(tmp_path: Path) -> None:
    weights = {"w": weights_of_each_kind()["uint4_blocks"]}

    with pytest.raises(LegalityError, match=r"'w'.*iOS 18"):
        reloaded(Program({"main": function(weights, Opset.CoreML7)}), tmp_path)


def test_saving_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = saved_sample(tmp_path)
    second = save(load(first), tmp_path / "again.mlpackage")

    for path in (path.relative_to(first) for path in first.rglob("*") if path.is_file()):
        assert (first / path).read_bytes() == (second / path).read_bytes(), path


def test_operands_may_be_tuples_literals_and_empty(tmp_path: Path) -> None:
    x, out = Value("x", HALF), Value("out", HALF)
    inputs = {"values": (x, x, x), "axis": number(0), "none": (), "one": x, "mixed": (x, string("s"))}
    block = Block([], [Operation("concat", "join", inputs, [out])], [out])
    (operation,) = (
        reloaded(Program({"main": Function([x], Opset.CoreML8, block)}), tmp_path)
        .program.functions["main"]
        .block.operations
    )

    assert isinstance(operation, Operation)
    (loaded_x,) = {operand for _, operand in operation.operands() if isinstance(operand, Value)}
    assert operation.inputs == {
        "values": (loaded_x,) * 3,
        "axis": number(0),
        "none": (),
        "one": loaded_x,
        "mixed": (loaded_x, string("s")),
    }


def test_blocks_inside_see_the_values_outside_and_may_reuse_their_names(tmp_path: Path) -> None:
    x, weight = Value("x", HALF), constant("w", Dense(ramp((2, 12))))
    blocks = []
    for name in ("cond", "body"):
        state = Value("state", HALF)  # the same name in both
        inner = Value("inner", HALF)
        add = Operation("add", name, {"x": state, "y": weight.output}, [inner])
        blocks.append(Block([state], [add], [inner]))
    out = Value("out", HALF)
    loop = Operation("while_loop", "loop", {"loop_vars": x}, [out], blocks)
    program = Program({"main": Function([x], Opset.CoreML8, Block([], [weight, loop], [out]))})

    loaded = reloaded(program, tmp_path).program.functions["main"].block.operations[1]

    assert isinstance(loaded, Operation)
    assert [block.inputs[0].name for block in loaded.blocks] == ["state", "state"]
    for block in loaded.blocks:
        (add_,) = block.operations
        assert isinstance(add_, Operation)
        assert add_.inputs["x"] is block.inputs[0]
        assert isinstance(add_.inputs["y"], Value)
        assert add_.inputs["y"].name == "w"


def test_functions_share_the_weights_they_have_in_common(tmp_path: Path) -> None:
    shared = {"w": Dense(ramp((16, 12)))}
    package = save(
        model_file(Program({"one": function(shared), "two": function(shared)})), tmp_path / "m.mlpackage"
    )
    loaded = load(package)

    first, second = (constants_of(loaded, name)["w"] for name in ("one", "two"))
    assert isinstance(first, Dense)
    assert isinstance(second, Dense)
    assert first.values.address == second.values.address
    assert text_of(package).count("offset: 64\n") == 2


def test_states_attributes_and_odd_constants_come_back(tmp_path: Path) -> None:
    state = Value("cache", StateType(TensorType(bits.FLOAT16, (1, 4))))
    read = Value("now", TensorType(bits.FLOAT16, (1, 4)))
    flexible = Value("x", TensorType(bits.INT32, (None, 3)))
    classes = Literal(ListType(StringType(), 2), (string("cat"), string("dog")))
    operations = [
        constant("mode", string("same")),
        constant("flags", Dense(tensor([True, False], bits.BOOL))),
        constant("many", Dense(tensor(list(range(12)), bits.INT64))),
        constant("empty", Dense(tensor([], bits.FLOAT16))),
        constant("names", Literal(StringType((2,)), ("a", "b"))),
        Operation("read_state", "r", {"input": state}, [read], attributes={"hint": number(3)}),
        Operation("write_state", "w", {"input": state, "data": read}, []),
        Operation("classify", "c", {"classes": classes}, [Value("label", StringType())]),
    ]
    build = Literal(DictionaryType(StringType(), StringType()), ((string("tool"), string("1")),))
    main = Function([state, flexible], Opset.CoreML8, Block([], list(operations), [read]))
    main.attributes["f"] = number(1)
    main.block.attributes["b"] = number(2)
    loaded = reloaded(Program({"main": main}, {"buildInfo": build}, doc="text"), tmp_path)

    assert loaded.program.attributes == {"buildInfo": build}
    assert loaded.program.doc == "text"
    again = loaded.program.functions["main"]
    assert again.attributes == {"f": number(1)}
    assert again.block.attributes == {"b": number(2)}
    assert [value.type for value in again.inputs] == [state.type, flexible.type]
    assert constants_of(loaded) == {node.name: node.data for node in operations if isinstance(node, Constant)}
    read_again, write, classify = again.block.operations[-3:]
    assert isinstance(read_again, Operation)
    assert read_again.attributes == {"hint": number(3)}
    assert write.outputs == []
    assert isinstance(classify, Operation)
    assert classify.inputs["classes"] == classes


def test_names_of_helper_operators_give_way_to_those_in_use(tmp_path: Path) -> None:
    palette = weights_of_each_kind()["sparse_palette_int8"]
    main = function({"w": palette, "other": palette})
    taken = {"w_nonzero": 0, "w_nonzero_mask": 0, "w_nonzero_lut": 0, "w_lut": 0}
    for name in taken:
        main.block.operations.insert(0, constant(name, Dense(ramp((3,)))))
    loaded = reloaded(Program({"main": main}), tmp_path)

    assert {"w", "other", *taken} == constants_of(loaded).keys()
    assert constants_of(loaded)["w"] == palette


def missing_input(block: pb.Block) -> None:
    block.operations[1].inputs["x"].arguments[0].name = "ghost"


def missing_output(block: pb.Block) -> None:
    block.outputs[0] = "ghost"


def cycle(block: pb.Block) -> None:
    block.operations[1].inputs["x"].arguments[0].name = block.operations[1].outputs[0].name


def used_before(block: pb.Block) -> None:
    block.operations.append(block.operations[0])
    del block.operations[0]


@pytest.mark.parametrize("damage", [missing_input, missing_output, cycle, used_before])
def test_a_program_that_names_missing_values_is_refused(
    tmp_path: Path, damage: Callable[[pb.Block], None]
) -> None:
    with pytest.raises(InvalidProgramError, match=r"function 'main'.* which nothing before it defines"):
        load(edited(saved_sample(tmp_path), damage))


def defined_twice(block: pb.Block) -> None:
    block.operations[3].outputs[0].name = block.operations[1].outputs[0].name


def no_outputs(block: pb.Block) -> None:
    del block.operations[0].outputs[:]


def no_value(block: pb.Block) -> None:
    del block.operations[0].attributes["val"]


def another_attribute(block: pb.Block) -> None:
    block.operations[0].attributes["more"].CopyFrom(block.operations[0].attributes["name"])


def another_shape(block: pb.Block) -> None:
    block.operations[0].outputs[0].type.tensorType.dimensions[0].constant.size = 3


def another_shape_of_a_compressed_weight(block: pb.Block) -> None:
    block.operations[2].outputs[0].type.tensorType.dimensions[0].constant.size = 3


def missing_parameter(block: pb.Block) -> None:
    del block.operations[2].inputs["scale"]


def wrong_parameter(block: pb.Block) -> None:
    block.operations[2].inputs["scale"].arguments[0].value.CopyFrom(block.operations[0].attributes["name"])


def unbound(block: pb.Block) -> None:
    block.operations[1].inputs["x"].arguments.add()


def a_name_that_is_no_string(block: pb.Block) -> None:
    block.operations[1].attributes["name"].CopyFrom(block.operations[0].attributes["val"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (defined_twice, "defined twice"),
        (no_outputs, "a const has one output"),
        (no_value, "a const has one output"),
        (another_attribute, "attributes"),
        (another_shape, "is stated to be"),
        (another_shape_of_a_compressed_weight, "is stated to be"),
        (missing_parameter, "scale"),
        (wrong_parameter, "scale"),
        (unbound, "bound to nothing"),
        (a_name_that_is_no_string, "attribute name is no string"),
    ],
)
def test_a_program_that_contradicts_itself_is_refused(
    tmp_path: Path, damage: Callable[[pb.Block], None], message: str
) -> None:
    with pytest.raises(InvalidProgramError, match=message):
        load(edited(saved_sample(tmp_path), damage))


def test_an_unknown_opset_is_refused(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    spec = spec_of(package)
    spec.mlProgram.functions["main"].opset = "CoreML99"
    (package / MODEL).write_bytes(spec.SerializeToString())

    with pytest.raises(UnsupportedModelError, match="CoreML99"):
        load(package)


def test_a_function_without_a_body_for_its_opset_is_refused(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    spec = spec_of(package)
    spec.mlProgram.functions["main"].opset = "CoreML7"
    (package / MODEL).write_bytes(spec.SerializeToString())

    with pytest.raises(InvalidProgramError, match=r"no body for its opset CoreML7, only for \['CoreML8'\]"):
        load(package)


def test_bodies_for_other_opsets_are_kept_unless_they_have_weights(tmp_path: Path) -> None:
    package = save(model_file(Program({"main": function({})})), tmp_path / "m.mlpackage")
    spec = spec_of(package)
    bodies = spec.mlProgram.functions["main"].block_specializations
    bodies["CoreML6"].outputs.append("x")
    (package / MODEL).write_bytes(spec.SerializeToString())

    again = save(load(package), tmp_path / "again.mlpackage")
    assert spec_of(again) == spec

    value = bodies["CoreML6"].attributes["w"]
    value.type.tensorType.dataType = pb.FLOAT16
    value.blobFileValue.fileName = "@model_path/weights/weight.bin"
    (package / MODEL).write_bytes(spec.SerializeToString())
    with pytest.raises(UnsupportedModelError, match="several opsets"):
        load(package)


def test_a_missing_weight_file_is_named(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    next(package.rglob("weight.bin")).unlink()

    with pytest.raises(InvalidPackageError, match=r"cannot open .*weight\.bin"):
        load(package)


def test_a_value_of_another_function_is_not_written(tmp_path: Path) -> None:
    one, two = function({"w": Dense(ramp((16, 12)))}), function({"w": Dense(ramp((16, 12)))})
    two.block.outputs[0] = one.block.outputs[0]

    with pytest.raises(InvalidProgramError, match="nothing before it defines"):
        reloaded(Program({"one": one, "two": two}), tmp_path)


def test_a_name_is_not_written_twice(tmp_path: Path) -> None:
    main = function({"a": Dense(ramp((16, 12))), "b": Dense(ramp((16, 12)))})
    main.block.operations[2].outputs[0].name = "a"

    with pytest.raises(InvalidProgramError, match="'a' is defined twice"):
        reloaded(Program({"main": main}), tmp_path)


def test_constants_shared_by_two_chains_are_stored_once(tmp_path: Path) -> None:
    mask = tensor([[1, 0] * 6] * 16, bits.UINT1)
    weights: dict[str, Encoding] = {
        "a": Scatter(Sparse(mask, ramp((96,)))),
        "b": Scatter(Affine(Sparse(mask, ramp((96,), bits.INT8)), Dense(ramp((16, 1))))),
    }
    package = save(model_file(Program({"main": function(weights)})), tmp_path / "m.mlpackage")

    # Mask of both, values of each, scale.
    assert int.from_bytes(next(package.rglob("weight.bin")).read_bytes()[:4], "little") == 4
    assert constants_of(load(package)) == weights


def test_saving_does_not_change_the_program(tmp_path: Path) -> None:
    model = sample()
    before = [
        (node.name, [value.name for value in node.outputs])
        for node in model.program.functions["main"].block.walk()
    ]
    save(model, tmp_path / "m.mlpackage")

    assert before == [
        (node.name, [value.name for value in node.outputs])
        for node in model.program.functions["main"].block.walk()
    ]
