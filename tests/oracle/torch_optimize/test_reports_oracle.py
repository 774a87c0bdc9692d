"""Reports have coremltools' rows and columns, and its numbers where results are the same."""

from __future__ import annotations

from typing import Any

import coremltools.optimize.torch as cto
import pytest
import torch
from torch import nn

from mlpress.optimize import torch as ours
from tests.torch.optimize.training_loop import batch

DATA = [batch(index)[0] for index in range(3)]
HOMES = {"Palettizer": "palettization", "Quantizer": "quantization", "Pruner": "pruning"}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 8)
    ).eval()


def report(library: Any, kind: str, config: dict[str, object]) -> dict[str, dict[str, Any]]:
    place = next((home for end, home in HOMES.items() if kind.endswith(end)), "layerwise_compression")
    home = getattr(library, place)
    made = getattr(home, f"{kind}Config").from_dict({"global_config": dict(config)})
    optimizer = getattr(home, kind)(network(), made)
    if kind in ("DKMPalettizer", "LinearQuantizer", "MagnitudePruner"):
        model = optimizer.prepare(*([(DATA[0],)] if kind == "LinearQuantizer" else []))
        model.train()(DATA[0])
        optimizer.step()
        model(DATA[0])
    else:
        arguments = {
            "SKMPalettizer": (DATA, lambda model, inputs: model(inputs).square().mean()),
            "LayerwiseCompressor": (DATA, "cpu"),
        }
        optimizer.compress(*arguments.get(kind, ()))
    return dict(optimizer.report())


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("PostTrainingPalettizer", {"n_bits": 4}),
        ("SKMPalettizer", {"n_bits": 4}),
        ("PostTrainingQuantizer", {"weight_dtype": "uint8"}),
        ("LayerwiseCompressor", {"algorithm": "gptq", "weight_dtype": "uint4"}),
        ("LayerwiseCompressor", {"algorithm": "sparse_gpt", "weight_dtype": "uint8"}),
        ("DKMPalettizer", {"n_bits": 2, "weight_threshold": 100}),
        ("LinearQuantizer", {}),
        ("MagnitudePruner", {}),
    ],
    ids=str,
)
def test_a_report_is_theirs(kind: str, config: dict[str, object]) -> None:
    found, expected = (report(library, kind, config) for library in (ours, cto))
    weights = {name for name in expected if not name.startswith("activation")}
    assert {name for name in found if not name.startswith("activation")} == weights
    for name in weights:
        assert list(found[name]) == list(expected[name])
        for column, value in expected[name].items():
            if column != "#dtype":  # words of our own
                wanted = pytest.approx(value, rel=1e-3) if isinstance(value, float) else value
                assert found[name][column] == wanted, (name, column)
    # Theirs has a place twice where two observers watch it.
    assert len(found) <= len(expected)
