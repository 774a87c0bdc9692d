"""The whole grid of techniques, granularities, bits and combinations, beside coremltools.

The same configurations go to both libraries. Both have to write the same chain of constexpr operators, with
the same dtypes and shapes, except where the table below says that coremltools is wrong or wasteful, and why.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as peer
import numpy as np
import pytest

import mlpress.optimize.coreml as ours
from mlpress.errors import LegalityError
from tests.oracle.cases import Case, Steps, grid
from tests.oracle.chains import chains, decoded_here, decoded_there

CASES = list(grid())

PEER_FAILS = "coremltools raises an error"
PEER_SKIPS = "coremltools returns the model unchanged by the last step, and says nothing"
CHAINS_DIFFER = "both work and write different chains"
WOULD_GROW = "chains differ for weights that the last step would make larger: they are left alone here"
REFUSED = "coremltools raises an error; here the last step is refused for every weight, with the reason"


@dataclass(frozen=True)
class Difference:
    """A case in which the two libraries differ, and why."""

    name: str
    targets: tuple[str, ...]
    what: str
    why: str


_BOTH = ("iOS18", "iOS26")

DIFFERENCES = (
    Difference(
        "palettize 4 scale per channel",
        _BOTH,
        CHAINS_DIFFER,
        "coremltools has one scale for each input position, not for each output channel as it documents",
    ),
    *(
        Difference(
            name, ("iOS26",), PEER_FAILS, "its pass reshapes the scale to two axes, which fits matrices only"
        )
        for name in (
            "palettize 4, quantize",
            "palettize 6, quantize uint8",
            "palettize 4, quantize linear",
            "palettize 4 groups, quantize",
            "palettize 4 scale per channel, quantize",
        )
    ),
    Difference("palettize 4 vectors, quantize", ("iOS26",), PEER_FAILS, "its pass forgets vector_axis"),
    Difference(
        "palettize 4 scale per channel, quantize",
        ("iOS18",),
        CHAINS_DIFFER,
        "coremltools does not quantize the table, and says nothing",
    ),
    Difference(
        "palettize 4, quantize per channel", _BOTH, REFUSED, "a table has no channels: it takes one scale"
    ),
    Difference(
        "quantize blocks, palettize 4",
        ("iOS18",),
        WOULD_GROW,
        "the table is repeated for every block before iOS 26",
    ),
    Difference(
        "quantize int4, palettize 2", _BOTH, PEER_FAILS, "it makes a table of int4, which there is not"
    ),
    Difference(
        "prune, palettize vectors",
        _BOTH,
        REFUSED,
        "single weights were dropped, and vectors go whole or not at all",
    ),
    Difference(
        "palettize vectors, prune",
        _BOTH,
        REFUSED,
        "single weights would be dropped, and vectors go whole or not at all",
    ),
    Difference("prune, palettize scale per channel", _BOTH, PEER_FAILS, "it scales the list of kept values"),
    Difference("palettize scale per channel, prune", _BOTH, PEER_FAILS, "it does not know the chain"),
    Difference("palettize, quantize, prune", _BOTH, PEER_FAILS, "it does not know the chain"),
    Difference("quantize, palettize, prune", _BOTH, PEER_FAILS, "it does not know the chain"),
    Difference("prune, quantize, palettize", _BOTH, PEER_SKIPS, "it does not know the chain"),
    Difference("quantize, prune, palettize", _BOTH, PEER_SKIPS, "it does not know the chain"),
)


def difference_for(case: Case) -> str | None:
    found = [rule.what for rule in DIFFERENCES if rule.name == case.name and case.target in rule.targets]
    assert len(found) < 2
    return found[0] if found else None


@pytest.fixture(scope="module")
def run(built: Callable[[str], Any]) -> Iterator[Callable[[Any, Steps, str], Any]]:
    """Runs steps with either library, each beginning of a list of steps once."""

    @cache
    def run_steps(library: Any, steps: Steps, target: str) -> Any:
        if not steps:
            return built(target)
        before = run_steps(library, steps[:-1], target)
        return steps[-1].run(library, before, joint=len(steps) > 1)

    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield run_steps
    logging.disable(logging.NOTSET)


def decompressed_there(model: Any, folder: Path) -> dict[Any, np.ndarray]:
    """What coremltools' `decompress_weights` makes of a model saved here."""
    model.save(folder / "model.mlpackage")
    loaded = ct.models.MLModel(str(folder / "model.mlpackage"), skip_model_load=True)
    decompressed = peer.decompress_weights(loaded)
    assert not chains(decompressed.get_spec())
    return decoded_there(decompressed)


