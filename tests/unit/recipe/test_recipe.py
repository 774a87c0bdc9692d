"""Recipes say what to do, and to which weights, in Python and in YAML."""

import io

import numpy as np
import pytest

from mlpress import Palettize, Prune, Quantize, Recipe, Step
from mlpress.errors import RecipeError

JOINT = Prune(sparsity=0.8) >> Palettize(nbits=4) >> Quantize(dtype="int8")

YAML = """
steps:
  - prune: {sparsity: 0.8}
  - palettize: {nbits: 4, group_size: 16}
    op_types:
      conv: {palettize: {nbits: 6}}
      gather:
    names:
      "head_*":
  - quantize: {dtype: int8, granularity: per_tensor}
"""


def test_stages_compose_in_order():
    assert [step.stage for step in JOINT.steps] == [
        Prune(sparsity=0.8),
        Palettize(nbits=4),
        Quantize(dtype="int8"),
    ]
    assert Prune(sparsity=0.8) >> (Palettize(nbits=4) >> Quantize(dtype="int8")) == JOINT


def test_a_recipe_reads_from_yaml_and_writes_the_same_back(tmp_path):
    recipe = Recipe.from_yaml(io.StringIO(YAML))
    assert recipe == (
        Prune(sparsity=0.8)
        >> Palettize(nbits=4, group_size=16).but(
            op_types={"conv": Palettize(nbits=6), "gather": None}, names={"head_*": None}
        )
        >> Quantize(dtype="int8", granularity="per_tensor")
    )
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert Recipe.from_yaml(file) == recipe


def test_the_most_particular_rule_wins():
    step = Palettize(nbits=4).but(
        op_types={"conv": Palettize(nbits=6), "gather": None},
        names={"stem*": Palettize(nbits=8), "w_*": Palettize(nbits=2)},
    )
    assert step.stage_for("a", [("linear", "fc")]) == Palettize(nbits=4)
    assert step.stage_for("a", [("conv", "c1")]) == Palettize(nbits=6)
    assert step.stage_for("a", [("gather", "g")]) is None
    assert step.stage_for("a", [("conv", "stem_conv")]) == Palettize(nbits=8)
    assert step.stage_for("w_1", [("conv", "stem_conv")]) == Palettize(nbits=2)


