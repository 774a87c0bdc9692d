"""Quantization in training, alone and together with the others."""

from __future__ import annotations

import copy
import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError, UnsupportedModelError
from mlpress.nn.activations.quantizers import ActivationQuantizer, QuantizeDequantize
from mlpress.nn.metadata import encodings
from mlpress.nn.training.fake_quantize import FakeQuantize
from mlpress.nn.training.ranges import RangeObserver
from mlpress.optimize.torch.palettization import DKMPalettizer, DKMPalettizerConfig
from mlpress.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig
from mlpress.optimize.torch.quantization import LinearQuantizer, LinearQuantizerConfig
from tests.torch.optimize.training_loop import batch, network, same_state, train

INPUTS = (torch.zeros(2, 3, 6, 6),)
WEIGHTS_ONLY = {"activation_dtype": "float32"}


def quantizer(model: nn.Module, **config: object) -> LinearQuantizer:
    return LinearQuantizer(model, LinearQuantizerConfig.from_dict({"global_config": config}))


def described(model: nn.Module) -> dict[str, str]:
    return {name: describe(encoding) for name, encoding in encodings(model.state_dict()).items()}


def check_decoded(model: nn.Module) -> None:
    for name, encoding in encodings(model.state_dict()).items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), decode(encoding))


def settled(model: nn.Module) -> nn.Module:
    """The model in evaluation, which does not move ranges any more."""
    for module in model.modules():
        if isinstance(module, FakeQuantize):
            module.observing = False
    return model.eval()


@pytest.mark.parametrize("algorithm", ["vanilla", "learnable"])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "int8 · 32 scales"),
        ({"weight_dtype": "qint4"}, "int4 · 32 scales"),
        ({"weight_dtype": "quint4"}, "uint4 · 32 scales · offset"),
        ({"weight_dtype": torch.quint8, "quantization_scheme": "affine"}, "uint8 · 32 scales · offset"),
        ({"weight_per_channel": False}, "int8 · 1 scale"),
        ({"activation_dtype": torch.float32}, "int8 · 32 scales"),
        ({"weight_observer": "min_max", "activation_observer": "ema_min_max"}, "int8 · 32 scales"),
    ],
    ids=str,
)
def test_what_was_trained_is_what_comes_out(config: dict[str, object], expected: str, algorithm: str) -> None:
    model = network()
    before = copy.deepcopy(model)
    optimizer = quantizer(model, algorithm=algorithm, **config)
    prepared = optimizer.prepare(INPUTS)
    train(prepared, [optimizer])
    assert same_state(model, before)
    inputs, _ = batch(9)
    trained = settled(prepared)(inputs)
    final = optimizer.finalize()
    assert described(final)["4.weight"] == expected
    check_decoded(final)
    assert isinstance(final.get_submodule("1"), nn.Identity)  # the batch norm
    # Folding the batch norm rounds differently now and then, which moves an activation to the next integer.
    torch.testing.assert_close(final(inputs), trained, rtol=0.05, atol=0.05)


def test_a_folded_batch_norm_changes_nothing_but_roundings() -> None:
    optimizer = quantizer(network(), **WEIGHTS_ONLY)
    model = optimizer.prepare(INPUTS)
    assert not isinstance(model, torch.fx.GraphModule)
    train(model, [optimizer])
    inputs, _ = batch(9)
    trained = settled(model)(inputs)
    final = optimizer.finalize()
    torch.testing.assert_close(final(inputs), trained, rtol=1e-4, atol=1e-5)
    assert torch.equal(model(inputs), trained)  # the prepared model is as it was
    assert [type(module) for module in final][1] is nn.Identity


def test_a_batch_norm_behind_a_transposed_convolution_in_groups_stays() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(3, 6, 2, groups=3), nn.BatchNorm2d(6))
    training = quantizer(model, **WEIGHTS_ONLY)
    prepared = training.prepare(INPUTS)
    prepared(batch()[0]).square().mean().backward()
    training.step()
    expected = settled(prepared)(batch()[0])
    final = training.finalize()
    assert described(final) == {"0.weight": "int8 · 2 scales"}
    torch.testing.assert_close(final.eval()(batch()[0]), expected)


