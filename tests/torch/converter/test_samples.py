"""What leaves float16's range on samples stays in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlpress
from mlpress import MLModel, bits
from mlpress.errors import MlpressError
from mlpress.mil import Operation
from mlpress.runtime import RunOptions

SAMPLE = {"x": np.full((1, 4), 200.0, np.float32)}


class Squares(nn.Module):
    """Squares of a few hundred leave float16's range; the results do not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu((x * x) * (x + 1)).sqrt() + x


def converted(model: nn.Module, samples: Any, **options: Any) -> MLModel:
    options = {"minimum_deployment_target": mlpress.target.iOS16, "samples": samples, **options}
    return mlpress.convert(model.eval(), inputs=[mlpress.TensorType("x", (1, 4))], **options)


def in_float16(model: MLModel) -> np.ndarray:
    model.run_options = RunOptions(precision="float16")
    (found,) = model.predict(SAMPLE).values()
    return found


def dtypes(model: MLModel) -> dict[str, bits.DType]:
    operations = model.program.functions["main"].block.operations
    return {node.type: node.outputs[0].type.dtype for node in operations if isinstance(node, Operation)}


@pytest.mark.parametrize(
    "samples", [[SAMPLE], lambda model: [dict.fromkeys(model.interface.inputs, SAMPLE["x"])]]
)
def test_what_overflows_and_what_takes_it_stay_in_float32(samples: Any) -> None:
    model = converted(Squares(), samples)
    np.testing.assert_allclose(in_float16(model), 200 * 201**0.5 + 200, rtol=1e-3)
    found = dtypes(model)
    assert found["relu"] == found["sqrt"] == bits.FLOAT32
    assert "reaches 8.04e+06 on the samples, beyond float16's range" in str(model.conversion_report)


def test_without_samples_that_overflow_everything_is_float16() -> None:
    model = converted(Squares(), [{"x": np.ones((1, 4), np.float32)}])
    assert not model.conversion_report.islands
    assert set(dtypes(model).values()) == {bits.FLOAT16}


def test_samples_are_read_once_one_after_the_other() -> None:
    done: list[tuple[int, int | None, str]] = []

    def stream() -> Iterator[dict[str, np.ndarray]]:
        yield {"x": np.ones((1, 4), np.float32)}
        assert len(done) == 1
        yield SAMPLE

    model = converted(Squares(), stream(), progress=lambda *state: done.append(state))
    assert len(done) == 2
    assert model.conversion_report.islands


def test_an_output_beyond_float16_is_float32() -> None:
    class Large(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x * x

    np.testing.assert_allclose(in_float16(converted(Large(), [SAMPLE])), 8e6, rtol=1e-3)


def test_sums_with_a_clamped_mask_stay_in_float16() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.where(torch.arange(4) < 2, 0.0, torch.finfo(torch.float32).min)
            return (mask - 9 * torch.tanh(x)).softmax(-1)

    model = converted(Masked(), [SAMPLE])
    assert not model.conversion_report.islands
    assert model.conversion_report.clamped
    np.testing.assert_allclose(in_float16(model), [[0.5, 0.5, 0, 0]], rtol=1e-3)


@pytest.mark.parametrize(
    "samples, options, error, message",
    [
        ([], {}, MlpressError, "no samples"),
        ([{"y": SAMPLE["x"]}], {}, MlpressError, "sample 0: .*'y'"),
        ([{"x": np.ones((1, 5), np.float32)}], {}, MlpressError, "sample 0: .*shape"),
        ([{"x": np.full((1, 4), np.nan, np.float32)}], {}, MlpressError, "sample 0: input 'x' holds NaN"),
        (3, {}, TypeError, "samples is a int; allowed: an iterable"),
        (SAMPLE, {}, TypeError, "samples is a dict; allowed: an iterable"),
        ([5], {}, TypeError, "sample 0 is a int"),
        ([SAMPLE], {"compute_precision": mlpress.precision.FLOAT32}, MlpressError, "FLOAT32"),
    ],
)
def test_bad_samples_are_explained(
    samples: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        converted(Squares(), samples, **options)
