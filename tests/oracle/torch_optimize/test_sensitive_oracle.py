"""Palettization by sensitivity of a trained network beside coremltools', and beside that without data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools.optimize.torch as cto
import pytest
import torch
from torch import nn

from mlpress.optimize.torch import palettization
from tests.oracle.torch_optimize import digits

GROUPS = {"granularity": "per_grouped_channel", "group_size": 2}


def loss(model: nn.Module, sample: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(sample[0]), sample[1])


def palettizer(home: Any, config: dict[str, Any]) -> Any:
    made = home.SKMPalettizerConfig.from_dict({"global_config": config, "calibration_nsamples": 16})
    return home.SKMPalettizer(digits.trained(), made)


def test_sensitivities_are_theirs() -> None:
    ours, theirs = (
        palettizer(home, {"n_bits": 2}).compute_sensitivity(digits.samples(), loss)
        for home in (palettization, cto.palettization)
    )
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-9, msg=name)


def test_a_file_of_theirs_is_read_and_ours_by_them(tmp_path: Path) -> None:
    finals = []
    for writer, reader in (
        (palettization, cto.palettization),
        (cto.palettization, palettization),
    ):
        path = str(tmp_path / f"{reader.__name__}.pt")
        palettizer(writer, {"n_bits": 3}).compute_sensitivity(digits.samples(), loss, path)
        finals.append(palettizer(reader, {"n_bits": 3}).compress(sensitivity_path=path))
    for (name, one), (_, other) in zip(*(final.named_parameters() for final in finals), strict=True):
        assert ((one - other).abs() < 1e-4).float().mean() > 0.98, name


@pytest.mark.parametrize(
    "config",
    [
        {"n_bits": 2},
        {"n_bits": 3},
        {"n_bits": 2, **GROUPS},
        {"n_bits": 2, "enable_per_channel_scale": True},
        {"n_bits": 4, "lut_dtype": "int8"},
        {"n_bits": 4, "cluster_dim": 2},
    ],
    ids=str,
)
def test_the_weighted_error_is_theirs_or_less(config: dict[str, Any]) -> None:
    """This is what both minimize; errors of outputs go up and down around it."""
    importance = palettizer(palettization, {"n_bits": 2}).compute_sensitivity(digits.samples(), loss)
    before = digits.trained()
    ours, theirs = (
        palettizer(home, dict(config)).compress(digits.samples(), loss)
        for home in (palettization, cto.palettization)
    )
    length = config.get("cluster_dim", 1)
    found, wanted = (weighted_error(model, before, importance, length) for model in (ours, theirs))
    assert found <= (1.01 if length == 1 else 1.002) * wanted


def weighted_error(
    model: nn.Module, before: nn.Module, importance: dict[str, torch.Tensor], length: int
) -> float:
    """Squared errors of vectors of channels count by the sum of their elements' importance."""
    total = 0.0
    for name, each in importance.items():
        if each.dim() > 1:
            squares = (model.get_parameter(name) - before.get_parameter(name)).detach().square()
            errors, masses = (part.unflatten(0, (-1, length)).sum(1) for part in (squares, each))
            total += float((errors * masses).sum())
    return total


def test_sensitivities_help() -> None:
    config = {"n_bits": 2}
    made = palettization.PostTrainingPalettizerConfig.from_dict({"global_config": config})
    blind = palettization.PostTrainingPalettizer(digits.trained(), made).compress()
    found = palettizer(palettization, config).compress(digits.samples(), loss)
    assert digits.accuracy(found) > digits.accuracy(blind)