def squared_errors(values: dict[Any, np.ndarray], originals: dict[Any, np.ndarray]) -> dict[Any, float]:
    return {
        key: float(np.square(value.astype(np.float64) - originals[key].astype(np.float64)).sum())
        for key, value in values.items()
    }


def assert_same_bits(values: dict[Any, np.ndarray], expected: dict[Any, np.ndarray]) -> None:
    assert set(values) == set(expected)
    for key in values:
        assert values[key].dtype == expected[key].dtype, key
        np.testing.assert_array_equal(values[key], expected[key], err_msg=str(key))


@pytest.mark.parametrize("case", [case for case in CASES if case.expressible], ids=str)
def test_case(case: Case, run: Callable[..., Any], tmp_path: Path) -> None:
    what = difference_for(case)
    model = run(ours, case.steps, case.target)
    values = decoded_here(model)
    assert_same_bits(decompressed_there(model, tmp_path), values)
    if what == REFUSED:
        rows = [row for row in model.compression_report if row.status != "left"]
        assert all(row.status == "skipped" and row.reason for row in rows)
        assert rows
    if what in (PEER_FAILS, REFUSED):
        with pytest.raises(Exception):  # noqa: B017 (of many types)
            run(peer, case.steps, case.target)
        return

    theirs = run(peer, case.steps, case.target)
    here, there = chains(model.get_spec()), chains(theirs.get_spec())
    # An operator whose table another one makes has no value of its own in coremltools.
    has_made_tables = any("lut=blockwise" in chain for chain in there.values())
    their_values = decoded_there(peer.decompress_weights(theirs) if has_made_tables else theirs)
    assert_same_bits(decoded_here(theirs), their_values)
    different = {key for key in {*here, *there} if here.get(key) != there.get(key)}
    if what == WOULD_GROW:
        rows = [row for row in model.compression_report.skipped if "not get smaller" in row.reason]
        kept = {name for row in rows for _, name in row.operations}
        assert different
        assert {operator for operator, _ in different} <= kept
    elif what is not None:
        assert different
        if what == PEER_SKIPS:
            assert there == chains(run(peer, case.steps[:-1], case.target).get_spec())
    else:
        assert here == there

    if "palettize" not in case.techniques:
        assert_same_bits(values, their_values)
    elif case.techniques[-1] == "palettize" and what is None:
        originals = decoded_here(run(ours, (), case.target))
        assert_error_no_larger(
            case, squared_errors(values, originals), squared_errors(their_values, originals)
        )


def assert_error_no_larger(case: Case, error: dict[Any, float], their_error: dict[Any, float]) -> None:
    """k-means on scalars is the optimum here.

    Evenly spaced entries are no optimum of anything, and on vectors both libraries search: there, a weight
    may come out a little better or worse.
    """
    slack = 1.01 if "uniform" in case.name else 1.1 if "vectors" in case.name else 1 + 1e-6
    assert all(error[key] <= their_error[key] * slack for key in error), (error, their_error)


def test_vectors_have_no_larger_error_on_average(run: Callable[..., Any]) -> None:
    originals = decoded_here(run(ours, (), "iOS18"))
    ratios = []
    for case in CASES:
        if "vectors" in case.name and case.target == "iOS18" and case.techniques == ("palettize",):
            error = squared_errors(decoded_here(run(ours, case.steps, case.target)), originals)
            their_error = squared_errors(decoded_there(run(peer, case.steps, case.target)), originals)
            ratios += [error[key] / their_error[key] for key in error if their_error[key]]
    assert len(ratios) > 40
    assert np.exp(np.mean(np.log(ratios))) <= 1


@pytest.mark.parametrize("case", [case for case in CASES if not case.expressible], ids=str)
def test_what_the_target_cannot_express_is_an_error_in_both(case: Case, run: Callable[..., Any]) -> None:
    with pytest.raises(LegalityError, match="needs iOS 18"):
        run(ours, case.steps, case.target)
    with pytest.raises(Exception):  # noqa: B017 (of many types)
        run(peer, case.steps, case.target)


def test_every_difference_is_about_a_case() -> None:
    known = {(case.name, case.target) for case in CASES if case.expressible}
    assert {(rule.name, target) for rule in DIFFERENCES for target in rule.targets} <= known