def test_users_of_a_shared_constant_have_to_agree():
    step = Palettize(nbits=4).but(op_types={"conv": None})
    assert step.stage_for("w", [("linear", "a"), ("linear", "b")]) == Palettize(nbits=4)
    with pytest.raises(RecipeError, match=r"'w' is shared by linear 'a'.*conv 'c'.*name the constant"):
        step.stage_for("w", [("linear", "a"), ("conv", "c")])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Prune, {}, "exactly one of sparsity, n_m_ratio and threshold"),
        (Prune, {"sparsity": 0.5, "threshold": 0.1}, "exactly one"),
        (Prune, {"sparsity": 1.5}, "less than or equal to 1"),
        (Prune, {"n_m_ratio": (3, 2)}, r"\(n, m\) with 0 <= n <= m, not \(3, 2\)"),
        (Prune, {"threshold": 0.1, "block_size": 4}, "block_size goes with sparsity"),
        (Prune, {"sparsity": 0.5, "dim": 1}, "dim goes with block_size or n_m_ratio"),
        (Prune, {"sparsity": 0.5, "minimum_sparsity": 0.1}, "minimum_sparsity goes with threshold"),
        (Palettize, {"nbits": 5}, r"nbits is 5; mode 'kmeans' takes one of \(1, 2, 3, 4, 6, 8\)"),
        (Palettize, {"mode": "unique", "nbits": 4}, "finds nbits by itself"),
        (Palettize, {"mode": "custom"}, "lut_function goes with mode 'custom'"),
        (Palettize, {"nbits": 4, "mode": "uniform", "cluster_dim": 2}, "cluster_dim has to be 1"),
        (Palettize, {"nbits": 4, "groups": 3}, "Palettize has no argument 'groups'; it takes .*nbits"),
        (Quantize, {"dtype": "int7"}, "'int8', 'uint8', 'int4' or 'uint4'"),
        (Quantize, {"granularity": "per_row"}, "'per_tensor', 'per_channel' or 'per_block'"),
        (Quantize, {"weight_threshold": -1}, "weight_threshold is -1: .*greater than or equal to 0"),
        (
            Prune,
            {"threshold": 0.1, "method": "sparse_gpt"},
            "'sparse_gpt' goes with sparsity, or with n_m_rat",
        ),
        (Prune, {"n_m_ratio": (2, 4), "dim": 0, "method": "sparse_gpt"}, "n_m_ratio along dim 1"),
        (Palettize, {"mode": "unique", "method": "sensitive"}, "method 'sensitive' goes with mode 'kmeans'"),
        (Quantize, {"method": "sensitive"}, "method is 'sensitive': .*'gptq'"),
        (Palettize, {"nbits": "4"}, "nbits is '4': Input should be a valid integer"),
    ],
)
def test_impossible_stages_are_refused(kind, arguments, message):
    with pytest.raises(RecipeError, match=message):
        kind(**arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: []", "steps is empty"),
        ("steps: 3", "one key, 'steps', that holds a list"),
        ("stages: []", "one key, 'steps'"),
        ("steps: [palettize]", r"steps\[0\] is 'palettize'"),
        ("steps: [{squeeze: {}}]", "exactly one of prune, palettize, quantize"),
        ("steps: [{palettize: {bits: 4}}]", r"steps\[0\].palettize: .*no argument 'bits'; it takes"),
        ("steps: [{palettize: {nbits: 5}}]", r"steps\[0\].palettize: .*nbits is 5"),
        ("steps: [{palettize: {nbits: 4}, names: {a: {nbits: 2}}}]", r"steps\[0\].names.a"),
        ("steps: [{palettize: {nbits: 4}, op_types: conv}]", "maps names to stages or null"),
        ("steps: [", "not YAML"),
    ],
)
def test_a_bad_file_is_refused_by_the_place_that_is_wrong(text, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_yaml(io.StringIO(text))


def test_exceptions_that_match_nothing_are_known():
    step = Palettize(nbits=4).but(op_types={"conv": None, "cov": None}, names={"a*": None, "z*": None})
    assert step.unmatched([("w", [("conv", "a1")]), ("v", [("linear", "b")])]) == [
        "op_types: 'cov'",
        "names: 'z*'",
    ]


def test_methods_that_take_samples():
    step = Palettize(nbits=4).but(op_types={"conv": Quantize(dtype="int4", method="gptq")})
    assert step.needs_data
    assert (Prune(sparsity=0.5) >> step).needs_data
    assert not JOINT.needs_data
    assert Recipe.from_dict(Recipe.of(step).to_dict()) == Recipe.of(step)


def test_numbers_of_numpy_are_numbers():
    assert Palettize(nbits=np.int64(4)) == Palettize(nbits=4)
    assert Prune(n_m_ratio=[1, 2]) == Prune(n_m_ratio=(1, 2))


def test_only_stages_make_a_recipe():
    with pytest.raises(RecipeError, match="not 'palettize'"):
        Prune(sparsity=0.5) >> "palettize"
    with pytest.raises(RecipeError, match="Prune, Palettize, Quantize or None"):
        Step("palettize")


def test_a_function_has_no_written_form():
    recipe = Recipe.of(Palettize(mode="custom", lut_function=lambda weights: ([0.0], [0])))
    with pytest.raises(RecipeError, match="lut_function"):
        recipe.to_yaml()


@pytest.mark.parametrize(
    ("dtype", "mode", "low", "high", "middle"),
    [
        ("int8", "linear_symmetric", -127, 127, 0),
        ("int8", "linear", -128, 127, -1),
        ("uint8", "linear_symmetric", 0, 254, 127),
        ("uint8", "linear", 0, 255, 127),
        ("int4", "linear_symmetric", -7, 7, 0),
        ("uint4", "linear_symmetric", 0, 14, 7),
        ("uint4", "linear", 0, 15, 7),
    ],
)
def test_symmetric_ranges_leave_out_one_integer(dtype, mode, low, high, middle):
    stage = Quantize(dtype=dtype, mode=mode)
    assert (stage.low, stage.high, stage.middle) == (low, high, middle)
