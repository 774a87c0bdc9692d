"""Weights, and the shortest way to compress one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, decode
from mlpress.fit.apply import Fitted, Job, run
from mlpress.fit.layout import Layout
from mlpress.recipe import Stage


def weight(shape: tuple[int, ...] = (32, 48), dtype: type = np.float16, seed: int = 0) -> np.ndarray:
    """Values like those of a trained layer: channels of different size, and a few outliers."""
    random = np.random.default_rng(seed)
    scale = random.uniform(0.05, 1, size=(shape[0],) + (1,) * (len(shape) - 1))
    return (random.standard_t(4, size=shape) * scale).astype(dtype)


def outcome(values: np.ndarray, *stages: Stage, layout: Layout | None = None) -> Fitted | str:
    """What the stages make of a weight: an encoding, or the reason why not."""
    return run(Job(Dense(Tensor.from_numpy(values)), stages, layout or Layout()))


def fit(values: np.ndarray, *stages: Stage, layout: Layout | None = None) -> Encoding:
    """The encoding that the stages make of a weight."""
    result = outcome(values, *stages, layout=layout)
    assert isinstance(result, Fitted), result
    return result.encoding


def refusal(values: np.ndarray, *stages: Stage, layout: Layout | None = None) -> str:
    """The reason why the stages cannot be applied to a weight."""
    result = outcome(values, *stages, layout=layout)
    assert isinstance(result, str), result
    return result


def squared_error(values: Any, encoding: Encoding) -> float:
    return float(np.square(values.astype(np.float64) - decode(encoding).astype(np.float64)).sum())
