"""Compiled graphs compute what the others do. Compiling takes seconds and a C++ compiler: one test."""

from __future__ import annotations

import numpy as np

from mlpress.mil import Opset
from mlpress.ops.builder import Builder
from mlpress.runtime import Runner, RunOptions
from tests.torch.runtime.programs import program, tensor_type


def test_a_compiled_network_agrees_with_the_plain_one() -> None:
    random = np.random.default_rng(0)
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(1, 3, 8, 8))
    weight = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    y = build.op("conv", x=x, weight=weight, bias=np.ones(4, np.float32), pad_type="same")
    y = build.op("relu", x=y)
    y = build.op("reduce_mean", "pooled", x=y, axes=[2, 3], keep_dims=False)
    built = program(build, [x], [y])
    plain, compiled = (Runner(built, "main", RunOptions(compile=each)) for each in (False, True))

    for seed in range(2):
        image = {"x": np.random.default_rng(seed).normal(size=(1, 3, 8, 8)).astype(np.float32)}
        np.testing.assert_allclose(compiled(image)["pooled"], plain(image)["pooled"], rtol=1e-4, atol=1e-5)
