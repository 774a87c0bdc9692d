"""Pruning, palettization and quantization in training beside coremltools' on the same seeds."""

from __future__ import annotations

import copy

import coremltools.optimize.torch as cto
import pytest
import torch
from coremltools.optimize.torch.palettization import FakePalettize

from mlpress.nn.training import dkm
from mlpress.nn.training.palettize import Palettization
from mlpress.nn.training.palettize_options import PalettizeOptions
from mlpress.optimize.torch import palettization, pruning
from mlpress.optimize.torch.palettization import DKMPalettizer, DKMPalettizerConfig
from tests.torch.optimize.training_loop import batch, network, train

GROUPS = {"granularity": "per_grouped_channel", "group_size": 8}
INPUTS_FIRST = {"cluster_permute": (1, 0)}


@pytest.mark.parametrize(
    "config",
    [
        {"target_sparsity": 0.73},
        {"initial_sparsity": 0.3, "scheduler": {"update_steps": "range(0, 8, 2)", "power": 3}},
        {"block_size": 4},
        {"block_size": 3, "target_sparsity": 0.3},
        {"granularity": "per_kernel", "target_sparsity": 0.4},
        {"granularity": "per_channel", "target_sparsity": 0.4},
        {"granularity": "per_channel", "block_size": 2, "target_sparsity": 0.4},
        {"n_m_ratio": (2, 4)},
        {"n_m_ratio": (1, 2), "dim": 0},
        {"n_m_ratio": (3, 4), "scheduler": {"update_steps": [1, 2, 4]}},
    ],
    ids=str,
)
def test_a_pruned_training_is_theirs(config: dict[str, object]) -> None:
    finals = []
    for home in (pruning, cto.pruning):
        pruner = home.MagnitudePruner(
            network(), home.MagnitudePrunerConfig.from_dict({"global_config": dict(config)})
        )
        model = pruner.prepare()
        train(model, [pruner], steps=6)
        finals.append(pruner.finalize())
    for (name, one), (_, other) in zip(*(final.named_parameters() for final in finals), strict=True):
        assert torch.equal(one == 0, other == 0), name
        # The strides of their masks make convolutions add in another order.
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7, msg=name)


def test_a_pruning_report_is_theirs() -> None:
    reports = []
    for home in (pruning, cto.pruning):
        pruner = home.MagnitudePruner(network(), home.MagnitudePrunerConfig())
        model = pruner.prepare()
        pruner.step()
        model(batch()[0])  # theirs prunes in the next pass
        reports.append(pruner.report())
    assert list(reports[0]) == list(reports[1])
    for name, row in reports[0].items():
        assert row == pytest.approx(reports[1][name]), name


