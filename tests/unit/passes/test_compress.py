"""Compressing a program: nothing changes in place, shared work is done once, the report says it all."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mlpress.encoding import Dense, decode
from mlpress.errors import LegalityError, RecipeError, StrictError
from mlpress.mil import Opset, Program, canonical_program
from mlpress.passes import Options, compress, decompress, weights
from mlpress.passes.weights import totals
from mlpress.recipe import Palettize, Prune, Quantize, Recipe
from tests.unit.passes.programs import constant, encodings, function, linears, program, random, row, use

PALETTIZE, QUANTIZE = Palettize(nbits=4, weight_threshold=0), Quantize(weight_threshold=0)
JOINT = Prune(sparsity=0.5, weight_threshold=0) >> PALETTIZE >> QUANTIZE


def several() -> Program:
    return linears({f"w{index}": random((32, 16 * (index + 1)), seed=index) for index in range(6)})


def test_the_program_given_is_not_changed() -> None:
    before = several()
    kept = encodings(before)
    compressed, _ = compress(before, JOINT)
    assert encodings(before) == kept
    assert all(isinstance(encoding, Dense) for encoding in kept.values())
    assert not any(isinstance(encoding, Dense) for encoding in encodings(compressed).values())


def test_a_weight_is_compressed_by_all_stages_or_left_bit_for_bit() -> None:
    before = linears({"fits": random((32, 48)), "odd": random((33, 48))})
    compressed, report = compress(
        before, Recipe.of(QUANTIZE) >> Palettize(nbits=4, group_size=16, weight_threshold=0)
    )
    assert row(report, "odd").status == "skipped"
    assert row(report, "odd").reason == "palettize: group_size 16 does not divide the 33 channels of axis 0"
    assert encodings(compressed)["odd"] == encodings(before)["odd"]
    assert row(report, "fits").status == "compressed"


def test_weights_with_nan_are_skipped_and_the_others_compressed() -> None:
    bad = random()
    bad[0, 0] = np.nan
    compressed, report = compress(linears({"bad": bad, "good": random()}), Recipe.of(PALETTIZE))
    assert row(report, "bad").reason == "palettize: 1 of 1536 values are NaN or infinite"
    np.testing.assert_array_equal(decode(encodings(compressed)["bad"]), bad)
    assert row(report, "good").status == "compressed"


def test_strict_makes_every_skip_an_error_that_lists_them() -> None:
    odd = linears({"first": random((33, 48)), "fits": random(), "second": random((35, 48))})
    grouped = Recipe.of(Palettize(nbits=4, group_size=16, weight_threshold=0))
    with pytest.raises(StrictError) as raised:
        compress(odd, grouped, Options(strict=True))
    text = str(raised.value)
    assert text.startswith("the model cannot be compressed as asked")
    assert "first: palettize: group_size 16" in text
    assert "second: palettize" in text
    assert "fits" not in text


def test_a_rule_that_matches_no_weight_is_reported_and_strict_refuses_it() -> None:
    recipe = Recipe.of(PALETTIZE.but(op_types={"cov": None}, names={"heads*": None}))
    _, report = compress(several(), recipe)
    assert report.unmatched == ("steps[0].op_types: 'cov'", "steps[0].names: 'heads*'")
    assert "matches no weight: steps[0].names: 'heads*'" in str(report)
    with pytest.raises(StrictError, match="matches no weight"):
        compress(several(), recipe, Options(strict=True))


def test_users_of_a_small_constant_need_not_agree() -> None:
    small = constant("small", random((4, 4)))
    users = (use("linear", "a", "weight", small.output), use("mul", "b", "y", small.output))
    recipe = Recipe.of(Palettize(nbits=4).but(op_types={"linear": None}))
    _, report = compress(program(small, *users), recipe)
    assert row(report, "small").reason == "its 16 elements are not more than weight_threshold, 2048"


def test_strict_does_not_mind_weights_that_nothing_was_asked_of() -> None:
    small = linears({"small": random((4, 4)), "large": random()})
    compress(small, Recipe.of(Quantize(weight_threshold=100)), Options(strict=True))


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (
            Recipe.of(Palettize(nbits=3, weight_threshold=0)),
            "'w': 3-bit palettization needs iOS 18 or later; the model",
        ),
        (Recipe.of(Quantize(dtype="int4", weight_threshold=0)), "4-bit quantization needs iOS 18"),
        (JOINT, "joint compression needs iOS 18"),
    ],
)
def test_what_the_target_cannot_express_is_an_error(recipe: Recipe, reason: str) -> None:
    with pytest.raises(LegalityError, match=reason):
        compress(linears({"w": random()}, opset=Opset.CoreML7), recipe)


def test_nothing_can_be_compressed_before_ios16() -> None:
    with pytest.raises(LegalityError, match="need iOS 16 or later; the model targets iOS 15"):
        compress(linears({"w": random()}, opset=Opset.CoreML5), Recipe.of(QUANTIZE))


def test_a_weight_that_would_get_larger_is_left() -> None:
    before = linears({"w": random((16, 16))})
    compressed, report = compress(before, Recipe.of(Palettize(nbits=8, weight_threshold=0)))
    assert row(report, "w").status == "skipped"
    assert (
        row(report, "w").reason
        == "it would not get smaller: 512 B now, 768 B as 8-bit palette · float16 table"
    )
    assert encodings(compressed) == encodings(before)


def test_a_constant_of_several_operators_is_compressed_once() -> None:
    weight = constant("w", random())
    shared = program(weight, *(use("linear", name, "weight", weight.output) for name in "abc"))
    calls: list[tuple[int, int, str]] = []
    _, report = compress(shared, Recipe.of(PALETTIZE), Options(progress=lambda *call: calls.append(call)))
    assert calls == [(1, 1, "w")]
    assert row(report, "w").operations == (("linear", "a"), ("linear", "b"), ("linear", "c"))


def two_functions() -> Program:
    """Two functions whose constants lie over the same bytes."""
    first = constant("w", random())
    second = constant("v", random())
    second.data = first.data
    return Program(
        {
            "one": function(first, use("linear", "op", "weight", first.output)),
            "two": function(second, use("linear", "op", "weight", second.output)),
        }
    )


def test_functions_that_share_a_weight_still_share_it_and_it_counts_once() -> None:
    calls: list[object] = []
    compressed, report = compress(two_functions(), JOINT, Options(progress=lambda *call: calls.append(call)))
    assert len(calls) == 1
    assert encodings(compressed, "one")["w"] is encodings(compressed, "two")["v"]
    assert [found.function for found in report] == ["one", "two"]
    assert report.nbytes_before == 2 * 32 * 48
    assert report.nbytes_after == row(report, "w").nbytes_after


def test_shared_weights_stay_shared_through_decompression_and_repeated_tables() -> None:
    compressed, report = compress(two_functions(), Quantize(weight_threshold=0) >> PALETTIZE)
    alone, alone_report = compress(linears({"w": random()}), Quantize(weight_threshold=0) >> PALETTIZE)
    assert report.after == alone_report.after
    written = canonical_program(compressed)
    assert encodings(written, "one")["w"] is encodings(written, "two")["v"]
    assert totals(weights(written)) == totals(weights(canonical_program(alone))) == report.after
    plain = decompress(compressed)
    assert encodings(plain, "one")["w"] is encodings(plain, "two")["v"]
    assert totals(weights(plain)) == report.before


def test_progress_is_told_after_each_weight() -> None:
    calls: list[tuple[int, int, str]] = []
    compress(several(), JOINT, Options(progress=lambda *call: calls.append(call)))
    assert [call[:2] for call in calls] == [(done, 6) for done in range(1, 7)]
    assert {call[2] for call in calls} == {f"w{index}" for index in range(6)}


@pytest.mark.parametrize(
    "options",
    [Options(workers=2), Options(workers=8), Options(executor=ThreadPoolExecutor(2), workers=2)],
    ids=["two workers", "more workers than weights", "an executor of threads"],
)
def test_however_the_work_is_spread_the_bytes_are_the_same(options: Options) -> None:
    alone, report = compress(several(), JOINT)
    spread, spread_report = compress(several(), JOINT, options)
    assert encodings(spread) == encodings(alone)
    assert spread_report.rows == report.rows


def test_processes_as_executor() -> None:
    alone, _ = compress(several(), JOINT)
    with ProcessPoolExecutor(2) as executor:
        spread, _ = compress(several(), JOINT, Options(executor=executor, workers=2))
    assert encodings(spread) == encodings(alone)


class Counting(Executor):
    """Does the work at once and remembers how many jobs it was given."""

    def __init__(self) -> None:
        self.count = 0

    def submit(self, call: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        self.count += 1
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **more))
        except BaseException as error:
            future.set_exception(error)
        return future


def test_only_weights_with_something_to_do_are_handed_to_an_executor() -> None:
    executor = Counting()
    of = linears({"w": random(), "small": random((4, 4))})
    compress(of, Recipe.of(Quantize(weight_threshold=100)), Options(executor=executor))
    assert executor.count == 1


def fail(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    raise OSError("no luck")


@pytest.mark.parametrize("options", [Options(), Options(workers=2), Options(executor=Counting())])
def test_an_error_in_a_users_function_comes_out_as_it_is(options: Options) -> None:
    custom = Palettize(mode="custom", lut_function=fail, weight_threshold=0)
    with pytest.raises(OSError, match="no luck"):
        compress(several(), Recipe.of(custom), options)


@pytest.mark.parametrize("workers", [0, -1, "two"])
def test_at_least_one_worker(workers: Any) -> None:
    with pytest.raises(RecipeError, match=f"workers is {workers!r}"):
        Options(workers=workers)


def test_decompress_gives_the_decoded_values_and_leaves_its_input_alone() -> None:
    compressed, _ = compress(several(), JOINT)
    kept = encodings(compressed)
    dense = encodings(decompress(compressed))
    assert encodings(compressed) == kept
    for name, encoding in dense.items():
        assert isinstance(encoding, Dense)
        np.testing.assert_array_equal(decode(encoding), decode(kept[name]))