def test_milestones_turn_things_on_and_off() -> None:
    optimizer = quantizer(network(), milestones=[0, 1, 3, 2])
    model = optimizer.prepare(INPUTS)
    norm = model.get_submodule("1")
    weights = model.get_submodule("4").parametrizations.weight[0].quantize.quantizer
    activations = [module for module in model.modules() if isinstance(module, ActivationQuantizer)]
    seen = []
    for step in range(5):
        statistics = norm.running_mean.clone()
        train(model, [], steps=1, first=step)
        moved = not torch.equal(norm.running_mean, statistics)
        seen.append((weights.observing, weights.enabled, moved))
        assert all((each.quantizer.observing, each.quantizer.enabled) == seen[-1][:2] for each in activations)
        optimizer.step()
    assert seen == [
        (False, False, True),
        (True, False, True),
        (True, True, True),
        (True, True, False),
        (False, True, False),
    ]


class Branches(nn.Module):
    """Sums, concatenations, pooling, dropout, functions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(10, 8)
        self.first, self.second = nn.Conv1d(8, 8, 3, padding=1), nn.Conv1d(8, 8, 3, padding=1)
        self.pool, self.drop = nn.MaxPool1d(2), nn.Dropout(0.1)
        self.last = nn.Linear(8, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        embedded = self.embedding(tokens + 1).transpose(1, 2)
        one = torch.relu(self.first(embedded))
        two = self.second(one)
        joined = torch.cat([one, torch.relu(one + two)], dim=2)
        pooled = self.drop(self.pool(joined)).transpose(1, 2)
        return torch.sigmoid(self.last(pooled)) * 2


def test_the_places_where_activations_are_rounded() -> None:
    optimizer = quantizer(Branches())
    model = optimizer.prepare(torch.zeros(2, 6, dtype=torch.int64))
    names = {
        str(node.args[0]): str(node.target)
        for node in model.graph.nodes
        if node.name.startswith("activation_post_process")
    }
    assert list(names) == [
        "transpose",
        "relu",
        "second",
        "relu_1",
        "cat",
        "pool",
        "transpose_1",
        "sigmoid",
        "mul",
    ]
    modules = {node: model.get_submodule(name) for node, name in names.items()}
    shared = modules["relu"]
    assert modules["relu_1"] is modules["cat"] is modules["pool"] is shared
    assert not shared.options.integers.symmetric  # only positive values come here
    assert modules["second"].options.integers.symmetric
    assert modules["sigmoid"].parameters_now() == (1 / 256, 0)
    model(torch.zeros(2, 6, dtype=torch.int64)).sum().backward()
    final = optimizer.finalize()
    assert isinstance(final.get_submodule(names["relu"]), QuantizeDequantize)
    assert described(final)["embedding.weight"] == "int8 · 10 scales"


@pytest.mark.parametrize(
    ("scope", "places"),
    [
        ({"module_name_configs": {"first": None}}, "relu second relu_1 cat pool transpose_1 sigmoid mul"),
        (
            {"module_type_configs": {"Linear": {"activation_dtype": "float32"}}},
            "transpose relu second relu_1 cat pool sigmoid mul",
        ),
        (
            {"module_type_configs": {"operator.mul": None}},
            "transpose relu second relu_1 cat pool transpose_1 sigmoid",
        ),
    ],
    ids=str,
)
def test_operations_left_out(scope: dict[str, object], places: str) -> None:
    optimizer = LinearQuantizer(Branches(), LinearQuantizerConfig.from_dict({"global_config": {}, **scope}))
    model = optimizer.prepare(torch.zeros(2, 6, dtype=torch.int64))
    rounded = [str(node.args[0]) for node in model.graph.nodes if node.name.startswith("activation_post")]
    assert " ".join(rounded) == places
    if "module_name_configs" in scope:
        assert "first.weight" not in described(optimizer.finalize())


@pytest.mark.parametrize(
    "inputs",
    [INPUTS[0], INPUTS, list(INPUTS), [2, 3, 6, 6], (2, 3, 6, 6), torch.Size([2, 3, 6, 6])],
    ids=["tensor", "tuple", "list", "shape as list", "shape as tuple", "torch.Size"],
)
def test_example_inputs_in_every_form(inputs: object) -> None:
    model = quantizer(network()).prepare(example_inputs=inputs)
    assert isinstance(model, torch.fx.GraphModule)


def test_example_inputs_that_do_not_fit() -> None:
    with pytest.raises(RecipeError, match="the model does not take the example inputs"):
        quantizer(network()).prepare(example_inputs=(1, 2, 3))
    with pytest.raises(RecipeError, match="example_inputs is None"):
        quantizer(network()).prepare(example_inputs=None)


class Turns(nn.Module):
    """Control flow that depends on data."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.inner(values) if values.sum() > 0 else values