@pytest.mark.parametrize("shape", [(16, 32), (16, 4, 3, 3)], ids=["linear", "conv"])
@pytest.mark.parametrize(
    "options",
    [
        {"n_bits": 2},
        {"n_bits": 4, "tau": 0.01},
        {"n_bits": 2, "tau": 0.01, "group_size": 8},
        {"n_bits": 3, "tau": 0.01, "cluster_dim": 4},
        {"n_bits": 3, "tau": 0.01, "cluster_dim": 2, "group_size": 8},
        {"n_bits": 2, "tau": 0.05, "per_channel_scale": "min_max"},
        {"n_bits": 2, "tau": 0.05, "per_channel_scale": "abs"},
        {"n_bits": 2, "tau": 0.01, "iterations": 1},
        {"n_bits": 3, "zero_first": True, "tau": 0.01},
        {"n_bits": 1, "tau": 0.02, "bonus": 0.0},
        {"n_bits": 2, "tau": 0.01, "axis": 1, "group_size": 2, "tolerance": 0.0},
        {"n_bits": 2, "tau": 0.01, "axis": 1, "cluster_dim": 2},
        {"n_bits": 2, "tau": 0.05, "axis": 1, "per_channel_scale": "abs"},
        {"n_bits": 2, "tau": 0.01, "group_size": 4, "trained": 0.5},
        {"n_bits": 2, "tau": 0.01, "mode": "gsm"},
        {"n_bits": 2, "tau": 0.01, "mode": "gsm", "group_size": 8},
    ],
    ids=str,
)
def test_a_differentiable_clustering_is_theirs(
    options: dict[str, object], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape) * 0.2
    ours = Palettization(weight, PalettizeOptions(**options))
    theirs = their_palettization(options, weight.dim())
    # Each library draws noise of its own: here none is drawn.
    monkeypatch.setattr(dkm, "gumbel_noise", lambda like, *_: torch.zeros_like(like))
    monkeypatch.setattr(torch.nn.functional, "gumbel_softmax", torch.softmax)
    mine, other = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    ours(mine.detach(), None)  # the first pass finds centroids
    theirs(other)
    theirs.centroids = [centroids.clone() for centroids in ours.centroids]
    towards = torch.randn(shape)
    for _ in range(2):  # centroids move on from pass to pass
        value, expected = ours(mine, None), theirs(other)
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
        (gradient,) = torch.autograd.grad(value, mine, towards)
        (expected_gradient,) = torch.autograd.grad(expected, other, towards)
        torch.testing.assert_close(gradient, expected_gradient, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(ours.centroids, torch.stack(theirs.centroids), rtol=1e-4, atol=1e-5)
    ours.eval(), theirs.eval()
    theirs.labels = [None] * len(theirs.labels)
    torch.testing.assert_close(ours(weight, None), theirs(weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_bits", [1, 2])
def test_a_training_is_theirs_from_the_milestone_to_the_end(n_bits: int) -> None:
    """From the same tables: by default theirs start somewhere at random, ours at the optimum."""
    scope = {"n_bits": n_bits, "weight_threshold": 100, "milestone": 2, "kmeans_init": "opt1d"}
    trained = []
    for home in (palettization, cto.palettization):
        config = home.DKMPalettizerConfig.from_dict({"global_config": scope})
        palettizer = home.DKMPalettizer(network(), config)
        model = palettizer.prepare(inplace=True)
        train(model, [palettizer], steps=10)
        trained.append(palettizer.finalize(inplace=True).state_dict())
    ours, theirs = trained
    for name in ("0.weight", "0.bias", "1.weight", "1.running_mean", "1.running_var", "4.weight", "6.weight"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)
    assert len(ours["4.weight"].unique()) == 1 << n_bits


def test_an_entry_is_for_zeros_alone_in_training_as_theirs() -> None:
    """Theirs gives it to other weights in evaluation; here it is the same in both."""
    torch.manual_seed(0)
    weight = torch.randn(16, 32) * 0.2 * (torch.rand(16, 32) < 0.8)
    ours = Palettization(weight, PalettizeOptions(n_bits=3, tau=0.01, zero_first=True, bonus=-torch.inf))
    theirs = their_palettization({"n_bits": 3, "tau": 0.01, "zero_first": True, "bonus": 0.0}, 2)
    mine, other = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    ours(mine.detach(), None), theirs(other)
    theirs.centroids = [centroids.clone() for centroids in ours.centroids]
    value, expected = ours(mine, None), theirs(other)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    gradients = [
        torch.autograd.grad(each.sum(), leaf)[0] for each, leaf in ((value, mine), (expected, other))
    ]
    torch.testing.assert_close(*gradients, rtol=2e-3, atol=2e-3)
    assert torch.equal(ours.eval()(weight, None) == 0, weight == 0)


def their_palettization(options: dict[str, object], rank: int) -> FakePalettize:
    scheme, axis = options.get("per_channel_scale"), options.get("axis", 0)
    advanced = {
        "palett_mode": options.get("mode", "dkm"),
        "percentage_palett_enable": options.get("trained", 1.0),
        "cluster_permute": (axis, *(other for other in range(rank) if other != axis)),
        "palett_tau": options.get("tau", 1e-4),
        "palett_epsilon": options.get("tolerance", 1e-4),
        "kmeans_max_iter": options.get("iterations", 3),
        "enforce_zero": options.get("zero_first", False),
        "prune_threshold": options.get("bonus", 1e-7),
        "per_channel_scaling_factor_scheme": scheme or "min_max",
        "kmeans_n_init": 1,
    }
    made = FakePalettize(
        torch.ao.quantization.MovingAverageMinMaxObserver.with_args(dtype=torch.qint8),
        n_bits=options["n_bits"],
        cluster_dim=options.get("cluster_dim", 1),
        enable_per_channel_scale=scheme is not None,
        group_size=options.get("group_size"),
        advanced_options=advanced,
    )
    made.enable_fake_palett()
    return made.train()


@pytest.mark.parametrize(
    ("scope", "start"),
    [
        ({}, "lut_to_dense(indices=uint2[32,256], lut=fp16[1,1,4,1])"),
        ({**INPUTS_FIRST, **GROUPS}, "lut_to_dense(indices=uint2[32,256], lut=fp16[1,32,4,1])"),
        (
            {**INPUTS_FIRST, "enable_per_channel_scale": True},
            "lut_to_dense(indices=uint2[32,256], lut=blockwise_shift_scale(data=fp16[1,256,4,1]",
        ),
        ({"add_extra_centroid": True}, "sparse_to_dense(mask=uint1[32,256], nonzero_data=lut_to_sparse("),
    ],
    ids=str,
)
def test_a_trained_palette_converts_with_coremltools(scope: dict[str, object], start: str) -> None:
    import coremltools as ct

    from tests.oracle.chains import chains

    linear = {"n_bits": 2, "weight_threshold": 100, **scope}
    config = {"module_type_configs": {"Linear": linear}}
    palettizer = DKMPalettizer(network(), DKMPalettizerConfig.from_dict(config))
    model = palettizer.prepare()
    train(model, [palettizer], steps=2)
    final = copy.deepcopy(palettizer.finalize())
    converted = ct.convert(
        torch.jit.trace(final, torch.zeros(1, 3, 6, 6)),
        inputs=[ct.TensorType(shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    found = [text for (_, use), text in chains(converted.get_spec()).items() if use == "weight"]
    assert len(found) == 2
    assert found[0].startswith(start)
