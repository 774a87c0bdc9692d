"""Trains a small network, converts it, compresses it in every way that the stages combine, and verifies each.

Run as ``make demo`` or ``python -m examples.demo``. Packages are left in `demo-output`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import nn

import mlpress as ct
from examples.digits_network import Digits, digits, train
from mlpress import (
    MLModel,
    Palettize,
    Prune,
    Quantize,
    Recipe,
    Report,
    compress,
    quantize_activations,
    verify,
)

Images = NDArray[np.float32]

OUTPUT = Path("demo-output")

_PRUNE = Prune(sparsity=0.8)
_PALETTIZE = Palettize(nbits=6, group_size=4)
_QUANTIZE = Quantize(dtype="int8")

RECIPES = {
    "palettize 4 bits": Recipe.of(Palettize(nbits=4)),
    "palettize 6 bits, groups of 4": Recipe.of(_PALETTIZE),
    "quantize int8": Recipe.of(_QUANTIZE),
    "quantize int4, blocks of 16": Recipe.of(
        Quantize(dtype="int4", granularity="per_block", block_size=16, scales="mse")
    ),
    "prune 80%": Recipe.of(_PRUNE),
    "palettize, quantize": _PALETTIZE >> _QUANTIZE,
    "quantize, palettize": _QUANTIZE >> _PALETTIZE,
    "prune, quantize": _PRUNE >> _QUANTIZE,
    "prune, palettize": _PRUNE >> _PALETTIZE,
    "prune, palettize, quantize": _PRUNE >> _PALETTIZE >> _QUANTIZE,
}

_TABLE = Palettize(nbits=4) >> Quantize(dtype="int8")
WITH_ACTIVATIONS = {
    "A8": Recipe(()),
    "A8, quantize int8": Recipe.of(_QUANTIZE),
    "A8, palettize, quantize": _TABLE,
    "A8, prune, palettize, quantize": Prune(sparsity=0.5) >> _TABLE,
}
"""What to do to the weights once activations pass through 8 bits (A8)."""

SAMPLES = 128
"""Images from training that activations are measured on."""


def main() -> None:
    """Trains, converts, compresses and verifies."""
    OUTPUT.mkdir(exist_ok=True)
    source = OUTPUT / "digits.mlpackage"
    print("training a small network on 8x8 digits")
    data = digits()
    model = convert(train(data))
    model.save(source)

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("stages", no_wrap=True)
    for title in ("package", "weights", "bits", "SNR dB", "accuracy"):
        table.add_column(title, justify="right", no_wrap=True)
    _, untouched = compress(model, Recipe(()))
    table.add_row("none", *measured(source, untouched, source, data))
    for name, recipe in RECIPES.items():
        target = package_of(name)
        compressed = compress(source, recipe)
        compressed.model.save(target)
        table.add_row(name, *measured(target, compressed.report, source, data))
    calibration = samples(data.train_images[:SAMPLES])
    activations = quantize_activations(source, calibration).model
    for name, recipe in WITH_ACTIVATIONS.items():
        target = package_of(name)
        compressed = compress(activations, recipe)
        compressed.model.save(target)
        table.add_row(name, *measured(target, compressed.report, source, data))
    name, weights = "palettize, quantize, A8", compress(source, _TABLE)
    target = package_of(name)
    quantize_activations(weights.model, calibration).model.save(target)
    table.add_row(name, *measured(target, weights.report, source, data))
    Console().print(table)
    print("package and weights in bytes, bits per weight; each package is run here on digits not trained on:")
    print("how far its probabilities are from those of the first row, and how many digits it tells right")
    print(f"the packages are in {OUTPUT}; try: mlpress inspect {target}")


def convert(network: nn.Module) -> MLModel:
    """Returns the network as a float16 program for iOS 18."""
    image = ct.TensorType("image", shape=(1, 1, 8, 8))
    probabilities = ct.TensorType("probabilities")
    target = ct.target.iOS18
    return ct.convert(network, inputs=[image], outputs=[probabilities], minimum_deployment_target=target)


def samples(images: Images) -> list[dict[str, Images]]:
    """Returns inputs of the package, an image [1, 1, 8, 8] each."""
    return [{"image": image[None]} for image in images]


def package_of(name: str) -> Path:
    """Returns where the package of a row goes."""
    return OUTPUT / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.mlpackage"


def measured(path: Path, report: Report, reference: Path, data: Digits) -> tuple[str, ...]:
    """Returns the cells of one package: sizes; on digits not trained on, SNR to `reference` and accuracy."""
    package_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    found = verify(reference, path, samples(data.test_images))
    return (
        f"{package_bytes:,}",
        f"{report.nbytes_after:,}",
        f"{report.bits_per_weight:.2f}",
        "" if path == reference else f"{found.min_snr:.1f}",
        f"{accuracy(path, data):.1%}",
    )


def accuracy(path: Path, data: Digits) -> float:
    """Returns the fraction of held-out digits that the package, run here, labels rightly."""
    outputs = MLModel(path).predict(samples(data.test_images))
    labels = [output["probabilities"].argmax() for output in outputs]
    return float(np.mean(labels == data.test_labels))


if __name__ == "__main__":
    main()
