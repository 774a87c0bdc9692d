"""What each of two processes does in the tests of distributed training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.torch.optimize.prepared import prepare

STEPS = 6


def plain_network() -> nn.Module:
    """Without batch norm, whose statistics would be those of each process."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 64), nn.ReLU(), nn.Linear(64, 8))


def samples(index: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(index)
    return torch.randn(8, 3, 6, 6, generator=generator), torch.randint(0, 8, (8,), generator=generator)


def train_part(model: nn.Module, optimizers: list[Any], rank: int, world: int) -> None:
    sgd = torch.optim.SGD(model.parameters(), lr=0.05)
    model.train()
    for index in range(STEPS):
        inputs, labels = (part.chunk(world)[rank] for part in samples(index))
        sgd.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        sgd.step()
        for optimizer in optimizers:
            optimizer.step()


def work(rank: int, folder: str, combinations: list[tuple[str, ...]]) -> None:
    """Trains in each way, and saves the state that the first process ends with."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        for number, names in enumerate(combinations):
            for way in ("ddp", "fsdp"):
                model, optimizers = prepare(plain_network(), names)
                if way == "ddp":
                    train_part(DistributedDataParallel(model), optimizers, rank, 2)
                    state = model.state_dict()
                else:
                    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
                    train_part(model, optimizers, rank, 2)
                    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
                if rank == 0:
                    torch.save(state, Path(folder) / f"{number}-{way}.pt")
                distributed.barrier()
    finally:
        distributed.destroy_process_group()
