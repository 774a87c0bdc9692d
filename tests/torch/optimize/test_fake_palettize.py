"""Palettization of weights in modules of one's own, and parts of it that a model's palettizer switches."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from mlpress.errors import NotApplicableError, RecipeError
from mlpress.nn.training.palettize import Palettization
from mlpress.nn.training.palettize_options import PalettizeOptions
from mlpress.optimize.torch.palettization import DKMPalettizer, DKMPalettizerConfig, FakePalettize
from tests.torch.optimize.training_loop import network, train

OBSERVER = torch.ao.quantization.MovingAverageMinMaxObserver


class Projection(nn.Module):
    """A module that palettizes its own weight."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(16, 32))
        self.palettize = FakePalettize(OBSERVER, n_bits=2, cluster_dim=1, **options)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ self.palettize(self.weight).T


def test_a_weight_passes_until_it_is_switched_on() -> None:
    module, inputs = Projection(), torch.eye(32)
    assert torch.equal(module(inputs), module.weight.T)
    assert module.palettize.centroids == []
    module.palettize.enable_fake_palett()
    assert len(module.eval()(inputs).unique()) == module.palettize.n_clusters == 4
    module.palettize.disable_fake_palett()
    assert torch.equal(module(inputs), module.weight.T)


def test_it_computes_what_the_palettizer_does() -> None:
    layer, inputs = (
        nn.Linear(32, 16, bias=False),
        torch.randn(4, 32, generator=torch.Generator().manual_seed(1)),
    )
    module = Projection(group_size=8, advanced_options={"palett_tau": 0.01})
    layer.weight.data = module.weight.detach().clone()
    module.palettize.enable_fake_palett()
    scope = {"n_bits": 2, "granularity": "per_grouped_channel", "group_size": 8, "palett_tau": 0.01}
    config = DKMPalettizerConfig.from_dict({"global_config": {**scope, "weight_threshold": 0}})
    palettizer = DKMPalettizer(nn.Sequential(layer), config)
    model = palettizer.prepare()
    for each in (module, model):
        each(inputs).square().sum().backward()
    gradient = model[0].parametrizations.weight.original.grad
    torch.testing.assert_close(module.weight.grad, gradient)
    assert len(module.palettize.centroids) == 2
    torch.testing.assert_close(module.eval()(inputs), palettizer.finalize()(inputs))


@pytest.mark.parametrize("how", ["state dict", "deepcopy", "pickle"])
def test_tables_are_kept_and_copied(how: str) -> None:
    module, inputs = Projection(advanced_options={"palett_tau": 0.1}), torch.randn(4, 32)
    module.palettize.enable_fake_palett()
    module(inputs)
    if how == "state dict":
        other = Projection(advanced_options={"palett_tau": 0.1})
        other.load_state_dict(module.state_dict())
    else:
        other = copy.deepcopy(module) if how == "deepcopy" else pickle.loads(pickle.dumps(module))
    for _ in range(2):
        assert torch.equal(module(inputs), other(inputs))


def test_centroids_are_found_early_or_anew() -> None:
    module = Projection(advanced_options={"palett_tau": 0.1})
    module.palettize.init_partitions(module.weight)
    first = module.palettize.centroids[0].clone()
    module.palettize.diff_palettize(module.weight)
    assert not torch.equal(module.palettize.centroids[0], first)
    module.palettize.reset_parameters()
    assert module.palettize.centroids == []
    module.palettize.init_partitions(module.weight)
    assert torch.equal(module.palettize.centroids[0], first)


def test_it_goes_into_a_configuration_of_torch_ao() -> None:
    weight = FakePalettize.with_args(observer=OBSERVER, n_bits=1, cluster_dim=1)
    layer = nn.Sequential(nn.Linear(8, 8))
    layer.qconfig = torch.ao.quantization.QConfig(activation=nn.Identity, weight=weight)
    prepared = torch.ao.quantization.prepare_qat(layer.train())
    prepared[0].weight_fake_quant.enable_fake_palett()
    prepared.eval()(torch.eye(8))
    assert len(prepared[0].weight_fake_quant(prepared[0].weight).unique()) == 2