def test_a_model_that_cannot_be_traced() -> None:
    with pytest.raises(UnsupportedModelError, match="non_traceable_module_names"):
        quantizer(Turns()).prepare(torch.ones(1, 4))
    optimizer = quantizer(Turns(), **WEIGHTS_ONLY)
    optimizer.prepare(torch.ones(1, 4))
    assert described(optimizer.finalize()) == {"inner.weight": "int8 · 4 scales"}
    config = LinearQuantizerConfig.from_dict({"non_traceable_module_names": ["0"]})
    model = LinearQuantizer(nn.Sequential(Turns(), nn.Linear(4, 4)), config).prepare(torch.ones(1, 4))
    assert model(torch.ones(1, 4)).shape == (1, 4)


def test_calibration_needs_no_training() -> None:
    optimizer = quantizer(network())
    model = optimizer.prepare(INPUTS).eval()
    with torch.no_grad():
        for index in range(4):
            model(batch(index)[0])
    final = optimizer.finalize()
    float_model = network().eval()
    inputs, _ = batch(0)
    error = (final(inputs) - float_model(inputs)).square().mean() / float_model(inputs).square().mean()
    assert error < 0.001


def test_what_was_observed_is_quantized_in_the_end() -> None:
    """The way to calibrate that coremltools' guide shows: one step, data, and rounding never begins."""
    optimizer = quantizer(network(), milestones=[0, 1000, 1000, 0])
    model = optimizer.prepare(INPUTS)
    optimizer.step()
    with torch.no_grad():
        for index in range(4):
            model(batch(index)[0])
    final = optimizer.finalize()
    assert set(described(final)) == {"0.weight", "4.weight", "6.weight"}
    assert any(isinstance(module, QuantizeDequantize) for module in final.modules())
    assert not optimizer.report().skipped


def test_what_was_never_observed_is_left() -> None:
    optimizer = quantizer(network(), milestones=[5, 6, 10, 10])
    model = optimizer.prepare(INPUTS)
    optimizer.step()
    model(batch(0)[0])
    final = optimizer.finalize()
    assert described(final) == {}
    assert not any(isinstance(module, QuantizeDequantize) for module in final.modules())
    unseen = quantizer(network())  # weights have ranges without data, activations have none
    unseen.prepare(INPUTS)
    final = unseen.finalize()
    assert described(final) and not any(isinstance(each, QuantizeDequantize) for each in final.modules())


def test_the_switches_of_torch_work() -> None:
    prepared = quantizer(network()).prepare(INPUTS)
    inputs, _ = batch(0)
    prepared(inputs)
    prepared.apply(torch.ao.quantization.disable_observer)
    observers = [part for part in prepared.modules() if isinstance(part, RangeObserver)]
    ranges = [part.high.clone() for part in observers]
    prepared(10 * inputs)
    assert ranges and all(torch.equal(part.high, high) for part, high in zip(observers, ranges, strict=True))
    rounded = prepared.eval()(inputs)
    prepared.apply(torch.ao.quantization.disable_fake_quant)
    assert prepared(inputs).unique().numel() > rounded.unique().numel()
    prepared.apply(torch.ao.quantization.enable_fake_quant)
    assert torch.equal(prepared(inputs), rounded)


def test_attributes_are_preserved() -> None:
    model = network()
    model.labels = ["a", "b"]
    config = LinearQuantizerConfig.from_dict({"preserved_attributes": ["labels"]})
    optimizer = LinearQuantizer(model, config)
    assert optimizer.prepare(INPUTS).labels == ["a", "b"]
    assert optimizer.finalize().labels == ["a", "b"]


def test_properties_that_are_preserved_follow_the_weights() -> None:
    class Described(nn.Sequential):
        @property
        def filters(self) -> torch.Tensor:
            return self.get_submodule("0").weight  # type: ignore[return-value]

        @property
        def by_index(self) -> torch.Tensor:
            return self[0].weight  # type: ignore[return-value]

    model = Described(nn.Conv2d(1, 4, 3), nn.ReLU())
    config = LinearQuantizerConfig.from_dict({"preserved_attributes": ["filters", "by_index"]})
    optimizer = LinearQuantizer(model, config)
    inputs = torch.randn(2, 1, 8, 8)
    prepared = optimizer.prepare((inputs,))
    prepared(inputs)
    optimizer.step()
    assert torch.equal(prepared.filters, prepared.get_submodule("0").weight)
    final = optimizer.finalize()
    assert torch.equal(final.filters, final.get_submodule("0").weight)
    assert not torch.equal(final.filters, model.filters)
    assert final.by_index.shape == model.by_index.shape  # a graph module is no sequence: the value it had


