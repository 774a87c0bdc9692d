"""What is done to networks of torch, said once for both libraries: their public faces are the same."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from benchmarks.jobs import Library
from benchmarks.torch_tasks import Digits, Task

Technique = Callable[[Library, Any], nn.Module]
"""Takes a library and a task, and returns the compressed network."""

_RATE = 1e-3
_EPOCHS = 6
_LAYERS = (nn.Linear, nn.Conv2d)


def palettize(nbits: int, **arguments: Any) -> Technique:
    """Tables of exact k-means, without data."""

    def compress(library: Library, task: Task) -> nn.Module:
        home = _home(library, "palettization")
        config = _by_type(home.PostTrainingPalettizerConfig, {"n_bits": nbits, **arguments})
        return home.PostTrainingPalettizer(task.network(), config).compress()

    return compress


def sensitive(nbits: int) -> Technique:
    """k-means weighted by sensitivity."""

    def compress(library: Library, task: Task) -> nn.Module:
        home = _home(library, "palettization")
        config = _by_type(home.SKMPalettizerConfig, {"n_bits": nbits})
        config.calibration_nsamples = len(task.batches())
        return home.SKMPalettizer(task.network(), config).compress(task.batches(), task.loss)

    return compress


def layerwise(algorithm: str, **arguments: Any) -> Technique:
    """GPTQ or SparseGPT."""

    def compress(library: Library, task: Task) -> nn.Module:
        home = _home(library, "layerwise_compression")
        config = home.LayerwiseCompressorConfig.from_dict(
            {
                "global_config": {"algorithm": algorithm, **arguments},
                # coremltools fails on rows that are no multiple of m long, as the nine of this layer are.
                "module_name_configs": {"conv1": None} if "n_m_ratio" in arguments else {},
                "layers": list(task.layers) if task.layers else None,
                "input_cacher": "gpt" if task.layers else "default",
                "calibration_nsamples": len(task.inputs()),
            }
        )
        return home.LayerwiseCompressor(task.network(), config).compress(task.inputs(), device="cpu")

    return compress


def quantize_in_training(library: Library, task: Digits) -> nn.Module:
    """int8 weights and activations: ranges from the first epoch, norms freeze before the last."""
    home, steps = _home(library, "quantization"), task.steps
    milestones = [0, steps, (_EPOCHS - 2) * steps, (_EPOCHS - 1) * steps]
    config = home.LinearQuantizerConfig.from_dict({"global_config": {"milestones": milestones}})
    quantizer = home.LinearQuantizer(task.network(), config)
    network = quantizer.prepare(example_inputs=(task.inputs()[0],), inplace=True)
    task.train(network, _EPOCHS, _RATE, (quantizer,))
    return quantizer.finalize(inplace=True)


def differentiable(nbits: int) -> Technique:
    """DKM from the first step on."""

    def compress(library: Library, task: Digits) -> nn.Module:
        home = _home(library, "palettization")
        config = home.DKMPalettizerConfig.from_dict(
            {"global_config": {"n_bits": nbits, "weight_threshold": 100}}
        )
        palettizer = home.DKMPalettizer(task.network(), config)
        network = palettizer.prepare(inplace=True)
        task.train(network, _EPOCHS, _RATE, (palettizer,))
        return palettizer.finalize(inplace=True)

    return compress


def jointly(sparsity: float, nbits: int) -> Technique:
    """Pruned over three epochs, palettized by DKM with an int8 table in the last of six; mlpress only.

    In between what is left makes up for what was dropped, as it does where palettization comes after
    training. coremltools' palettizer fails at the first step after its milestone on a model that is pruned,
    too.
    """

    def compress(library: Library, task: Digits) -> nn.Module:
        home = _home(library, "palettization")
        config = home.DKMPalettizerConfig.from_dict(
            {
                "global_config": {
                    "n_bits": nbits,
                    "lut_dtype": "i8",
                    "milestone": (_EPOCHS - 1) * task.steps,
                    "weight_threshold": 100,
                }
            }
        )
        palettizer = home.DKMPalettizer(task.network(), config)
        network = palettizer.prepare(inplace=True)
        pruner = _pruner(library, network, sparsity, task)
        network = pruner.prepare(inplace=True)
        task.train(network, _EPOCHS, _RATE, (pruner, palettizer))
        return palettizer.finalize(pruner.finalize(network, inplace=True), inplace=True)

    return compress


def one_after_the_other(sparsity: float, nbits: int) -> Technique:
    """Pruned in training, then palettized with an int8 table: as coremltools' guide does it."""

    def compress(library: Library, task: Digits) -> nn.Module:
        pruner = _pruner(library, task.network(), sparsity, task)
        network = pruner.prepare(inplace=True)
        task.train(network, _EPOCHS, _RATE, (pruner,))
        network = pruner.finalize(inplace=True)
        home = _home(library, "palettization")
        config = _by_type(home.PostTrainingPalettizerConfig, {"n_bits": nbits, "lut_dtype": "int8"})
        return home.PostTrainingPalettizer(network.eval(), config).compress()

    return compress


def pruned_and_palettized(sparsity: float, nbits: int) -> Technique:
    """Pruned by magnitude, then palettized with an int8 table; no data."""

    def compress(library: Library, task: Task) -> nn.Module:
        pruning, home = _home(library, "pruning"), _home(library, "palettization")
        config = pruning.MagnitudePrunerConfig.from_dict(
            {
                "module_type_configs": {
                    each: {"initial_sparsity": sparsity, "target_sparsity": sparsity} for each in _LAYERS
                }
            }
        )
        pruner = pruning.MagnitudePruner(task.network(), config)
        pruner.prepare(inplace=True)
        network = pruner.finalize(inplace=True).eval()
        config = _by_type(home.PostTrainingPalettizerConfig, {"n_bits": nbits, "lut_dtype": "int8"})
        return home.PostTrainingPalettizer(network, config).compress()

    return compress


def _pruner(library: Library, network: nn.Module, sparsity: float, task: Digits) -> Any:
    home = _home(library, "pruning")
    updates = list(range(0, 3 * task.steps, task.steps // 3))
    config = home.MagnitudePrunerConfig.from_dict(
        {"global_config": {"target_sparsity": sparsity, "scheduler": {"update_steps": updates}}}
    )
    return home.MagnitudePruner(network, config)


def _home(library: Library, package: str) -> Any:
    torch.manual_seed(0)
    return import_module(f"{library}.optimize.torch.{package}")


def _by_type(kind: Any, arguments: dict[str, Any]) -> Any:
    """A configuration for layers; embeddings are left alone."""
    return kind.from_dict({"module_type_configs": dict.fromkeys(_LAYERS, arguments)})
