"""Blocks inside blocks, and states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpress.bits import FLOAT16, INT32
from mlpress.errors import MlpressError, UnsupportedModelError
from mlpress.mil import Block, ListType, Operation, Opset, Program, StateType, TensorType, Value
from mlpress.ops.builder import Builder
from mlpress.runtime import Runner, RunOptions
from mlpress.runtime.options import Precision
from tests.torch.runtime.programs import program, tensor_type


def nested(outer: Builder) -> Builder:
    return Builder(outer.opset, outer.inference)


def structured(
    build: Builder, kind: str, kinds: list[TensorType], blocks: list[Block], **inputs: object
) -> list[Value]:
    """Appends control flow, whose results' types must be told."""
    outputs = [Value(build.unique(kind), each) for each in kinds]
    build.operations.append(Operation(kind, kind, inputs, outputs, blocks))  # type: ignore[arg-type]
    return outputs


def cond_program() -> Program:
    """Doubles or negates x, both by way of an outer value and an outer constant."""
    build = Builder(Opset.CoreML7)
    x, flag = build.input("x", tensor_type(2)), build.input("flag", tensor_type(1, dtype=INT32))
    two = build.constant(np.float32(2), "two")
    outer = build.op("relu", "outer", x=x)
    predicate = build.op("squeeze", x=build.op("cast", x=flag, dtype="bool"), axes=[0])
    doubling, negating = nested(build), nested(build)
    doubled = doubling.op("mul", "doubled", x=outer, y=two)
    negated = negating.op("sub", "negated", x=np.zeros(2, np.float32), y=x)
    blocks = [doubling.block([], [doubled]), negating.block([], [negated])]
    (y,) = structured(build, "cond", [tensor_type(2)], blocks, pred=predicate)
    return program(build, [x, flag], [y])


@pytest.mark.parametrize("flag, expected", [(1, [2.0, 0.0]), (0, [-1.0, 3.0])])
def test_cond_runs_the_chosen_block(flag: int, expected: list[float]) -> None:
    result = Runner(cond_program(), "main")({"x": np.array([1.0, -3.0]), "flag": np.array([flag])})

    np.testing.assert_array_equal(result["cond"], expected)


def test_unknown_operations_of_all_blocks_are_told_before_anything_runs() -> None:
    built = cond_program()
    cond = built.functions["main"].block.operations[-1]
    for kind, block in zip(("warp", "bend"), cond.blocks, strict=True):
        block.operations[-1].type = kind
    with pytest.raises(UnsupportedModelError) as error:
        Runner(built, "main")

    assert str(error.value).splitlines() == [
        "2 operations of the program cannot be run:",
        "  warp 'doubled' in main/cond[0]: unknown op",
        "  bend 'negated' in main/cond[1]: unknown op",
    ]


def while_program() -> Program:
    """Adds step to x until the counter reaches n."""
    build = Builder(Opset.CoreML7)
    x, n = build.input("x", tensor_type(2)), build.input("n", tensor_type(1, dtype=INT32))
    step = build.op("relu", "step", x=x)
    start = build.constant(np.array([0], np.int32), "start")
    condition, body = nested(build), nested(build)
    i, total = Value("i", tensor_type(1, dtype=INT32)), Value("total", tensor_type(2))
    go = condition.op("squeeze", x=condition.op("less", x=i, y=n), axes=[0])
    following = body.op("add", x=i, y=np.array([1], np.int32))
    added = body.op("add", x=total, y=step)
    blocks = [condition.block([i, total], [go]), body.block([i, total], [following, added])]
    _, y = structured(build, "while_loop", [i.type, total.type], blocks, loop_vars=(start, x))  # type: ignore[list-item]
    return program(build, [x, n], [y])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_while_loop_runs_its_body_as_often_as_the_condition_says(n: int) -> None:
    run = Runner(while_program(), "main")
    (name,) = run.outputs
    result = run({"x": np.array([1.0, 2.0]), "n": np.array([n])})

    np.testing.assert_array_equal(result[name], [1.0 + n, 2.0 + 2 * n])


