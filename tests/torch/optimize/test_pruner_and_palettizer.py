"""Pruning and palettization in training, alone and together."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError, StrictError
from mlpress.nn.metadata import encodings, load
from mlpress.optimize.torch.palettization import (
    DKMPalettizer,
    DKMPalettizerConfig,
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)
from mlpress.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig
from mlpress.optimize.torch.quantization import PostTrainingQuantizer
from tests.torch.optimize.training_loop import batch, network, same_state, train

GROUPS_OF_8 = {"granularity": "per_grouped_channel", "group_size": 8}

INPUTS_FIRST = {"cluster_permute": (1, 0)}


def pruner(model: nn.Module, **config: object) -> MagnitudePruner:
    return MagnitudePruner(model, MagnitudePrunerConfig.from_dict({"global_config": config}))


def palettizer(model: nn.Module, **config: object) -> DKMPalettizer:
    config = {"weight_threshold": 100, **config}
    return DKMPalettizer(model, DKMPalettizerConfig.from_dict({"global_config": config}))


def described(model: nn.Module) -> dict[str, str]:
    return {name: describe(encoding) for name, encoding in encodings(model.state_dict()).items()}


def check_decoded(model: nn.Module) -> None:
    """The weights are what their encodings say, bit for bit."""
    for name, encoding in encodings(model.state_dict()).items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), decode(encoding))


def test_a_constant_schedule_prunes_without_training() -> None:
    model = network()
    before = copy.deepcopy(model)
    optimizer = pruner(model, target_sparsity=0.75)
    optimizer.prepare()
    optimizer.step()
    pruned = optimizer.finalize()
    assert same_state(model, before)
    assert type(pruned[4]) is nn.Linear
    assert described(pruned)["4.weight"] == "sparse 75% · float32"
    kept = pruned[4].weight != 0
    assert torch.equal(pruned[4].weight[kept], model[4].weight[kept])
    assert model[4].weight[kept].abs().min() > model[4].weight[~kept].abs().max()


def test_mask_and_trained_weight_have_the_names_that_torch_gives_them() -> None:
    optimizer = pruner(network(), target_sparsity=0.5)
    prepared = optimizer.prepare()
    optimizer.step()
    for model in (prepared, copy.deepcopy(prepared)):
        layer = model[4]
        assert torch.equal(layer.weight, layer.weight_orig * layer.weight_mask)
        assert (layer.weight_mask == 0).float().mean() == 0.5
    assert not hasattr(optimizer.finalize()[4], "weight_mask")
    assert not hasattr(palettizer(network()).prepare()[4], "weight_mask")


def test_sparsity_grows_with_the_schedule() -> None:
    optimizer = pruner(network(), target_sparsity=0.8, scheduler={"update_steps": [1, 3], "power": 1})
    model = optimizer.prepare()
    seen = []
    for step in range(4):
        train(model, [optimizer], steps=1, first=step)
        seen.append(optimizer.report()["4"]["unstructured_weight_sparsity"])
    assert seen == pytest.approx([0, 0, 0.8, 0.8], abs=0.001)


def test_dropped_weights_get_no_gradient_but_can_come_back() -> None:
    optimizer = pruner(nn.Sequential(nn.Linear(4, 2)), initial_sparsity=0.5)
    model = optimizer.prepare()
    model(torch.ones(1, 4)).sum().backward()
    original = model[0].parametrizations.weight.original
    mask = model[0].weight != 0
    assert torch.equal(original.grad != 0, mask)
    assert (original != 0).all()


@pytest.mark.parametrize(
    ("config", "sparsity"),
    [({"n_m_ratio": (3, 4)}, 0.75), ({"block_size": 4}, 0.5), ({"granularity": "per_channel"}, 0.5)],
    ids=str,
)
def test_patterns(config: dict[str, object], sparsity: float) -> None:
    optimizer = pruner(network(), **config)
    optimizer.prepare()
    optimizer.step()
    weight = optimizer.finalize()[4].weight
    assert float((weight == 0).float().mean()) == pytest.approx(sparsity, abs=0.01)


def test_a_pattern_that_does_not_fit_is_reported_or_an_error() -> None:
    config = {"block_size": 12}
    optimizer = pruner(network(), **config)
    optimizer.prepare()
    reason = "block_size is 12, more than half of the 16 channels"
    assert optimizer.report().skipped["0.weight"] == reason
    with pytest.raises(StrictError, match=reason):
        pruner(network(), **config).prepare(strict=True)


def test_the_report_has_all_modules_and_their_mean() -> None:
    optimizer = pruner(network(), initial_sparsity=0.5)
    optimizer.prepare()
    report = optimizer.report()
    assert list(report) == ["0", "4", "6", "global"]
    assert report["global"]["#params"] == 16 * 27 + 256 * 32 + 32 * 8
    assert report["global"]["unstructured_weight_sparsity"] == pytest.approx(0.5, abs=0.001)


def test_palettization_begins_at_its_milestone() -> None:
    optimizer = palettizer(network(), n_bits=2, milestone=2)
    model = optimizer.prepare()
    seen = []
    for step in range(4):
        seen.append(len(model.eval()[4].weight.unique()) == 4)
        train(model, [optimizer], steps=1, first=step)
    assert seen == [False, False, False, True]


def test_what_was_trained_is_what_comes_out() -> None:
    optimizer = palettizer(network(), n_bits=3)
    model = optimizer.prepare()
    train(model, [optimizer])
    inputs, _ = batch(9)
    expected = model.eval()(inputs)
    final = optimizer.finalize()
    assert described(final) == {
        "0.weight": "3-bit palette · float32 table",
        "4.weight": "3-bit palette · float32 table",
        "6.weight": "3-bit palette · float32 table",
    }
    check_decoded(final)
    assert torch.equal(final(inputs), expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GROUPS_OF_8, "2-bit palette x4 · float32 table"),
        ({"cluster_dim": 4}, "2-bit palette of 4-vectors · float32 table"),
        ({"enable_per_channel_scale": True}, "2-bit palette · float32 table · 32 scales"),
        ({"lut_dtype": "i8"}, "2-bit palette · int8 table"),
        ({"lut_dtype": "u8", "cluster_dim": 2}, "2-bit palette of 2-vectors · uint8 table"),
        ({"lut_dtype": "f16"}, "2-bit palette · float32 table"),
        ({"enforce_zero": True}, "2-bit palette · float32 table"),
        ({"enforce_zero": True, "prune_threshold": 0.0}, "2-bit palette · float32 table"),
        ({"palett_mode": "hard"}, "2-bit palette · float32 table"),
        ({"palett_mode": "gsm", "palett_tau": 0.01}, "2-bit palette · float32 table"),
        (INPUTS_FIRST, "2-bit palette · float32 table"),
        ({**INPUTS_FIRST, **GROUPS_OF_8}, "2-bit palette x32 · float32 table"),
        ({**INPUTS_FIRST, "cluster_dim": 4}, "2-bit palette of 4-vectors · float32 table"),
        (
            {"cluster_permute": (1, 0), "enable_per_channel_scale": True},
            "2-bit palette · float32 table · 256 scales",
        ),
        ({"add_extra_centroid": True}, "sparse 20% · 2-bit palette · float32 table"),
        (
            {"add_extra_centroid": True, "cluster_dim": 2},
            "sparse 16% · 2-bit palette of 2-vectors · float32 table",
        ),
        ({"add_extra_centroid": True, "lut_dtype": "i8"}, "sparse 20% · 2-bit palette · int8 table"),
        ({"percentage_palett_enable": 0.5, **GROUPS_OF_8}, "2-bit palette x4 · float32 table"),
    ],
    ids=str,
)
def test_forms_of_palettes(config: dict[str, object], expected: str) -> None:
    optimizer = palettizer(network(), n_bits=2, **config)
    model = optimizer.prepare()
    train(model, [optimizer], steps=2)
    inputs, _ = batch(9)
    before = model.eval()(inputs)
    final = optimizer.finalize()
    assert described(final)["4.weight"] == expected
    check_decoded(final)
    torch.testing.assert_close(final(inputs), before)
    values = final[4].weight
    if "enforce_zero" in config:  # and no weight is zero before
        assert (values == 0).any() == ("prune_threshold" not in config)
    if config.get("lut_dtype") == "f16":
        assert torch.equal(values, values.half().float())


@pytest.mark.parametrize("cluster_dim", [1, 2])
def test_evaluation_takes_the_nearest_entry(cluster_dim: int) -> None:
    model = nn.Sequential(nn.Linear(64, 64))
    with torch.no_grad():
        model[0].weight.normal_(mean=1000, std=0.1)  # products of such numbers lose their differences
    optimizer = palettizer(model, n_bits=4, cluster_dim=cluster_dim, prune_threshold=0.0)
    optimizer.prepare()
    final = optimizer.finalize()
    encoding = load(final[0], "weight")
    entries = decode(encoding.table).reshape(16, cluster_dim).astype(np.float64)
    vectors = model[0].weight.detach().double().numpy().reshape(64 // cluster_dim, cluster_dim, 64)
    distances = np.square(np.moveaxis(vectors, 1, -1)[..., None, :] - entries).sum(-1)
    found = np.take_along_axis(distances, decode(encoding.indices)[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(found, distances.min(-1), atol=2e-5)


def test_small_weights_and_the_largest_fitting_threshold() -> None:
    config = DKMPalettizerConfig.from_dict(
        {
            "module_type_configs": {
                nn.Linear: [
                    {"n_bits": 4, "weight_threshold": 1000},
                    {"n_bits": 2, "weight_threshold": 200},
                ]
            }
        }
    )
    optimizer = DKMPalettizer(network(), config)
    optimizer.prepare()
    assert {name: row["#dtype"].split(",")[0] for name, row in optimizer.report().items()} == {
        "4": "num_clusters=16",
        "6": "num_clusters=4",
    }


def test_the_default_has_two_bits_and_four_for_linear_layers() -> None:
    optimizer = DKMPalettizer(nn.Sequential(nn.Linear(64, 64), nn.Conv1d(32, 32, 3), nn.Linear(4, 4)))
    optimizer.prepare()
    report = optimizer.report()
    assert {name: row["#dtype"].split(",")[0] for name, row in report.items()} == {
        "0": "num_clusters=16",
        "1": "num_clusters=4",
    }


def test_attention_is_palettized_in_all_its_weights() -> None:
    optimizer = palettizer(nn.MultiheadAttention(16, 2), n_bits=2)
    model = optimizer.prepare()
    query = torch.randn(3, 2, 16)
    model(query, query, query)[0].sum().backward()
    assert set(described(optimizer.finalize())) == {"in_proj_weight", "out_proj.weight"}


ORDERS = list(itertools.product(["pruner first", "palettizer first"], repeat=2))


@pytest.mark.parametrize(("prepared", "finalized"), ORDERS)
def test_pruned_and_palettized_together_in_any_order(prepared: str, finalized: str) -> None:
    model = network()
    prune, palettize = pruner(model, target_sparsity=0.5), palettizer(model, n_bits=2)
    both = [prune, palettize]
    for optimizer in both if prepared == "pruner first" else both[::-1]:
        optimizer.prepare(inplace=True)
    train(model, both)
    inputs, _ = batch(9)
    before = model.eval()(inputs)
    for optimizer in both if finalized == "pruner first" else both[::-1]:
        optimizer.finalize(inplace=True)
    assert described(model)["4.weight"] == "sparse 50% · 2-bit palette · float32 table"
    check_decoded(model)
    assert torch.equal(model.eval()(inputs), before)
    assert len(model[4].weight.unique()) == 5  # zero, and four entries that are all used


@pytest.mark.parametrize("first", ["prune", "palettize"])
def test_vectors_go_with_blocks_that_keep_them_whole(first: str) -> None:
    for block_size, reason in (
        (1, "its mask cuts through vectors of 4 along axis 0, which can only be kept or dropped whole"),
        (8, None),
    ):
        model = network()
        optimizers = [pruner(model, block_size=block_size), palettizer(model, n_bits=2, cluster_dim=4)]
        for optimizer in optimizers if first == "prune" else reversed(optimizers):
            optimizer.prepare(inplace=True)
        skipped = {**optimizers[0].report().skipped, **optimizers[1].report().skipped}
        if reason is not None:
            assert skipped["4.weight"].startswith(reason)
            continue
        train(model, optimizers, steps=3)
        for optimizer in optimizers:
            optimizer.finalize(inplace=True)
        assert described(model)["4.weight"] == "sparse 50% · 2-bit palette of 4-vectors · float32 table"
        assert float((model[4].weight == 0).float().mean()) == pytest.approx(0.5, abs=0.01)


def test_a_new_mask_finds_new_centroids() -> None:
    model = nn.Sequential(nn.Linear(64, 64))
    palettize, prune = palettizer(model, n_bits=2), pruner(model, target_sparsity=0.9)
    for optimizer in (palettize, prune):
        optimizer.prepare(inplace=True)
    model(torch.ones(1, 64))  # finds centroids of all weights, of which some are small
    for optimizer in (palettize, prune):
        optimizer.step()
    model(torch.ones(1, 64))
    entries = model.eval()[0].weight.unique()
    assert len(entries) == 5
    assert entries[entries != 0].abs().min() > 0.1


def test_a_copy_would_part_the_optimizers() -> None:
    model = network()
    pruner(model).prepare(inplace=True)
    with pytest.raises(RecipeError, match=r"DKMPalettizer.prepare needs inplace=True"):
        palettizer(model).prepare()


def test_prune_in_training_then_palettize_then_quantize_the_table() -> None:
    optimizer = pruner(network(), target_sparsity=0.5)
    model = optimizer.prepare()
    train(model, [optimizer])
    pruned = optimizer.finalize()
    config = PostTrainingPalettizerConfig.from_dict({"global_config": {"n_bits": 4}})
    palettized = PostTrainingPalettizer(pruned, config).compress()
    final = PostTrainingQuantizer(palettized).compress()
    assert described(final)["4.weight"] == "sparse 50% · 4-bit palette · int8 table"
    assert torch.equal(final[4].weight != 0, pruned[4].weight != 0)
    check_decoded(final)


def test_a_model_that_never_ran_is_palettized_all_the_same() -> None:
    optimizer = palettizer(network(), n_bits=2)
    optimizer.prepare()
    assert described(optimizer.finalize())["4.weight"] == "2-bit palette · float32 table"


def test_a_weight_whose_milestone_has_not_come_is_left() -> None:
    optimizer = palettizer(network(), milestone=10)
    model = optimizer.prepare()
    train(model, [optimizer], steps=2)
    weight = model[4].weight.detach().clone()
    final = optimizer.finalize()
    assert torch.equal(final[4].weight, weight)
    assert load(final[4], "weight") is None
    assert optimizer.report().skipped["4.weight"] == "its milestone has not come, or it was switched off"


def test_a_shared_weight_stays_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(32, 16)
            self.head = nn.Linear(16, 32, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(self.embedding(tokens))

    optimizer = palettizer(Tied(), n_bits=2)
    model = optimizer.prepare()
    assert len(list(model.parameters())) == 1
    model(torch.arange(8)).sum().backward()
    final = optimizer.finalize()
    assert final.head.weight is final.embedding.weight
    assert load(final.head, "weight") == load(final.embedding, "weight")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"palett_mode": "topk"}, "palett_mode is 'topk': allowed: dkm, gsm, hard"),
        ({"cluster_permute": (1, 1)}, r"cluster_permute is \(1, 1\); it has each axis from 0 on once"),
        ({"n_bits": 5}, "n_bits is 5"),
        ({"quantize_activations": True}, "prepare the model with LinearQuantizer, too"),
        ({"palett_tau": 0.0}, "palett_tau is 0.0"),
        ({"partition_size": 4}, "partition_size is 4: use group_size"),
    ],
)
def test_palettizer_configurations_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DKMPalettizerConfig.from_dict({"global_config": arguments})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"global_config": {"target_sparsity": 1.5}}, "target_sparsity is 1.5"),
        ({"global_config": {"granularity": "per_layer"}}, "allowed: per_scalar, per_kernel, per_channel"),
        ({"global_config": {"n_m_ratio": [1, 2], "block_size": 2}}, "n_m_ratio goes with block_size 1"),
        ({"global_config": {"n_m_ratio": [3, 2]}}, "n is 0 to m"),
        ({"global_config": {"scheduler": {"begin": 1}}}, "allowed fields: begin_step"),
        ({"module_type_configs": {"Embedding": None}}, "'Embedding' is not supported; allowed: Conv1d"),
    ],
)
def test_pruner_configurations_that_make_no_sense(data: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MagnitudePrunerConfig.from_dict(data)