def test_options_that_make_no_sense() -> None:
    with pytest.raises(RecipeError, match="there is no 'palett_temperature'"):
        Projection(advanced_options={"palett_temperature": 1.0})
    module = Projection(advanced_options={"cluster_permute": (1, 0, 2)})
    with pytest.raises(NotApplicableError, match=r"\(1, 0, 2\) is no order of the 2 axes"):
        module.palettize.create_partitions(module.weight)


def test_a_palettizer_is_switched_whatever_the_milestone() -> None:
    config = DKMPalettizerConfig.from_dict({"global_config": {"weight_threshold": 100, "milestone": 50}})
    palettizer = DKMPalettizer(network(), config)
    model = palettizer.prepare()
    assert len(model[4].weight.unique()) > 16
    palettizer.enable_fake_palett(True)
    train(model, [palettizer], steps=2)
    assert len(model.eval()[4].weight.unique()) == 16
    palettizer.enable_fake_palett(False)
    assert len(model[4].weight.unique()) > 16
    palettizer.enable_fake_palett(True)
    assert len(palettizer.finalize()[4].weight.unique()) == 16


def test_a_permutation_that_does_not_fit_is_reported() -> None:
    scope = {"weight_threshold": 100, "cluster_permute": (1, 0)}
    palettizer = DKMPalettizer(network(), DKMPalettizerConfig.from_dict({"global_config": scope}))
    palettizer.prepare()
    assert palettizer.report().skipped == {
        "0.weight": "cluster_permute (1, 0) is no order of the weight's 4 axes"
    }


@pytest.mark.parametrize(
    "options", [{"group_size": 2}, {"cluster_dim": 2}, {"per_channel_scale": "abs"}], ids=str
)
def test_channels_of_another_axis(options: dict[str, object]) -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    first = Palettization(weight, PalettizeOptions(n_bits=2, tau=0.1, axis=1, **options))
    second = Palettization(weight.movedim(1, 0), PalettizeOptions(n_bits=2, tau=0.1, **options))
    value, expected = first(weight, None), second(weight.movedim(1, 0), None).movedim(0, 1)
    torch.testing.assert_close(value, expected)
    towards = torch.randn_like(weight)
    found, wanted = (torch.autograd.grad(each, weight, towards)[0] for each in (value, expected))
    torch.testing.assert_close(found, wanted)


def test_groups_that_are_not_trained_keep_their_tables() -> None:
    weight = torch.randn(16, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    palettize = Palettization(weight, PalettizeOptions(n_bits=2, tau=0.1, group_size=4, trained=0.5))
    first = palettize.eval()(weight, None).detach()
    tables = palettize.centroids.clone()
    value = palettize.train()(weight, None)
    (gradient,) = torch.autograd.grad(value, weight, torch.randn_like(weight))
    assert torch.equal(value[8:], first[8:])
    assert torch.equal(palettize.centroids[2:], tables[2:])
    assert not gradient[8:].any()
    assert gradient[:8].any()
    assert not torch.equal(palettize.centroids[:2], tables[:2])


def test_equal_entries_are_moved_apart_beyond_a_tolerance() -> None:
    weight = torch.tensor([[0.0, 1, 2, 3, 4, 5, 6, 7]])
    moved = []
    for duplicates in (0.0, 0.5):
        palettize = Palettization(weight, PalettizeOptions(n_bits=2, tau=0.1, duplicates=duplicates))
        palettize.start(weight, None)
        palettize.centroids[0, :, 0] = torch.tensor([0.0, 3, 3, 7])
        palettize(weight, None)
        moved.append(len(palettize.centroids.unique()))
    assert moved == [4, 3]
