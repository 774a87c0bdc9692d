"""Compiled graphs compute what the others do. Compiling takes seconds and a C++ compiler: one test does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch._inductor import compile_fx

import mlpress
from mlpress import Palettize, Quantize, Step, compress, quantize_activations
from mlpress.mil import Opset, Program
from mlpress.ops.builder import Builder
from mlpress.runtime import Runner, RunOptions
from mlpress.runtime.build import build
from mlpress.runtime.fast import uses_fast_kernels
from tests.torch.runtime.programs import program, tensor_type
from tests.torch.runtime.test_control_flow import accumulator


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Lets kernels of this package take part, where the machine has fast ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.compiler.reset()


def residual_network() -> Program:
    """Windows of 3 x 3 and of 1 x 1, an addition, and a stride."""
    random = np.random.default_rng(0)
    build = Builder(Opset.CoreML8)

    def conv(x: object, channels: int, into: int, window: int, stride: int = 1) -> object:
        weight = random.normal(0, 1 / window, (channels, into, window, window)).astype(np.float32)
        bias = np.ones(channels, np.float32)
        return build.op("conv", x=x, weight=weight, bias=bias, pad_type="same", strides=[stride, stride])

    x = build.input("x", tensor_type(1, 3, 32, 32))
    first = build.op("relu", x=conv(x, 16, 3, 3, stride=2))
    y = conv(build.op("relu", x=conv(first, 32, 16, 3)), 16, 32, 1)
    y = conv(build.op("relu", x=build.op("add", x=first, y=y)), 32, 16, 1, stride=2)
    return program(build, [x], [build.op("reduce_mean", "pooled", x=y, axes=[2, 3], keep_dims=False)])


def test_a_compiled_network_agrees_with_the_plain_one() -> None:
    built = residual_network()
    plain, compiled = (Runner(built, "main", RunOptions(compile=each)) for each in (False, True))

    for seed in range(2):
        image = {"x": np.random.default_rng(seed).normal(size=(1, 3, 32, 32)).astype(np.float32)}
        np.testing.assert_allclose(compiled(image)["pooled"], plain(image)["pooled"], rtol=1e-4, atol=1e-5)


class Sentences(nn.Module):
    """Rows of an embedding, linear layers of floats, and between codes sums, a function and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.wide, self.same = nn.Embedding(50, 64), nn.Linear(64, 256), nn.Linear(256, 256)
        self.mix, self.last = nn.Conv1d(256, 256, 1), nn.Linear(256, 64)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.nn.functional.silu(self.wide(self.words(x)))
        x = torch.relu(self.mix((self.same(x) + x).transpose(1, 2)).transpose(1, 2) + x)
        return self.last(x)


def test_a_compiled_network_calls_fast_kernels() -> None:
    torch.manual_seed(0)
    words = torch.randint(0, 50, (2, 5))
    model = mlpress.convert(
        Sentences().eval(),
        inputs=[mlpress.TensorType("x", (2, 5), dtype=np.int32)],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    in_codes = quantize_activations(model, [{"x": words}], Step(Quantize(), {"linear": None})).model
    made = compress(in_codes, Step(Quantize(), {"linear": Palettize(nbits=4)})).model
    main = made.program.functions["main"]
    assert uses_fast_kernels(build("main", main, RunOptions(compile=True)))
    results = {}
    for how in (RunOptions(), RunOptions(compile=True), RunOptions(kernels="exact")):
        made.run_options = how
        results[how] = next(iter(made.predict({"x": words}).values()))
    plain, compiled, exact = results.values()
    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)
    assert np.abs(compiled - exact).max() < 0.02 * np.abs(exact).max()


class Images(nn.Module):
    """Float convolutions between codes, a pool of an image as it came in, and a sum of both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.nn.functional.max_pool2d(x, 3, 1, 1)
        return self.second(torch.relu(3 * self.first(x) + pooled + 0.5))


def test_images_in_codes_are_laid_out_and_scaled_as_in_the_plain_network() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 4, 6)
    model = mlpress.convert(
        Images().eval(),
        inputs=[mlpress.TensorType("x", (1, 8, 4, 6))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    made = quantize_activations(model, [{"x": x}]).model
    plain, compiled = made, made.with_program(made.program)
    compiled.run_options = RunOptions(compile=True)
    expected, found = (next(iter(each.predict({"x": x}).values())) for each in (plain, compiled))
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_states_are_no_constants_and_each_new_one_is_not_compiled_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs: list[fx.GraphModule] = []

    def keep(graph: fx.GraphModule, _: object) -> fx.GraphModule:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(compile_fx, "compile_fx", keep)
    run = Runner(accumulator(), "main", RunOptions(compile=True))
    for start in (1, 2, 3):
        state = run.make_state()
        state.write("total", np.full(2, start))
        run({"x": np.full(2, 10)}, state)
        assert run({"x": np.full(2, 10)}, state)["now"].tolist() == [20 + start] * 2
        assert state.read("total").tolist() == [20 + start] * 2

    assert len(graphs) == 1
