"""Rows about compression of torch modules: how good results are, how fast they come, in how much memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from benchmarks import torch_techniques as techniques
from benchmarks.jobs import LIBRARIES, Library
from benchmarks.measure import Runs, run_child
from benchmarks.table import Row
from benchmarks.torch_tasks import Digits, Sentences, Task
from benchmarks.torch_techniques import Technique
from benchmarks.torch_work import DKM_STEPS

_SENTENCES_SEEDS = 6
"""Each calibrates with other text. GPTQ carries roundings from column to column, so that the last digits of
its inputs move its score by some hundredths."""
_DIGITS_SEEDS = 48
"""Each judges by 898 or 899 images. Networks that part by rounding alone end some images apart: twelve seeds
once showed 0.065 points, more than two standard errors, where sixty showed 0.009, half of one."""
_LONG_SEEDS = 24
"""The same for what trains longest: coremltools takes 15 seconds a seed for DKM."""
_BETTER = 0.001
"""What has to be better and not only as good: by the last digit of the table at least."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row about accuracy.

    Attributes:
        work: What is done.
        ours: How mlpress does it.
        peers: How coremltools does it; None for the same calls.
        target: What mlpress' score is above coremltools' at least.
    """

    work: str
    ours: Technique
    peers: Technique | None = None
    target: float = 0.0


_WITHOUT_DATA = tuple(_Entry(f"palettize, {n} bits", techniques.palettize(n)) for n in (2, 3, 4))
_LAYERWISE = (
    _Entry("GPTQ, 4 bits", techniques.layerwise("gptq", weight_dtype="uint4")),
    _Entry("SparseGPT, 50 %", techniques.layerwise("sparse_gpt", weight_dtype="float32")),
    _Entry("SparseGPT, 2:4", techniques.layerwise("sparse_gpt", weight_dtype="float32", n_m_ratio=(2, 4))),
)
_DIGITS = (
    *_WITHOUT_DATA,
    *(_Entry(f"SKM, {n} bits", techniques.sensitive(n)) for n in (2, 4)),
    *_LAYERWISE,
    _Entry("QAT, int8 weights and activations", techniques.quantize_in_training),
)
_DIGITS_LONG = (
    *(_Entry(f"DKM, {n} bits", techniques.differentiable(n)) for n in (1, 2)),
    *(
        _Entry(
            f"prune 80 %, {n} bits, int8 table; there palettized after training",
            techniques.jointly(0.8, n),
            techniques.one_after_the_other(0.8, n),
            _BETTER,
        )
        for n in (2, 4)
    ),
)
_SENTENCES = (
    *_WITHOUT_DATA,
    _Entry("SKM, 2 bits", techniques.sensitive(2)),
    *(
        _Entry(
            f"prune 50 %, {n} bits, int8 table; no data",
            techniques.pruned_and_palettized(0.5, n),
            target=_BETTER,
        )
        for n in (2, 4)
    ),
)


def accuracy_on_digits() -> Iterator[Row]:
    """A small network trained here with several seeds."""
    tasks = [Digits(seed) for seed in range(_DIGITS_SEEDS)]
    yield from _accuracy(tasks, _DIGITS)
    yield from _accuracy(tasks[:_LONG_SEEDS], _DIGITS_LONG)


def accuracy_on_sentences() -> Iterator[Row]:
    """A trained network. Work done layer by layer varies with the data, so it is done with several sets."""
    yield from _accuracy([Sentences()], _SENTENCES)
    yield from _accuracy([Sentences(seed) for seed in range(_SENTENCES_SEEDS)], _LAYERWISE)


def _accuracy(tasks: Sequence[Task], entries: Sequence[_Entry]) -> Iterator[Row]:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # coremltools reports each layer
    floats = mean(task.score(task.network()) for task in tasks)
    topic = f"{tasks[0].name}: {tasks[0].unit}, {floats:.4g} uncompressed; difference"
    for entry in entries:
        how: dict[Library, Technique] = {"mlpress": entry.ours, "coremltools": entry.peers or entry.ours}
        scores = {}
        for library in LIBRARIES:
            scores[library] = [task.score(how[library](library, task)) for task in tasks]
            print(f"{tasks[0].name}: {entry.work} with {library}: {mean(scores[library]):.4g}", flush=True)
        ours, peers = (mean(scores[library]) for library in LIBRARIES)
        words = f"{ours:.4f}", f"{peers:.4f}"
        error, note = 0.0, ""
        if len(tasks) > 1:
            error = _error(scores["mlpress"], scores["coremltools"])
            note = f"{len(tasks)} seeds; {min(scores['mlpress']):.4g} to {max(scores['mlpress']):.4g}"
        yield Row(topic, entry.work, *words, ours - peers, entry.target, "at least", note, error)


def _error(ours: list[float], peers: list[float]) -> float:
    """Returns the standard error of the mean difference of scores with the same seeds."""
    differences = [mine - theirs for mine, theirs in zip(ours, peers, strict=True)]
    return stdev(differences) / len(differences) ** 0.5


def speed_and_memory(folder: Path, pairs: int) -> Iterator[Row]:
    """Post-training palettization, and steps of training with DKM, beside coremltools; SKM alone."""
    for name, work, faster, smaller in (
        ("palettize-resnet50", "ResNet-50 as a module: palettize, 4 bits", 15, None),
        ("dkm-2", f"a million weights: {DKM_STEPS} steps of DKM, 2 bits", 2, 0.5),
        ("dkm-4", f"a million weights: {DKM_STEPS} steps of DKM, 4 bits", 2, 0.5),
    ):
        yield from beside("benchmarks.torch_work", name, work, folder, pairs, (faster, smaller))
    run = run_child("benchmarks.torch_work", ("mlpress", "sensitive-100m", str(folder)), "SKM")
    memory = float("nan") if run.memory is None else run.memory / 1e9
    topic = "torch: most private memory above the weights, GB"
    yield Row(topic, "100 million weights: SKM, 4 bits", f"{memory:.3f}", "", memory, 2)


def beside(
    module: str, name: str, work: str, folder: Path, pairs: int, targets: tuple[float, float | None]
) -> Iterator[Row]:
    """Lets both libraries do a work in turns, and yields its speed and its memory.

    Args:
        module: Where the work is.
        name: Its name there.
        work: Its name in the table.
        folder: Where results go.
        pairs: How often it is done.
        targets: How many times faster it should be at least, and its share of coremltools' memory at most.
    """
    done: dict[Library, Runs] = {}
    for _ in range(pairs):
        for library in LIBRARIES:
            path = folder / f"{name}-{library}.mlpackage"
            run = run_child(module, (library, name, str(path)), f"{name} with {library}")
            print(f"{name} with {library}: {run.wall:.2f} s", flush=True)
            done[library] = Runs((*(done[library].runs if library in done else ()), run))
    ours, peer = (done[library] for library in LIBRARIES)
    note = f"{peer.cpu / ours.cpu:.1f} by processor time"
    seconds = (f"{ours.wall:.3f} (x{pairs})", f"{peer.wall:.3f} (x{pairs})")
    topic = "torch: seconds; times faster"
    yield Row(topic, work, *seconds, peer.wall / ours.wall, targets[0], "at least", note)
    if ours.memory is not None and peer.memory is not None:
        megabytes = (f"{ours.memory / 1e6:.1f}", f"{peer.memory / 1e6:.1f}")
        topic = "torch: most private memory above the loaded network, MB; share of coremltools'"
        yield Row(topic, work, *megabytes, ours.memory / peer.memory, targets[1])
