"""Whatever a network was compressed with goes into the program in the form that it has.

The grid holds each row of what coremltools' converter makes of compression, the rows where that fails
included: signed integers of 1, 2, 3 and 6 bits, tables of integers behind scales, of vectors or in pruned
weights, pruned vectors, and what was palettized after it was quantized.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

import mlpress
from mlpress.encoding import describe
from mlpress.errors import LegalityError
from mlpress.mil import Literal
from tests.oracle.chains import chains
from tests.oracle.converter.compressed import (
    BEFORE_IOS18,
    BEHIND,
    CASES,
    INTEGER_TABLE,
    Case,
    images,
    network,
)
from tests.zoo.comparison import snr_db

RUNS = [(name, library) for name, case in CASES.items() for library in case.libraries]


def converted(model: Any, target: str, precision: str = "FLOAT32") -> mlpress.MLModel:
    return mlpress.convert(
        model,
        inputs=[mlpress.TensorType("image", (8, 4, 6, 6))],
        minimum_deployment_target=getattr(mlpress.target, target),
        compute_precision=getattr(mlpress.precision, precision),
    )


def operators(model: mlpress.MLModel) -> set[tuple[str, ...]]:
    """The operators behind each weight, in the form that the grid has."""
    found = set()
    for (_, parameter), chain in chains(model.get_spec()).items():
        if parameter == "weight":
            last, *others = re.findall(r"(\w+)\(", chain)
            found.add((last, *sorted(set(others) - {last})))
    return found


def chain_for(case: Case, target: str) -> tuple[str, ...]:
    if target == "iOS17":
        return BEFORE_IOS18[case.chain]
    moves = target == "iOS26" and case.chain == INTEGER_TABLE
    return BEHIND if moves else case.chain


@pytest.mark.parametrize(("name", "library"), RUNS, ids=[f"{name} ({library})" for name, library in RUNS])
def test_every_combination(name: str, library: str) -> None:
    case, image = CASES[name], images(9)
    compressed = case.compress(library, network()).eval()
    expected = compressed(image).detach().numpy()
    traced = torch.jit.trace(compressed, image, check_trace=False)
    for target in ("iOS17", "iOS18", "iOS26") if library == case.libraries[0] else ("iOS18",):
        if target == "iOS17" and not case.before_ios18:
            with pytest.raises(LegalityError, match="needs iOS 18 or later"):
                converted(traced, target)
            continue
        made = converted(traced, target)
        assert operators(made) == {chain_for(case, target)}
        (linear,) = (
            constant.data
            for constant in made.program.functions["main"].block.constants()
            if not isinstance(constant.data, Literal) and constant.data.shape == (16, 256)
        )
        assert case.linear in describe(linear)
        (found,) = made.predict({"image": image.numpy()}).values()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    half = converted(traced, "iOS18", "FLOAT16")
    assert operators(half) == {chain_for(case, "iOS18")}
    (found,) = half.predict({"image": image.numpy()}).values()
    assert snr_db(expected, found) > 40
