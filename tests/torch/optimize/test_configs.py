"""Configurations: scopes, forms to write them in, and what is refused."""

from __future__ import annotations

import copy
import operator
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from mlpress.errors import RecipeError
from mlpress.optimize.torch.layerwise_compression import ModuleGPTQConfig
from mlpress.optimize.torch.optimization_config import PalettizationGranularity
from mlpress.optimize.torch.palettization import (
    ModuleDKMPalettizerConfig,
    ModulePostTrainingPalettizerConfig,
    PostTrainingPalettizerConfig,
)
from mlpress.optimize.torch.quantization import (
    LinearQuantizerConfig,
    ModulePostTrainingQuantizerConfig,
    PostTrainingQuantizerConfig,
    QuantizationScheme,
)

LAYER = nn.Linear(4, 4)


def test_nothing_said_is_the_default_for_all_modules() -> None:
    config = PostTrainingPalettizerConfig()
    assert config.get_module_config("any.name", LAYER) == ModulePostTrainingPalettizerConfig()
    assert PostTrainingPalettizerConfig.from_dict({}) == config


def test_the_most_particular_scope_wins() -> None:
    config = PostTrainingPalettizerConfig.from_dict(
        {
            "global_config": {"n_bits": 8},
            "module_type_configs": {"Linear": {"n_bits": 6}, nn.Conv2d: None},
            "module_name_configs": {r"head\..*": {"n_bits": 2}, "head.last": {"n_bits": 1}},
        }
    )
    assert config.get_module_config("head.last", LAYER).n_bits == 2  # the first that matches
    assert config.get_module_config("body.head.x", LAYER).n_bits == 6  # a name is matched as a whole
    assert config.get_module_config("body", nn.Conv2d(1, 1, 1)) is None
    assert config.get_module_config("body", nn.Embedding(2, 2)).n_bits == 8


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Linear", nn.Linear),
        ("torch.nn.Linear", nn.Linear),
        ("operator.add", operator.add),
        ("torch.cat", torch.cat),
        ("relu", nn.functional.relu),
        ("OwnModule", "OwnModule"),
    ],
)
def test_types_and_functions_by_name(name: str, meant: object) -> None:
    config = LinearQuantizerConfig.from_dict({"module_type_configs": {name: None}})
    assert config.module_type_configs == {meant: None}


def test_scopes_can_be_set_one_by_one() -> None:
    config = (
        PostTrainingPalettizerConfig()
        .set_global(None)
        .set_module_type(nn.Linear, ModulePostTrainingPalettizerConfig(n_bits=2))
        .set_module_name("skip", None)
    )
    assert config.get_module_config("skip", LAYER) is None
    assert config.get_module_config("other", LAYER).n_bits == 2
    assert config.get_module_config("other", nn.Embedding(2, 2)) is None


def test_dictionaries_and_yaml_hold_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "global_config: {weight_dtype: uint4, granularity: per_block, block_size: 16}\n"
        "module_name_configs: {head: null}\n"
    )
    config = PostTrainingQuantizerConfig.from_yaml(str(file))
    assert config == PostTrainingQuantizerConfig.from_dict(config.as_dict())
    assert (
        config.as_dict()["global_config"]
        == ModulePostTrainingQuantizerConfig(
            weight_dtype="uint4", granularity="per_block", block_size=(16,)
        ).as_dict()
    )
    with file.open() as stream:
        assert PostTrainingQuantizerConfig.from_yaml(stream) == config


def test_types_of_torch_and_their_names_mean_the_same() -> None:
    assert ModulePostTrainingQuantizerConfig(torch.uint8) == ModulePostTrainingQuantizerConfig("uint8")
    assert ModulePostTrainingQuantizerConfig("uint4").weight_n_bits == 4
    assert ModuleDKMPalettizerConfig(lut_dtype="uint8") == ModuleDKMPalettizerConfig(lut_dtype="u8")


def test_types_are_read_as_those_of_torch_that_hold_them() -> None:
    config = LinearQuantizerConfig.from_dict({"global_config": {"weight_dtype": "qint4"}}).global_config
    assert (config.weight_dtype, config.weight_n_bits) == (torch.qint8, 4)
    assert config.activation_dtype == torch.quint8
    config.weight_dtype = torch.quint8
    assert (config.weight_dtype, config.weight_n_bits) == (torch.quint8, 8)
    copied = copy.deepcopy(config)
    assert copied == config and copied.weight_dtype == torch.quint8
    assert ModulePostTrainingPalettizerConfig(lut_dtype="int8").lut_dtype == torch.int8
    assert ModulePostTrainingPalettizerConfig().lut_dtype is None
    assert ModuleGPTQConfig("uint3").weight_dtype == torch.uint8
    assert ModuleDKMPalettizerConfig().dtype == torch.qint8


def test_enumerations_and_their_names_mean_the_same() -> None:
    by_name = ModulePostTrainingPalettizerConfig(granularity="per_grouped_channel", group_size=4)
    assert by_name.granularity is PalettizationGranularity.per_grouped_channel
    assert ModulePostTrainingQuantizerConfig(quantization_scheme=QuantizationScheme.affine) == (
        ModulePostTrainingQuantizerConfig(quantization_scheme="affine")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nbits": 4}, "there is no 'nbits'; it takes n_bits, lut_dtype"),
        ({"n_bits": 5}, "n_bits is 5: allowed: 1, 2, 3, 4, 6, 8"),
        ({"n_bits": 4.0}, "n_bits is 4.0"),
        ({"lut_dtype": "int4"}, "lut_dtype is 'int4': allowed: int8, uint8"),
        ({"granularity": "per_block"}, "allowed: per_tensor, per_grouped_channel"),
        ({"granularity": "per_grouped_channel"}, "group_size goes with granularity 'per_grouped_channel'"),
        ({"group_size": 4}, "group_size goes with granularity 'per_grouped_channel'"),
        ({"channel_axis": 2}, "channel_axis is 2: allowed: 0, 1"),
        (
            {"cluster_dim": 2, "enable_per_channel_scale": True},
            "enable_per_channel_scale goes with cluster_dim 1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        PostTrainingPalettizerConfig.from_dict({"global_config": arguments})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"globl_config": {}}, "there is no 'globl_config'; it takes global_config, module_type_configs"),
        ({"global_config": 4}, "4 is no configuration; allowed: ModulePostTrainingPalettizerConfig"),
        ({"module_name_configs": {"(": None}}, "'(' is no regular expression"),
        ({"module_name_configs": ["a"]}, "it maps modules to configurations"),
    ],
)
def test_scopes_that_make_no_sense_are_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        PostTrainingPalettizerConfig.from_dict(data)


def test_a_field_is_checked_when_it_is_set_later() -> None:
    config = ModulePostTrainingPalettizerConfig()
    with pytest.raises(RecipeError, match="n_bits is 7"):
        config.n_bits = 7


def test_a_scheme_is_one_for_the_model() -> None:
    with pytest.raises(RecipeError, match="quantization_scheme has to be the same in all"):
        PostTrainingQuantizerConfig.from_dict(
            {"global_config": {}, "module_type_configs": {"Linear": {"quantization_scheme": "affine"}}}
        )
