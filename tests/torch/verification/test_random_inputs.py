from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlpress.errors import MlpressError
from mlpress.models import Interface
from mlpress.models.prediction import Enumerated, Fixed, Ranged
from mlpress.models.prediction.inputs import to_program
from mlpress.verification.random_inputs import random_inputs
from mlpress.verification.random_shapes import shape_plan
from tests.unit.models.descriptions import UNBOUNDED, array, image, interface, plain


def draw(model: Interface, count: int = 40, seed: int = 0, **bounds: int) -> list[dict]:
    return list(random_inputs(model, model, bounds, count, seed))


INTERFACES = {
    "fixed": interface(array("x", 1, 3)),
    "half": interface(array("x", 1, 3, dtype="FLOAT16")),
    "enumerated": interface(array("x", 1, 3, enumerated=[(1, 3), (2, 3), (5, 3)])),
    "two lists": interface(
        array("x", 1, 3, enumerated=[(1, 3), (2, 3)]), array("m", 4, enumerated=[(4,), (8,)])
    ),
    "ranges": interface(array("x", 4, 3, ranges=[(1, 512), (3, 3)]), array("m", 4, ranges=[(1, 512)])),
    "no end": interface(array("x", 4, 3, ranges=[(1, UNBOUNDED), (3, 3)])),
    "integers": interface(array("i", 1, 7, dtype="INT32")),
    "optional": interface(array("x", 1, 3, optional=True), array("y", 2)),
    "numbers": interface(plain("a", "int64Type"), plain("b", "doubleType")),
    "colour": interface(image("x", "RGB")),
    "turned": interface(image("x", "BGR", enumerated=[(4, 3), (8, 6)])),
    "grey": interface(image("x", "GRAYSCALE", widths=(2, 9), heights=(2, 7))),
    "half grey": interface(image("x", "GRAYSCALE_FLOAT16")),
}


@pytest.mark.parametrize("name", INTERFACES)
def test_every_sample_is_one_that_the_model_takes(name: str) -> None:
    for sample in draw(INTERFACES[name]):
        to_program(INTERFACES[name].inputs, sample)
        assert set(sample) == set(INTERFACES[name].inputs)


def test_the_default_shape_comes_first_then_all_others() -> None:
    shapes = [sample["x"].shape for sample in draw(INTERFACES["enumerated"], 4)]
    assert shapes[0] == (1, 3)
    assert set(shapes) == {(1, 3), (2, 3), (5, 3)}


def test_sequences_of_one_range_have_one_length() -> None:
    samples = draw(INTERFACES["ranges"])
    assert samples[0]["x"].shape == (4, 3)
    assert all(sample["x"].shape[0] == sample["m"].shape[0] for sample in samples)
    assert len({sample["m"].shape for sample in samples}) > 10


def test_sizes_stay_small_where_the_largest_is_huge_or_there_is_none() -> None:
    for name in ("no end", "ranges"):
        assert all(1 <= sample["x"].shape[0] <= 64 for sample in draw(INTERFACES[name]))


def test_shapes_are_those_that_both_models_take() -> None:
    wide, narrow = {"x": Ranged(((1, 512),), (128,))}, {"x": Fixed((7,))}
    random = np.random.default_rng(0)
    for pair in ((wide, narrow), (narrow, wide)):
        assert {plan["x"] for plan in itertools.islice(shape_plan(*pair, random), 20)} == {(7,)}
    some = {"x": Enumerated(((7,), (9,), (11,)), (11,))}
    other = {"x": Enumerated(((9,), (7,)), (9,))}
    assert {plan["x"] for plan in itertools.islice(shape_plan(some, other, random), 20)} == {(7,), (9,)}


def test_no_common_shape() -> None:
    with pytest.raises(MlpressError, match="input 'x' has different shapes: one model takes 3, the other 4"):
        next(shape_plan({"x": Fixed((3,))}, {"x": Fixed((4,))}, np.random.default_rng(0)))


def test_integers_stay_within_their_table_and_reach_all_of_it() -> None:
    values = np.concatenate([sample["i"].ravel() for sample in draw(INTERFACES["integers"], i=5)])
    assert set(values) == {0, 1, 2, 3, 4}
    assert set(np.concatenate([sample["i"].ravel() for sample in draw(INTERFACES["integers"])])) == {0, 1}


def test_floats_are_normal() -> None:
    values = np.concatenate([sample["x"].ravel() for sample in draw(INTERFACES["fixed"], 2000)])
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


def test_both_models_see_the_same_numbers_if_one_takes_float16() -> None:
    fixed, half = INTERFACES["fixed"], INTERFACES["half"]
    for pair in ((fixed, half), (half, fixed)):
        for sample in random_inputs(*pair, {}, 5, 0):
            assert (sample["x"].astype(np.float16) == sample["x"]).all()


def test_more_samples_begin_with_the_same_ones() -> None:
    few, many = draw(INTERFACES["ranges"], 3), draw(INTERFACES["ranges"], 9)
    for ours, theirs in zip(few, many, strict=False):
        np.testing.assert_equal(ours, theirs)
    assert not np.array_equal(
        draw(INTERFACES["fixed"], 1, seed=1)[0]["x"], draw(INTERFACES["fixed"], 1)[0]["x"]
    )
