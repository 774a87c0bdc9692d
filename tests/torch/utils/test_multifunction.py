"""Several functions in one package: weights that are equal are stored once, and every function runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import mlpress
from mlpress.errors import InvalidPackageError, MlpressError
from mlpress.optimize.coreml import OpPalettizerConfig, OptimizationConfig, palettize_weights
from mlpress.utils import MultiFunctionDescriptor, save_multifunction

X = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)


class Adapted(torch.nn.Module):
    """A linear layer that several models share, and a low-rank adapter of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.base = torch.nn.Linear(64, 256)
        torch.manual_seed(seed)
        self.down, self.up = torch.nn.Linear(64, 4), torch.nn.Linear(4, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.base(x) + self.up(self.down(x)))


def save(path: Path, seed: int, target: mlpress.target = mlpress.target.iOS18) -> Path:
    example = (torch.zeros(2, 64),)
    model = mlpress.convert(
        torch.jit.trace(Adapted(seed).eval(), example),
        inputs=[mlpress.TensorType(name="x", shape=(2, 64))],
        outputs=[mlpress.TensorType(name="y")],
        minimum_deployment_target=target,
    )
    model.author = f"author {seed}"
    model.save(path)
    return path


def weights_size(path: Path) -> int:
    return (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size


@pytest.fixture
def adapters(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / f"adapter_{seed}.mlpackage", seed) for seed in (1, 2)]


@pytest.fixture
def both(adapters: list[Path], tmp_path: Path) -> Path:
    desc = MultiFunctionDescriptor()
    for number, path in enumerate(adapters, 1):
        desc.add_function(str(path), src_function_name="main", target_function_name=f"adapter_{number}")
    desc.default_function_name = "adapter_2"
    save_multifunction(desc, str(tmp_path / "both.mlpackage"))
    return tmp_path / "both.mlpackage"


def test_each_function_gives_what_its_model_gave(adapters: list[Path], both: Path) -> None:
    for number, path in enumerate(adapters, 1):
        found = mlpress.MLModel(both, function_name=f"adapter_{number}").predict({"x": X})
        assert np.array_equal(found["y"], mlpress.MLModel(path).predict({"x": X})["y"])
    assert mlpress.MLModel(both).function_name == "adapter_2"
    assert mlpress.MLModel(both).author == "author 2"


def test_the_shared_layer_is_stored_once(adapters: list[Path], both: Path) -> None:
    shared = 64 * 256 * 2
    alone = weights_size(adapters[0])
    assert alone > shared
    assert weights_size(both) < 2 * alone - 0.9 * shared


def test_compressed_functions_share_too_and_compression_keeps_sharing(
    adapters: list[Path], both: Path, tmp_path: Path
) -> None:
    config = OptimizationConfig(OpPalettizerConfig(nbits=4))
    desc = MultiFunctionDescriptor()
    for number, path in enumerate(adapters, 1):
        palettize_weights(path, config).save(path)
        desc.add_function(path, "main", f"adapter_{number}")
    desc.default_function_name = "adapter_2"
    save_multifunction(desc, tmp_path / "before.mlpackage")
    palettize_weights(both, config).save(tmp_path / "after.mlpackage")
    assert weights_size(tmp_path / "before.mlpackage") == weights_size(tmp_path / "after.mlpackage")
    here, there = (mlpress.MLModel(tmp_path / f"{name}.mlpackage") for name in ("before", "after"))
    assert np.array_equal(here.predict({"x": X})["y"], there.predict({"x": X})["y"])


def test_one_function_twice_and_functions_of_several_packages(both: Path, tmp_path: Path) -> None:
    old = save(tmp_path / "old.mlpackage", 3, mlpress.target.iOS16)
    desc = MultiFunctionDescriptor(str(both))
    desc.add_function(str(old), "main", "main")
    desc.add_function(str(old), "main", "again")
    desc.remove_function("adapter_1")
    assert list(desc.functions) == ["adapter_2", "main", "again"]
    desc.default_function_name = "main"
    save_multifunction(desc, tmp_path / "new.mlpackage")
    found = [
        mlpress.MLModel(tmp_path / "new.mlpackage", function_name=name).predict({"x": X})["y"]
        for name in (None, "main", "again")
    ]
    assert all(np.array_equal(each, mlpress.MLModel(old).predict({"x": X})["y"]) for each in found)


def test_mistakes_are_named(both: Path, tmp_path: Path) -> None:
    desc = MultiFunctionDescriptor(both)
    with pytest.raises(MlpressError, match="has no function 'adapter_3'; it has"):
        desc.add_function(both, "adapter_3", "third")
    with pytest.raises(MlpressError, match="there is a function 'adapter_1' already"):
        desc.add_function(both, "adapter_2", "adapter_1")
    with pytest.raises(MlpressError, match="there is no function 'main'"):
        desc.remove_function("main")
    with pytest.raises(MlpressError, match="default_function_name is None; set it to one of"):
        save_multifunction(desc, tmp_path / "new.mlpackage")
    desc.default_function_name = "main"
    with pytest.raises(MlpressError, match="default_function_name is 'main'; set it to one of"):
        save_multifunction(desc, tmp_path / "new.mlpackage")
    with pytest.raises(InvalidPackageError):
        MultiFunctionDescriptor(tmp_path / "nothing.mlpackage")
