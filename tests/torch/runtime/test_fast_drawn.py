"""Fast kernels give what exact arithmetic gives, whatever the layers, the encodings and the codes are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import fx

from mlpress import RunOptions
from mlpress.kernels import code_conv, encoded
from mlpress.mil import Program
from mlpress.runtime.build import build
from mlpress.runtime.fast.opaque import Opaque
from tests.torch.runtime.drawn_programs import feature_program, image_program


class Telling(fx.Interpreter):
    """Runs a graph, and checks what compiled graphs would be told of the results of its modules."""

    def call_module(self, target, args, kwargs):
        result = super().call_module(target, args, kwargs)
        module = self.fetch_attr(target)
        if isinstance(module, Opaque):
            told = module.like(*args)
            assert (told.shape, told.dtype) == (result.shape, result.dtype)
        return result


@pytest.mark.parametrize("draw", [image_program, feature_program])
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=1094)  # one channel for two, whose window takes no step along a row
@example(seed=1623)  # a pool of one channel, before a window that takes no step
def test_results_are_those_of_exact_arithmetic(draw: Callable[[int], tuple[Program, np.ndarray]], seed: int):
    program, numbers = draw(seed)
    x = torch.from_numpy(numbers.astype(np.float32))
    function = program.functions["main"]
    graphs = []
    for own_kernels in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            for kernel in (encoded, code_conv):
                patch.setattr(kernel, "is_fast", lambda own_kernels=own_kernels: own_kernels)
            graphs += [build("main", function, RunOptions(weights=how)) for how in ("decoded", "encoded")]
    with torch.no_grad():
        exact = build("main", function, RunOptions(kernels="exact"))(x)
        results = [Telling(graph).run(x) for graph in graphs]
    for found in results:
        for name, expected in exact.items():
            # Sums that are no codes may have more bits than float32.
            limit = 1e-6 * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(found[name], expected, rtol=0, atol=limit)
