"""Configurations under coremltools' names: what they accept and refuse, and the stage they become."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest

from mlpress.errors import MlpressError, RecipeError
from mlpress.optimize.coreml import (
    OpLinearQuantizerConfig,
    OpMagnitudePrunerConfig,
    OpPalettizerConfig,
    OpThresholdPrunerConfig,
    OptimizationConfig,
)
from mlpress.recipe import Palettize, Prune, Quantize

NESTED = {
    "config_type": "OpPalettizerConfig",
    "global_config": {"nbits": 4},
    "op_type_configs": {
        "conv": {"nbits": 6, "granularity": "per_grouped_channel", "group_size": 16},
        "gather": None,
    },
    "op_name_configs": {"head": {"config_type": "OpLinearQuantizerConfig", "dtype": "int4"}},
}
YAML = """
config_type: OpPalettizerConfig
global_config:
  nbits: 4
op_type_configs:
  conv:
    nbits: 6
    granularity: per_grouped_channel
    group_size: 16
  gather: null
op_name_configs:
  head:
    config_type: OpLinearQuantizerConfig
    dtype: int4
"""


def nested() -> OptimizationConfig:
    return OptimizationConfig(
        OpPalettizerConfig(nbits=4),
        {
            "conv": OpPalettizerConfig(nbits=6, granularity="per_grouped_channel", group_size=16),
            "gather": None,
        },
        {"head": OpLinearQuantizerConfig(dtype="int4")},
    )


def test_from_dict() -> None:
    assert OptimizationConfig.from_dict(NESTED) == nested()


def test_from_yaml_by_path_and_by_open_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(YAML, encoding="utf-8")
    assert OptimizationConfig.from_yaml(str(tmp_path / "config.yaml")) == nested()
    assert OptimizationConfig.from_yaml(io.StringIO(YAML)) == nested()


def test_set_one_after_the_other() -> None:
    config = OptimizationConfig()
    config.set_global(OpPalettizerConfig(nbits=4))
    config.set_op_type("conv", OpPalettizerConfig(nbits=6, granularity="per_grouped_channel", group_size=16))
    config.set_op_type("gather", None)
    config.set_op_name("head", OpLinearQuantizerConfig(dtype="int4"))
    assert config == nested()


def test_from_dict_leaves_its_argument_alone() -> None:
    before = copy.deepcopy(NESTED)
    OptimizationConfig.from_dict(NESTED)
    assert before == NESTED


def test_configurations_do_not_share_their_dictionaries() -> None:
    first, second = OptimizationConfig(), OptimizationConfig()
    first.set_op_type("conv", None)
    assert second.op_type_configs == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "config_type is None; it has to be one of OpLinearQuantizerConfig, OpMagnitudePrunerConfig"),
        ({"config_type": "Nothing", "global_config": {}}, "config_type is 'Nothing'; it has to be one of"),
        (
            {**NESTED, "op_name_config": {}},
            "unknown key 'op_name_config'; allowed: config_type, global_config",
        ),
        (
            {**NESTED, "global_config": {"nbit": 4}},
            "OpPalettizerConfig has no argument 'nbit'; it takes mode, nbits",
        ),
        (
            {**NESTED, "global_config": {"nbits": 5}},
            r"nbits is 5; mode 'kmeans' takes one of \(1, 2, 3, 4, 6, 8\)",
        ),
        ({**NESTED, "global_config": 4}, "4 is no configuration"),
        ({**NESTED, "op_type_configs": ["conv"]}, r"op_type_configs is \['conv'\]; it maps names"),
        ({**NESTED, "op_name_configs": {"a": {"config_type": "OpX"}}}, "config_type is 'OpX'"),
    ],
)
def test_unknown_keys_and_bad_values_are_refused_by_name(data: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        OptimizationConfig.from_dict(data)


@pytest.mark.parametrize(
    ("text", "reason"), [("a: [", "not YAML"), ("- 1", r"holds \[1\]"), ("", "holds None")]
)
def test_a_file_that_is_no_configuration(text: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        OptimizationConfig.from_yaml(io.StringIO(text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OptimizationConfig.from_yaml(str(tmp_path / "nothing.yaml"))


@pytest.mark.parametrize("bad", ["kmeans", 4, {"nbits": 4}, OptimizationConfig()])
def test_what_is_no_configuration_is_refused(bad: Any) -> None:
    for attempt in (
        lambda: OptimizationConfig(bad),
        lambda: OptimizationConfig(op_type_configs={"conv": bad}),
        lambda: OptimizationConfig(op_name_configs={"conv": bad}),
        lambda: OptimizationConfig().set_global(bad),
        lambda: OptimizationConfig().set_op_type("conv", bad),
        lambda: OptimizationConfig().set_op_name("conv", bad),
    ):
        with pytest.raises(RecipeError, match="is no configuration"):
            attempt()


@pytest.mark.parametrize(
    "config",
    [OpMagnitudePrunerConfig(target_sparsity=0.5, block_size=2), OpMagnitudePrunerConfig(n_m_ratio=(2, 4))],
)
def test_patterns_are_for_conv_and_linear(config: OpMagnitudePrunerConfig) -> None:
    OptimizationConfig(op_type_configs={"conv": config, "linear": config})
    with pytest.raises(RecipeError, match="for conv and linear operators, not 'gather'"):
        OptimizationConfig(op_type_configs={"gather": config})


@pytest.mark.parametrize(
    ("config", "stage"),
    [
        (OpLinearQuantizerConfig(), Quantize(granularity="per_channel")),
        (
            OpLinearQuantizerConfig("LINEAR", "uint4", "PER_BLOCK", 16),
            Quantize(mode="linear", dtype="uint4", granularity="per_block", block_size=16),
        ),
        (
            OpLinearQuantizerConfig(granularity="per_block", block_size=[0, 8]),
            Quantize(granularity="per_block", block_size=(0, 8)),
        ),
        (OpPalettizerConfig(nbits=4), Palettize(nbits=4)),
        (OpPalettizerConfig(nbits=4, granularity="per_grouped_channel"), Palettize(nbits=4, group_size=32)),
        (OpPalettizerConfig(mode="UNIQUE"), Palettize(mode="unique")),
        (
            OpPalettizerConfig(nbits=4, enable_per_channel_scale=True),
            Palettize(nbits=4, per_channel_scale=True),
        ),
        (OpMagnitudePrunerConfig(target_sparsity=0.8), Prune(sparsity=0.8)),
        (
            OpMagnitudePrunerConfig(target_sparsity=0.8, block_size=4),
            Prune(sparsity=0.8, block_size=4, dim=0),
        ),
        (OpMagnitudePrunerConfig(n_m_ratio=[2, 4]), Prune(n_m_ratio=(2, 4), dim=1)),
        (OpThresholdPrunerConfig(threshold=0.01), Prune(threshold=0.01, minimum_sparsity=0.5)),
        (
            OpThresholdPrunerConfig(weight_threshold=7),
            Prune(threshold=1e-12, minimum_sparsity=0.5, weight_threshold=7),
        ),
    ],
)
def test_each_configuration_says_what_a_stage_says(config: Any, stage: Any) -> None:
    assert config.stage() == stage


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: OpLinearQuantizerConfig(mode="cubic"), "mode"),
        (lambda: OpLinearQuantizerConfig(dtype="int16"), "dtype"),
        (lambda: OpLinearQuantizerConfig(granularity="per_grouped_channel"), "granularity"),
        (lambda: OpLinearQuantizerConfig(block_size=-1), "block_size"),
        (lambda: OpLinearQuantizerConfig(weight_threshold=-1), "weight_threshold"),
        (lambda: OpPalettizerConfig(), "nbits is None"),
        (lambda: OpPalettizerConfig(nbits=4, granularity="per_block"), "granularity is 'per_block'"),
        (lambda: OpPalettizerConfig(nbits=4, granularity="per_grouped_channel", group_size=-1), "group_size"),
        (lambda: OpPalettizerConfig(mode="custom"), "lut_function goes with mode 'custom'"),
        (lambda: OpPalettizerConfig(mode="uniform", nbits=4, cluster_dim=2), "cluster_dim has to be 1"),
        (lambda: OpMagnitudePrunerConfig(), "exactly one of target_sparsity and n_m_ratio"),
        (lambda: OpMagnitudePrunerConfig(target_sparsity=2), "sparsity"),
        (lambda: OpMagnitudePrunerConfig(target_sparsity=0.5, dim=3), "dim"),
        (lambda: OpThresholdPrunerConfig(threshold=-1), "threshold"),
        (lambda: OpThresholdPrunerConfig(minimum_sparsity_percentile=1.5), "minimum_sparsity"),
    ],
)
def test_values_that_are_not_allowed_are_refused_when_given(make: Any, reason: str) -> None:
    with pytest.raises(MlpressError, match=reason):
        make()


def test_names_are_taken_literally() -> None:
    step = OptimizationConfig(op_name_configs={"a[0]*": OpPalettizerConfig(nbits=4)}).step()
    assert step.stage_for("a[0]*", []) == Palettize(nbits=4)
    assert step.stage_for("a0b", []) is None


def test_const_is_no_type_of_operators_that_use_weights() -> None:
    with pytest.raises(RecipeError, match="op type 'const' is no user of weights"):
        OptimizationConfig().set_op_type("const", OpPalettizerConfig(nbits=4))


def test_a_ratio_may_be_a_list_as_in_yaml() -> None:
    config = OptimizationConfig.from_dict(
        {"config_type": "OpMagnitudePrunerConfig", "global_config": {"n_m_ratio": [2, 4]}}
    )
    assert config.global_config == OpMagnitudePrunerConfig(n_m_ratio=(2, 4))
