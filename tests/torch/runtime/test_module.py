"""A function becomes an ordinary torch module."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpress.bits import FLOAT16, UINT4, Tensor
from mlpress.encoding import Affine, Dense, decode
from mlpress.errors import InvalidProgramError, UnsupportedModelError
from mlpress.mil import Function, Operation, Opset, Program, StateType, Value
from mlpress.ops.builder import Builder
from mlpress.runtime import Runner, RunOptions
from tests.torch.runtime.programs import program, tensor_type

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def linear_program() -> Program:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(None, 3))
    weight = build.constant(WEIGHT, "dense.weight")
    y = build.op(
        "relu", "out", x=build.op("linear", "dense", x=x, weight=weight, bias=np.ones(4, np.float32))
    )
    return program(build, [x], [y])


def test_weights_are_parameters_under_the_names_of_their_constants() -> None:
    module = Runner(linear_program(), "main").module

    assert dict(module.named_parameters()).keys() == {"dense_weight", "dense_bias"}
    np.testing.assert_array_equal(module.dense_weight.detach().numpy(), WEIGHT)


def test_module_takes_tensors_of_any_batch_and_returns_outputs_by_name() -> None:
    module = Runner(linear_program(), "main").module

    for batch in (1, 5):
        x = torch.randn(batch, 3)
        expected = torch.relu(x @ torch.from_numpy(WEIGHT).T + 1)
        torch.testing.assert_close(module(x)["out"], expected)


def test_module_has_gradients_and_hooks() -> None:
    module = Runner(linear_program(), "main").module
    seen: list[object] = []
    module.register_forward_hook(lambda *_: seen.append(1))

    module(torch.ones(2, 3))["out"].sum().backward()

    assert seen == [1]
    assert module.dense_weight.grad.shape == (4, 3)


@pytest.mark.parametrize("weights", ["decoded", "encoded"])
def test_module_moves_to_another_device_with_all_that_it_makes(weights: str) -> None:
    build = Builder(Opset.CoreML8)
    x, total = build.input("x", tensor_type(2, 3)), build.input("total", StateType(tensor_type(2, 4)))
    before = Value("before", tensor_type(2, 4))
    build.operations.append(Operation("read_state", "before", {"input": total}, [before]))
    y = build.op("linear", x=x, weight=build.constant(WEIGHT, "weight"), bias=np.ones(4, np.float32))
    noise = build.op("random_normal", shape=[2, 4], mean=np.float32(0), seed=1)
    scaled = build.op("mul", x=build.op("add", x=y, y=noise), y=np.float32(2))
    out = build.op("add", "out", x=scaled, y=before)
    build.operations.append(Operation("write_state", "write", {"input": total, "data": out}, []))
    run = Runner(program(build, [x, total], [out]), "main", RunOptions(weights=weights))

    result = run.module.to("meta")(torch.ones(2, 3, device="meta"))["out"]
    assert (result.device.type, result.shape) == ("meta", (2, 4))


def test_module_is_traced_whole_by_torch_compile() -> None:
    module = Runner(linear_program(), "main").module
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    x = torch.randn(2, 3)

    torch.testing.assert_close(compiled(x)["out"], module(x)["out"])


def test_constants_that_share_bytes_are_tied() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(3, 3))
    data = Dense(Tensor.from_numpy(np.ones((3, 3), np.float32)))
    first, second = build.constant(data, "first"), build.constant(data, "second")
    y = build.op("linear", x=build.op("linear", x=x, weight=first), weight=second)
    module = Runner(program(build, [x], [y]), "main").module

    assert module.first is module.second


@pytest.mark.parametrize("name", ["forward", "graph", "training", "a.b", "x y"])
def test_constant_may_have_any_name(name: str) -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, 3))
    weight = build.constant(WEIGHT)
    build.operations[-1].name = name  # type: ignore[misc]
    y = build.op("linear", "out", x=x, weight=weight)
    result = Runner(program(build, [x], [y]), "main")({"x": X})

    np.testing.assert_allclose(result["out"], X @ WEIGHT.T, rtol=1e-5)


def test_encoded_weights_give_the_same_result_and_stay_encoded() -> None:
    rng = np.random.default_rng(0)
    integers = Tensor.from_numpy(rng.integers(0, 16, (4, 3)).astype(np.uint8), UINT4)
    scale = Tensor.from_numpy(np.full((4, 1), 0.5, np.float16))
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2, 3, dtype=FLOAT16))
    weight = Affine(Dense(integers), Dense(scale))
    y = build.op("linear", "out", x=x, weight=build.constant(weight, "weight"))
    built = program(build, [x], [y])
    decoded, encoded = (Runner(built, "main", RunOptions(weights=kind)) for kind in ("decoded", "encoded"))

    np.testing.assert_array_equal(decoded({"x": X})["out"], encoded({"x": X})["out"])
    np.testing.assert_allclose(decoded({"x": X})["out"], X @ decode(weight).T, rtol=1e-3)
    assert not list(encoded.module.parameters())


def test_shape_that_the_program_computes() -> None:
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(None, 4))
    batch = build.op("gather", x=build.op("shape", x=x), indices=np.array([0], np.int32))
    shape = build.op("concat", values=[batch, np.array([2, 2], np.int32)], axis=0)
    (y,) = build.typed_op("reshape", "out", [tensor_type(None, 2, 2)], x=x, shape=shape)
    run = Runner(program(build, [x], [y]), "main")

    assert run({"x": np.ones((3, 4))})["out"].shape == (3, 2, 2)
    assert run({"x": np.ones((7, 4))})["out"].shape == (7, 2, 2)


def test_every_operation_that_cannot_be_run_is_listed_at_once() -> None:
    build = Builder(Opset.CoreML5)
    x = build.input("x", tensor_type(1, 2, 3))
    unknown = Operation("warp", "bend", {"x": x}, [Value("bent", x.type)])
    newer = Operation(
        "scaled_dot_product_attention", "attend", {"query": x, "key": x, "value": x}, [Value("seen", x.type)]
    )
    lacking = Operation("softmax", "soft", {}, [Value("soft", x.type)])
    build.operations += [unknown, newer, lacking]
    with pytest.raises(UnsupportedModelError) as error:
        Runner(program(build, [x], lacking.outputs), "main")

    message = str(error.value)
    assert "3 operations" in message
    assert "warp 'bend' in main: unknown op" in message
    assert (
        "scaled_dot_product_attention 'attend' in main: needs iOS 18, the function is for iOS 15" in message
    )
    assert "softmax 'soft' in main: lacks the parameters ['x']" in message


def test_value_that_nothing_defines() -> None:
    ghost = Value("ghost", tensor_type(2))
    block = Builder(Opset.CoreML8).block([], [ghost])
    with pytest.raises(InvalidProgramError, match="'ghost' is used before it is defined"):
        Runner(Program({"main": Function([], Opset.CoreML8, block)}), "main")


def test_nothing_of_the_program_changes() -> None:
    built = linear_program()
    before = [decode(node.data).copy() for node in built.functions["main"].block.constants()]
    run = Runner(built, "main")
    with torch.no_grad():
        run.module.dense_weight.zero_()

    after = [decode(node.data) for node in built.functions["main"].block.constants()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
