"""Whatever a user hands in, the graph computes the same, bit for bit."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from mlpress.converter.capture import Captured, capture
from tests.torch.converter.capture.checks import assert_clean, assert_equal
from tests.torch.converter.capture.networks import NETWORKS, made

pytestmark = pytest.mark.filterwarnings("ignore:.*(torch.jit|TracerWarning|Converting a tensor):Warning")


def by_module(module: nn.Module, inputs: Any) -> Captured:
    return capture(module, inputs)


def by_export(module: nn.Module, inputs: Any) -> Captured:
    return capture(torch.export.export(module, inputs))


def by_core_aten(module: nn.Module, inputs: Any) -> Captured:
    return capture(torch.export.export(module, inputs).run_decompositions())


def by_saved_export(module: nn.Module, inputs: Any) -> Captured:
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs), file)
    file.seek(0)
    return capture(torch.export.load(file))


def traced(module: nn.Module, inputs: Any) -> torch.jit.ScriptModule:
    with torch.no_grad():
        script = torch.jit.trace(copy.deepcopy(module), inputs, check_trace=False, strict=False)
    # The run that was recorded has changed buffers.
    script.load_state_dict(module.state_dict(), strict=False)
    return script


def by_trace(module: nn.Module, inputs: Any) -> Captured:
    return capture(traced(module, inputs), inputs)


def by_saved_trace(module: nn.Module, inputs: Any) -> Captured:
    file = io.BytesIO()
    torch.jit.save(traced(module, inputs), file)
    file.seek(0)
    return capture(torch.jit.load(file), inputs)


ROUTES: list[Callable[[nn.Module, Any], Captured]] = [
    by_module,
    by_export,
    by_core_aten,
    by_saved_export,
    by_trace,
    by_saved_trace,
]


CASES = [
    pytest.param(name, route, id=f"{name}-{route.__name__}")
    for name, network in NETWORKS.items()
    for route in ROUTES
    if network.traceable or "trace" not in route.__name__
]


@pytest.mark.parametrize("name, route", CASES)
def test_every_route_gives_the_same_results(name: str, route: Callable[[nn.Module, Any], Captured]) -> None:
    module, inputs = made(name), NETWORKS[name].inputs
    captured = route(module, inputs)
    # What users have taken apart themselves is computed in other steps.
    assert_equal(
        captured, module, inputs, tolerance=1e-5 if route is by_core_aten else NETWORKS[name].tolerance
    )
    assert_clean(captured)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
def test_every_route_keeps_the_names_of_all_tensors(route: Callable[[nn.Module, Any], Captured]) -> None:
    module = made("shared")
    captured = route(module, NETWORKS["shared"].inputs)
    assert captured.parameters.keys() == {name for name, _ in module.named_parameters(remove_duplicate=False)}
    assert captured.buffers.keys() == {name for name, _ in module.named_buffers(remove_duplicate=False)}
    for name, value in (captured.parameters | captured.buffers).items():
        torch.testing.assert_close(value, module.state_dict()[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_neither_module_nor_inputs_change(name: str) -> None:
    module, inputs = made(name), NETWORKS[name].inputs
    before = copy.deepcopy((module.state_dict(), inputs))
    attributes = {path: set(part.__dict__) for path, part in module.named_modules()}
    capture(module, inputs)
    for now, then in zip(
        pytree.tree_leaves((module.state_dict(), inputs)), pytree.tree_leaves(before), strict=True
    ):
        assert type(now) is type(then)
        torch.testing.assert_close(now, then, rtol=0, atol=0)
        assert not hasattr(now, "_dynamo_dynamic_indices")
    assert {path: set(part.__dict__) for path, part in module.named_modules()} == attributes
