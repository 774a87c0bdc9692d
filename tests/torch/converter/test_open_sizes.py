"""Programs of open sizes compute for every size what torch does, or are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mlpress
from mlpress.errors import MlpressError
from mlpress.mil import Constant
from tests.torch.converter.running import Calls

Function = Callable[[Tensor], Tensor]
SIZES = ((12, 16), (8, 12), (13, 27), (90, 70))


def _resized() -> Iterator[tuple[str, Function]]:
    for mode in ("bilinear", "nearest", "nearest-exact"):
        for factor in (2.0, 1.5, 0.5):
            yield f"{mode} by {factor}", lambda x, m=mode, f=factor: F.interpolate(x, scale_factor=f, mode=m)
        yield (
            f"{mode} to another size",
            lambda x, m=mode: F.interpolate(x, size=(2 * x.shape[2] + 1, x.shape[3] // 2), mode=m),
        )
    yield (
        "by a factor made anew",
        lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear", recompute_scale_factor=True),
    )
    yield (
        "with corners in place",
        lambda x: F.interpolate(x, size=(x.shape[2] + 3, 40), mode="bilinear", align_corners=True),
    )
    yield (
        "along one axis to another size",
        lambda x: F.interpolate(x.flatten(1, 2), size=3 * x.shape[3] // 2, mode="linear"),
    )
    yield "along one axis", lambda x: F.interpolate(x.flatten(1, 2), scale_factor=1.3, mode="linear")


FUNCTIONS: dict[str, Function] = {
    **dict(_resized()),
    "a part": lambda x: x[:, :, : math.floor(x.shape[2] / 3)],
    "a rounded part": lambda x: x[:, :, : round(x.shape[2] / 3)],
    "over a root": lambda x: x / x.shape[2] ** 0.5,
    "over the number of elements": lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]),
    "equal distances": lambda x: x + torch.linspace(-1, 1, x.shape[3]),
    "an identity matrix": lambda x: x @ torch.eye(x.shape[3]),
    "positions": lambda x: x + torch.arange(x.shape[3]) / x.shape[3],
    "buckets of positions": lambda x: x + (7.3 * torch.log(torch.arange(x.shape[3]) + 1.0)).long(),
    "a triangle": torch.tril,
    "above a diagonal": lambda x: (x @ x.mT).masked_fill(
        torch.ones(x.shape[2], x.shape[2]).triu(1).bool(), 0.5
    ),
    "uneven parts": lambda x: torch.cat(x.tensor_split(3, 2)[::-1], 2),
    "a roll": lambda x: torch.roll(x, (1, 2), (2, 3)),
    "a pool": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "a pool with dilation": lambda x: F.max_pool2d(x, 3, 2, 1, dilation=2),
    "a number of the tensor": lambda x: x * int(100 * x.max().item()),
}


def converted(function: Function, precision: str = "FLOAT32") -> mlpress.MLModel:
    size = mlpress.RangeDim(6, 100, 12), mlpress.RangeDim(6, 100, 16)
    return mlpress.convert(
        Calls(function).eval(),
        inputs=[mlpress.TensorType("x", (1, 4, *size))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=getattr(mlpress.precision, precision),
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_size(name: str) -> None:
    function = FUNCTIONS[name]
    exact, half = converted(function), converted(function, "FLOAT16")
    for size in SIZES:
        x = torch.randn(1, 4, *size).half().float()
        expected = function(x).numpy()
        (found,) = exact.predict({"x": x}).values()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        half.run_options = mlpress.RunOptions(precision="float16")
        (rounded,) = half.predict({"x": x}).values()
        np.testing.assert_allclose(rounded, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("target", ["iOS15", "iOS17"])
def test_an_image_takes_the_size_of_another(target: str) -> None:
    class Pyramid(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            small = F.max_pool2d(x, 2)
            return x + F.interpolate(small, size=x.shape[2:], mode="bilinear")

    made = mlpress.convert(
        Pyramid().eval(),
        inputs=[mlpress.TensorType("x", (1, 4, mlpress.RangeDim(6, 99), mlpress.RangeDim(6, 99)))],
        minimum_deployment_target=getattr(mlpress.target, target),
        compute_precision=mlpress.precision.FLOAT32,
    )
    operations = made.program.functions["main"].block.operations
    kinds = [each.type for each in operations if not isinstance(each, Constant)]
    assert ("resize" in kinds) == (target == "iOS17")
    for size in SIZES:
        x = torch.randn(1, 4, *size)
        (found,) = made.predict({"x": x}).values()
        np.testing.assert_allclose(found, Pyramid()(x), rtol=1e-4, atol=1e-4)


def branch(x: Tensor) -> Tensor:
    return 2 * x if x.shape[2] > 10 else x


REFUSED: dict[str, tuple[Function, str]] = {
    "a branch": (branch, r"decides by an open size at .*test_open_sizes\.py:\d+: return 2 \* x if"),
    "a cut": (
        lambda x: x[:, :, : int(x.shape[2] * 0.5)],
        r"right where .*, and not for s\d+ = 6 \(s\d+ is axis 2",
    ),
    "a fixed size": (lambda x: x + torch.zeros(16), "axis 3 of 'inputs_0' .* is 16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_right_for_some_sizes_only_is_refused(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(MlpressError, match=reason):
        converted(function)


def test_sizes_that_a_branch_takes_in_one_way_are_converted() -> None:
    made = mlpress.convert(
        Calls(branch).eval(),
        inputs=[mlpress.TensorType("x", (1, 4, mlpress.RangeDim(11, 99), 5))],
        minimum_deployment_target=mlpress.target.iOS18,
    )
    assert made.predict({"x": np.ones((1, 4, 50, 5))})
