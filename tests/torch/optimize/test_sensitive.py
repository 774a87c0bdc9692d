"""Palettization by sensitivity: optima, weights that modules share, files, and memory."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mlpress.encoding import decode, describe
from mlpress.errors import RecipeError, StrictError
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.palettization import SKMPalettizer, SKMPalettizerConfig
from tests.torch.optimize.training_loop import batch, network, same_state


def palettizer(model: nn.Module, **config: object) -> SKMPalettizer:
    return SKMPalettizer(model, SKMPalettizerConfig.from_dict(config))


def saved(path: Path, **tensors: torch.Tensor) -> str:
    torch.save({name.replace("__", "."): tensor for name, tensor in tensors.items()}, path)
    return str(path)


def least_error(values: np.ndarray, importance: np.ndarray, clusters: int) -> float:
    """Of all ways to cut the sorted values into clusters, each around its weighted mean."""
    order = np.argsort(values)
    ordered, masses = values[order].astype(np.float64), importance[order].astype(np.float64)
    errors = []
    for cuts in itertools.combinations(range(1, len(values)), clusters - 1):
        error = 0.0
        for part in np.split(np.arange(len(values)), cuts):
            mean = np.average(ordered[part], weights=masses[part])
            error += (masses[part] * np.square(ordered[part] - mean)).sum()
        errors.append(error)
    return min(errors)


@pytest.mark.parametrize("seed", range(4))
def test_no_table_has_less_weighted_error(tmp_path: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Linear(12, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 12, generator=generator))
    importance = torch.rand(1, 12, generator=generator).pow(4)
    path = saved(tmp_path / "s.pt", weight=importance)
    optimizer = palettizer(model, global_config={"n_bits": 2})
    compressed = optimizer.compress(sensitivity_path=path)
    error = float((importance * (compressed.weight - model.weight).square()).sum())
    expected = least_error(model.weight.detach().numpy()[0], importance.numpy()[0], 4)
    assert error == pytest.approx(expected, rel=1e-5)


class Tied(nn.Module):
    """An embedding whose weight is that of the last layer, too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(32, 16)
        self.middle = nn.Linear(16, 16)
        self.head = nn.Linear(16, 32, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.middle(self.embedding(tokens))))


def test_a_shared_weight_is_described_wherever_it_is() -> None:
    tokens = [torch.randint(0, 32, (4, 8), generator=torch.Generator().manual_seed(0))]
    optimizer = palettizer(Tied(), module_type_configs={"Linear": {"n_bits": 2}})
    compressed = optimizer.compress(tokens, lambda model, sample: model(sample).square().mean())
    found = encodings(compressed.state_dict())
    assert set(found) == {"embedding.weight", "middle.weight", "head.weight"}
    assert compressed.head.weight is compressed.embedding.weight
    for name, encoding in found.items():
        np.testing.assert_array_equal(compressed.get_parameter(name).detach().numpy(), decode(encoding))


def test_an_attention_module_is_palettized_as_its_name_says() -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(16, 2, 32, dropout=0)
    config = {"global_config": None, "module_name_configs": {"self_attn": {"n_bits": 2}}}
    samples = [torch.randn(5, 2, 16)]
    compressed = palettizer(model, **config).compress(samples, lambda each, x: each(x).square().mean())
    found = {name: describe(encoding) for name, encoding in encodings(compressed.state_dict()).items()}
    palette = "2-bit palette · float32 table"
    assert found == {"self_attn.in_proj_weight": palette, "self_attn.out_proj.weight": palette}


