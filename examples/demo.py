"""Compresses a small real model in every way that the stages combine, and prints what each costs and keeps.

Run as ``make demo`` or ``python -m examples.demo``. Packages are left in `demo-output`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from examples.digits_network import Digits, Parameters, digits, train
from examples.digits_package import write_digits_package
from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, compress
from mlpress.api import quantize_activations
from mlpress.encoding import decode
from mlpress.passes import Report, weights

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
    "A8": None,
    "A8, quantize int8": Recipe.of(_QUANTIZE),
    "A8, palettize, quantize": _TABLE,
    "A8, prune, palettize, quantize": Prune(sparsity=0.5) >> _TABLE,
}
"""What to do to the weights once activations pass through 8 bits (A8)."""

SAMPLES = 128
"""Images from training that activations are measured on."""


def main() -> None:
    """Trains, writes, compresses and measures."""
    OUTPUT.mkdir(exist_ok=True)
    source = OUTPUT / "digits.mlpackage"
    print("training a small network on 8x8 digits")
    data = digits()
    write_digits_package(train(data), source)
    before = stored_parameters(source)

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("stages", no_wrap=True)
    for title in ("package", "weights", "bits", "SNR dB", "accuracy"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("none", *measured(source, None, before, data))
    for name, recipe in RECIPES.items():
        target = package_of(name)
        compressed = compress(source, recipe)
        compressed.model.save(target)
        table.add_row(name, *measured(target, compressed.report, before, data))
    activations = quantize_activations(
        source, ({"image": image[None]} for image in data.train_images[:SAMPLES])
    )
    for name, recipe in WITH_ACTIVATIONS.items():
        target = package_of(name)
        model, report = (activations.model, None) if recipe is None else compress(activations.model, recipe)
        model.save(target)
        table.add_row(name, *measured(target, report, before, data))
    Console().print(table)
    print(
        "package and weights in bytes, bits per weight; "
        "accuracy: each package run here on digits not trained on"
    )
    print(f"the packages are in {OUTPUT}; try: mlpress inspect {target}")


def package_of(name: str) -> Path:
    """Returns where the package of a row goes."""
    return OUTPUT / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.mlpackage"


def stored_parameters(path: Path) -> Parameters:
    """Returns the values that the weights of a package stand for."""
    return {weight.constant.name: decode(weight.encoding) for weight in weights(MLModel(path).program)}


def measured(path: Path, report: Report | None, before: Parameters, data: Digits) -> tuple[str, ...]:
    """Returns the cells of one package: sizes, error against `before`, accuracy on digits not trained on."""
    after = stored_parameters(path)
    package_bytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    weight_bytes = sum(value.nbytes for value in before.values()) if report is None else report.nbytes_after
    return (
        f"{package_bytes:,}",
        f"{weight_bytes:,}",
        f"{8 * weight_bytes / sum(map(np.size, before.values())):.2f}",
        "" if report is None else f"{signal_to_noise(before, after):.1f}",
        f"{accuracy(path, data):.1%}",
    )


def accuracy(path: Path, data: Digits) -> float:
    """Returns the fraction of held-out digits that the package, run here, labels rightly."""
    outputs = MLModel(path).predict([{"image": image[None]} for image in data.test_images])
    labels = [output["probabilities"].argmax() for output in outputs]
    return float(np.mean(labels == data.test_labels))


def signal_to_noise(before: Parameters, after: Parameters) -> float:
    """Returns the ratio in dB of all weights to their change."""
    wide = {name: (before[name].astype(np.float64), after[name].astype(np.float64)) for name in before}
    noise = sum(np.sum((first - second) ** 2) for first, second in wide.values())
    signal = sum(np.sum(first**2) for first, _ in wide.values())
    return float(10 * np.log10(signal / noise))


if __name__ == "__main__":
    main()