ORDERS = list(itertools.permutations(["prune", "palettize", "quantize"]))


@pytest.mark.parametrize("activations", ["float32", "quint8"])
@pytest.mark.parametrize("prepared", ORDERS)
def test_all_three_together_in_any_order(prepared: tuple[str, ...], activations: str) -> None:
    model = network()
    optimizers = {
        "prune": MagnitudePruner(model, MagnitudePrunerConfig.from_dict({"global_config": {}})),
        "palettize": DKMPalettizer(
            model, DKMPalettizerConfig.from_dict({"global_config": {"n_bits": 3, "weight_threshold": 100}})
        ),
        "quantize": quantizer(model, activation_dtype=activations),
    }
    for name in prepared:
        arguments = (INPUTS,) if name == "quantize" else ()
        model = optimizers[name].prepare(*arguments, inplace=True)
    model = optimizers["quantize"]._model
    train(model, list(optimizers.values()))
    inputs, _ = batch(9)
    trained = settled(model)(inputs)
    for name in reversed(prepared):
        model = optimizers[name].finalize(model, inplace=True)
    assert set(described(model).values()) == {"sparse 50% · 3-bit palette · int8 table"}
    check_decoded(model)
    torch.testing.assert_close(model.eval()(inputs), trained, rtol=0.05, atol=0.05)


def test_a_batch_norm_that_stays_can_be_trained_again() -> None:
    """Tables take in no batch norm: the one behind a palettized weight is left, and no longer frozen."""
    model = network()
    config = {"n_bits": 2, "weight_threshold": 100}
    palettizer = DKMPalettizer(model, DKMPalettizerConfig.from_dict({"global_config": config}))
    palettizer.prepare(inplace=True)
    optimizer = quantizer(model, activation_dtype="float32", milestones=[0, 0, 1, 0])
    optimizer.prepare(INPUTS, inplace=True)
    norm = model[1]
    train(model, [palettizer, optimizer], steps=2)
    before = norm.running_mean.clone()
    train(model, [palettizer, optimizer], steps=1, first=2)
    assert torch.equal(norm.running_mean, before)
    final = palettizer.finalize(optimizer.finalize(model, inplace=True), inplace=True)
    assert isinstance(final[1], nn.BatchNorm2d)
    assert not final[1]._forward_pre_hooks
    final.train()(batch(9)[0])
    assert not torch.equal(norm.running_mean, before)


def test_ranges_of_one_process_can_be_asked_for() -> None:
    optimizer = quantizer(network())
    model = optimizer.prepare(INPUTS)
    observers = [module for module in model.modules() if isinstance(module, RangeObserver)]
    optimizer.disable_observer_sync()
    assert not any(observer.synchronized for observer in observers)
    optimizer.enable_observer_sync()
    assert all(observer.synchronized for observer in observers)


def test_weights_of_other_types_are_left() -> None:
    model = network().to(torch.bfloat16)
    optimizer = quantizer(model, **WEIGHTS_ONLY)
    optimizer.prepare(INPUTS)
    reason = "it is torch.bfloat16; float16 and float32 weights can be compressed"
    assert optimizer.report().skipped["4.weight"] == reason
    assert torch.equal(optimizer.finalize()[4].weight, model[4].weight)


def test_the_report_has_weights_and_activations() -> None:
    optimizer = quantizer(network(), weight_dtype="qint4")
    optimizer.prepare(INPUTS)(batch()[0])
    report = optimizer.report()
    assert report["4"]["type"] == "weight"
    assert (report["4"]["qmin"], report["4"]["qmax"]) == (-8, 7)
    assert 0 < report["4"]["error"] < 0.1
    activations = [row for row in report.values() if row["type"] == "activation"]
    assert len(activations) == 4
    assert activations[0]["#params"] == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight_dtype": "int2"}, "weight_dtype is 'int2': allowed: qint4, quint4, qint8, quint8, float32"),
        ({"activation_dtype": "qint8"}, "activation_dtype is 'qint8': allowed: quint8, float32"),
        ({"milestones": [1, 2, 3]}, "milestones"),
        ({"milestones": [0, 0, 0, 0]}, "ranges would settle before any are observed"),
        ({"algorithm": "lsq"}, "algorithm is 'lsq': allowed: vanilla, learnable"),
        ({"weight_observer": "mse"}, "allowed: moving_average_min_max, min_max, ema_min_max"),
    ],
)
def test_configurations_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        LinearQuantizerConfig.from_dict({"global_config": arguments})