def accumulator() -> Program:
    """Adds x to a state and returns what it holds then, and what it held before."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, dtype=FLOAT16))
    state = build.input("total", StateType(tensor_type(2, dtype=FLOAT16)))
    before = read_state(build, state, "before")
    write_state(build, state, build.op("add", "after", x=before, y=x))
    return program(build, [x, state], [read_state(build, state, "now"), before])


def read_state(build: Builder, state: Value, name: str) -> Value:
    assert isinstance(state.type, StateType)
    value = Value(build.unique(name), state.type.wrapped)
    build.operations.append(Operation("read_state", name, {"input": state}, [value]))
    return value


def write_state(build: Builder, state: Value, data: Value) -> None:
    build.operations.append(Operation("write_state", "write", {"input": state, "data": data}, []))


def test_state_lives_from_one_call_to_the_next() -> None:
    run = Runner(accumulator(), "main")
    state = run.make_state()
    x = {"x": np.array([1.0, 2.0])}

    first, second = run(x, state), run(x, state)

    np.testing.assert_array_equal(first["now"], [1, 2])
    np.testing.assert_array_equal(second["now"], [2, 4])
    np.testing.assert_array_equal(second["before"], [1, 2])
    assert second["now"].dtype == np.float16


def test_states_are_independent_and_can_be_read_and_written() -> None:
    run = Runner(accumulator(), "main")
    one, other = run.make_state(), run.make_state()
    one.write("total", np.array([10.0, 20.0]))
    run({"x": np.ones(2)}, one)

    np.testing.assert_array_equal(one.read("total"), [11, 21])
    np.testing.assert_array_equal(other.read("total"), [0, 0])
    with pytest.raises(MlpressError, match=r"'total' has shape \(2,\); the value has \(3,\)"):
        one.write("total", np.ones(3))
    with pytest.raises(MlpressError, match="no state 'cache'; states: total"):
        one.read("cache")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_block_may_write_a_state(precision: Precision) -> None:
    build = Builder(Opset.CoreML8)
    kind = tensor_type(2, dtype=FLOAT16)
    x, flag = build.input("x", kind), build.input("flag", tensor_type(1, dtype=INT32))
    state = build.input("total", StateType(kind))
    predicate = build.op("squeeze", x=build.op("cast", x=flag, dtype="bool"), axes=[0])
    adding, keeping = nested(build), nested(build)
    added = adding.op("add", "added", x=read_state(adding, state, "old"), y=x)
    write_state(adding, state, added)
    kept = read_state(keeping, state, "kept")
    blocks = [adding.block([], [added]), keeping.block([], [kept])]
    (y,) = structured(build, "cond", [kind], blocks, pred=predicate)
    run = Runner(program(build, [x, flag, state], [y]), "main", RunOptions(precision=precision))
    memory = run.make_state()

    seen = [run({"x": np.ones(2), "flag": np.array([flag])}, memory)["cond"][0] for flag in (1, 0, 1)]
    assert seen == [1, 1, 2]
    assert memory.read("total").tolist() == [2, 2]


def test_values_are_those_of_their_own_state_whatever_runs_meanwhile() -> None:
    run = Runner(accumulator(), "main")
    mine, other = run.make_state(), run.make_state()
    mine.write("total", np.array([10.0, 20.0]))
    values = run.values({"x": np.ones(2)}, mine)
    run({"x": np.ones(2)}, other)

    assert {tap.name: tap.tensor.tolist() for tap in values}["now"] == [11, 21]
    np.testing.assert_array_equal(mine.read("total"), [11, 21])
    np.testing.assert_array_equal(other.read("total"), [1, 1])


def test_function_with_states_needs_one_of_its_own() -> None:
    run = Runner(accumulator(), "main")
    stateless = Runner(cond_program(), "main")
    with pytest.raises(MlpressError, match="states total; none was given"):
        run({"x": np.ones(2)})
    with pytest.raises(MlpressError, match=r"states total; the given one has \[\]"):
        run({"x": np.ones(2)}, stateless.make_state())


def test_state_is_a_buffer_of_the_module() -> None:
    module = Runner(accumulator(), "main").module
    module(torch.ones(2))

    assert module(torch.ones(2))["now"].tolist() == [2, 2]
    assert dict(module.named_buffers())["total"].tolist() == [2, 2]


def list_program() -> Program:
    """Writes i * x to place i of a list until i is n, and stacks the list."""
    build = Builder(Opset.CoreML5)
    x, n = build.input("x", tensor_type(2)), build.input("n", tensor_type(dtype=INT32))
    kind = ListType(tensor_type(2), None)
    start = Value(build.unique("start"), kind)
    sizes = {"init_length": build.constant(np.int32(1)), "elem_shape": (build.constant(np.int32(2)),)}
    build.operations.append(Operation("make_list", "start", sizes, [start]))
    testing, body = nested(build), nested(build)
    variables = [
        [block.input("i", tensor_type(dtype=INT32)), block.input("so_far", kind)] for block in (testing, body)
    ]
    goes_on = testing.op("less", x=variables[0][0], y=n)
    i, so_far = variables[1]
    product = body.op("mul", x=body.op("cast", x=i, dtype="fp32"), y=x)
    longer = Value(body.unique("longer"), kind)
    written = {"ls": so_far, "index": i, "value": product}
    body.operations.append(Operation("list_write", "longer", written, [longer]))
    following = body.op("add", x=i, y=np.int32(1))
    outputs = [Value(build.unique("count"), tensor_type(dtype=INT32)), Value(build.unique("filled"), kind)]
    blocks = [testing.block(variables[0], [goes_on]), body.block([i, so_far], [following, longer])]
    loop_vars = (build.constant(np.int32(0)), start)
    build.operations.append(Operation("while_loop", "loop", {"loop_vars": loop_vars}, outputs, blocks))
    y = Value("stacked", tensor_type(None, 2))
    length = Value("length", tensor_type(dtype=INT32))
    build.operations.append(Operation("list_length", "length", {"ls": outputs[1]}, [length]))
    places = {"ls": outputs[1], "indices": build.constant(np.array([2, 0], np.int32))}
    build.operations.append(Operation("list_gather", "stacked", places, [y]))
    return program(build, [x, n], [y, length])


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_loop_fills_a_list(precision: Precision) -> None:
    run = Runner(list_program(), "main", RunOptions(precision=precision))
    result = run({"x": np.array([1.0, 2.0]), "n": np.array(4)})
    np.testing.assert_array_equal(result["stacked"], [[2, 4], [0, 0]])
    assert result["length"] == 4