class Residual(nn.Module):
    """Branches that meet."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + self.second(torch.relu(inputs + self.first(inputs)))


def encoder_and_decoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Transformer(16, 2, 1, 1, 32, dropout=0, batch_first=True)


_DRAWN = torch.Generator().manual_seed(0)
SHAPED = {
    "residual": (Residual, [(torch.randn(4, 16, generator=_DRAWN),)], 2),
    "encoder and decoder": (
        encoder_and_decoder,
        [(torch.randn(2, 5, 16, generator=_DRAWN), torch.randn(2, 4, 16, generator=_DRAWN))],
        4,
    ),
}


@pytest.mark.parametrize(("make", "samples", "layers"), SHAPED.values(), ids=SHAPED)
def test_models_that_are_no_chain_of_layers(make, samples, layers: int) -> None:
    def loss(model: nn.Module, sample: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return model(*sample).square().mean()

    model = make()
    optimizer = palettizer(model, module_type_configs={"Linear": {"n_bits": 4}})
    compressed = optimizer.compress(samples, loss, strict=True)
    found = {
        name: each for name, each in encodings(compressed.state_dict()).items() if "out_proj" not in name
    }
    assert len(found) == layers
    for name, encoding in found.items():
        np.testing.assert_array_equal(compressed.get_parameter(name).detach().numpy(), decode(encoding))
    expected, outputs = model.eval()(*samples[0]), compressed.eval()(*samples[0])
    assert (outputs - expected).square().mean() < 0.05 * expected.square().mean()


def test_the_number_of_workers_changes_nothing() -> None:
    samples = [batch(index) for index in range(4)]

    def loss(model: nn.Module, sample: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(model(sample[0]), sample[1])

    one, more = (
        palettizer(network(), global_config={"n_bits": 2}).compress(samples, loss, num_kmeans_workers=workers)
        for workers in (1, 3)
    )
    assert same_state(one, more)


@pytest.mark.parametrize(
    ("sensitivity", "reason"),
    [
        (-torch.ones(4, 8), "its sensitivity is negative or not finite somewhere"),
        (torch.full((4, 8), torch.nan), "its sensitivity is negative or not finite somewhere"),
        (torch.ones(8, 4), r"its sensitivity has shape \(8, 4\); \(4, 8\) is expected"),
    ],
    ids=["negative", "nan", "shape"],
)
def test_sensitivities_that_say_nothing(tmp_path: Path, sensitivity: torch.Tensor, reason: str) -> None:
    model = nn.Sequential(nn.Linear(8, 4))
    optimizer = palettizer(model, global_config={"n_bits": 1})
    path = saved(tmp_path / "s.pt", **{"0__weight": sensitivity})
    assert torch.equal(optimizer.compress(sensitivity_path=path)[0].weight, model[0].weight)
    with pytest.raises(StrictError, match=reason):
        optimizer.compress(sensitivity_path=path, strict=True)


def test_a_file_of_something_else(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "s.pt")
    with pytest.raises(RecipeError, match="holds no tensors by name"):
        palettizer(network()).compress(sensitivity_path=str(tmp_path / "s.pt"))


COMPRESS = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from mlpress.optimize.torch.palettization import SKMPalettizer, SKMPalettizerConfig

small, large, bound = sys.argv[1:]

def compress(path, rows):
    config = SKMPalettizerConfig.from_dict({"global_config": {"n_bits": 8}})
    model = nn.Sequential(nn.Linear(1 << 12, rows, bias=False))
    return SKMPalettizer(model, config).compress(sensitivity_path=path, inplace=True, strict=True)

compress(small, 1)
status = Path("/proc/self/status").read_text().splitlines()
used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
resource.setrlimit(resource.RLIMIT_DATA, (used + int(bound),) * 2)
compress(large, 1 << 11)
"""
"""Limits private memory to what the process has with all code loaded and run, plus the bound."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's memory limits")
def test_memory_is_linear_in_the_weights(tmp_path: Path) -> None:
    """Distances from each weight to 256 clusters would take 1 KiB a weight."""
    count = 1 << 23
    torch.manual_seed(0)
    small = saved(tmp_path / "small.pt", **{"0__weight": torch.rand(1, 1 << 12)})
    large = saved(tmp_path / "large.pt", **{"0__weight": torch.rand(1 << 11, 1 << 12)})
    bound = 48 * count  # twelve times the weights, of which three are weights, copy and sensitivities
    command = [sys.executable, "-c", COMPRESS, small, large, str(bound)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
