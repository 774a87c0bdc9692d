"""Rows about conversion: speed and memory, and how many operations come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.convert_work import decoder_1b_bytes
from benchmarks.jobs import LIBRARIES
from benchmarks.measure import run_child
from benchmarks.table import Row
from benchmarks.torch_topics import beside
from mlpress.models import MLModel
from tests.zoo.counts import operations

_MODULE = "benchmarks.convert_work"
_NETWORKS = {"resnet50": "ResNet-50", "vit_b_16": "ViT-B/16", "bert": "BERT, 12 layers"}


def conversion(folder: Path, pairs: int) -> Iterator[Row]:
    """Capture, convert to float16 and save."""
    for name, title in _NETWORKS.items():
        yield from beside(_MODULE, name, f"{title}: capture + convert + save", folder, pairs, (3, 0.5))
        ours, peers = (operations(MLModel(folder / f"{name}-{library}.mlpackage")) for library in LIBRARIES)
        yield Row("operations of converted networks; share", title, f"{ours}", f"{peers}", ours / peers, 1)


def large_decoder(folder: Path) -> Iterator[Row]:
    """A network that fills memory: it is made, converted and saved."""
    path = folder / "decoder_1b-mlpress.mlpackage"
    run = run_child(_MODULE, ("mlpress", "decoder_1b", str(path)), "the decoder")
    if run.memory is not None:
        topic = "torch: most private memory with the network, GB; multiples of its float16 weights"
        times = run.memory / decoder_1b_bytes()
        yield Row(
            topic, "a decoder of 1.1 billion weights: convert", f"{run.memory / 1e9:.2f}", "", times, 1.5
        )
