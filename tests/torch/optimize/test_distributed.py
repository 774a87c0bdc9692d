"""Two processes that train on halves of the batches end like one that trains on the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import multiprocessing

from mlpress.nn.metadata import encodings
from tests.torch.optimize.prepared import COMBINATIONS, finalize, prepare
from tests.torch.optimize.two_processes import plain_network, train_part, work

NAMES = list(COMBINATIONS.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(work, (str(path), NAMES), nprocs=2)
    return path


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
@pytest.mark.parametrize("number", range(len(NAMES)), ids=list(COMBINATIONS))
def test_two_processes_end_like_one(number: int, way: str, folder: Path) -> None:
    alone, optimizers = prepare(plain_network(), NAMES[number])
    train_part(alone, optimizers, 0, 1)
    together, other_optimizers = prepare(plain_network(), NAMES[number])
    together.load_state_dict(torch.load(folder / f"{number}-{way}.pt"))
    for (name, one), (_, other) in zip(together.named_parameters(), alone.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4, msg=name)
    final, expected = finalize(together, other_optimizers), finalize(alone, optimizers)
    assert encodings(final.state_dict()).keys() == encodings(expected.state_dict()).keys()
    for name in encodings(final.state_dict()):
        one, other = final.get_parameter(name), expected.get_parameter(name)
        # Sums in another order move a few values to the next level, where they were half-way.
        assert ((one - other).abs() < 1e-3).float().mean() > 0.98, name
