"""What is measured: each function runs its jobs and yields rows of the table."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from benchmarks import jobs
from benchmarks.jobs import Job
from benchmarks.measure import Runs
from benchmarks.quality import Ratios, compare, largest_weight
from benchmarks.session import Session
from benchmarks.table import Row

TIMED = (
    (jobs.PALETTIZE_4, "palettize, 4 bits per tensor", 50),
    (jobs.GROUPS_4, "palettize, 4 bits per 16 channels", 30),
    (jobs.INT8, "int8 per channel", 20),
    (jobs.INT4_BLOCKS, "int4, blocks of 32", 20),
    (jobs.PRUNE, "prune 80 %", 15),
    (jobs.PRUNE_PALETTIZE_4, "prune 80 %, palettize 4 bits", 20),
)
"""Jobs, what they are called and how many times faster than coremltools they should be on ResNet-50."""

SKLEARN_BELOW = 10_000
"""coremltools hands tables of fewer weights than this to scikit-learn, others to an exact solver."""


def speed_and_memory(session: Session, model: str) -> Iterator[Row]:
    """Load, compress and save: seconds, and most memory."""
    largest = largest_weight(session.model(model))
    memory = []
    for job, work, target in TIMED:
        ours, peer = session.paired(model, job)
        topic = f"{model}: load + compress + save in seconds; times faster"
        goal = target if model == "resnet50" else None
        yield _speed(topic, work, ours, peer, goal)
        memory.append(_memory(model, work, largest, ours, peer))
    yield from memory


def two_workers(session: Session, model: str) -> Iterator[Row]:
    """One worker against two; on a machine with less than two idle cores this shows the machine."""
    largest = largest_weight(session.model(model))
    memory = []
    for one_job, two_job, what in (
        (jobs.PALETTIZE_4, jobs.PALETTIZE_4_TWO_WORKERS, "4 bits per tensor"),
        (jobs.GROUPS_4, jobs.GROUPS_4_TWO_WORKERS, "4 bits per 16 channels"),
    ):
        one, two = session.paired_workers(model, one_job, two_job)
        work = f"{model}: palettize, {what}"
        for topic, first, second in (
            ("compress", one.compression, two.compression),
            ("load + compress + save", one.wall, two.wall),
        ):
            topic += ", one worker's seconds / two workers'; times faster"
            yield Row(topic, work, f"{first:.3f} / {second:.3f}", "", first / second, 1.7, "at least")
        memory.append(_memory(model, f"palettize, {what}, each of two workers", 2 * largest, two))
    yield from memory


def tables(session: Session, model: str) -> Iterator[Row]:
    """k-means, which finds the optimum here: never above coremltools, and below where that guesses."""
    for nbits, job in jobs.TENSOR_TABLES.items():
        found = _compared(session, model, job, job)
        yield _error(f"palettize, {nbits} bits per tensor; the worst weight", found, found.worst, 1)
    for nbits, job in jobs.GROUP_TABLES.items():
        work = f"palettize, {nbits} bits per 16 channels"
        small = _compared(session, model, job, job, above=0, below=SKLEARN_BELOW)
        large = _compared(session, model, job, job, above=SKLEARN_BELOW)
        yield _error(f"{work}; tables of >= {SKLEARN_BELOW} weights, the worst weight", large, large.worst, 1)
        yield _error(f"{work}; smaller ones, by scikit-learn there", small, small.mean, 0.98)


def combinations(session: Session, model: str) -> Iterator[Row]:
    """Two techniques together, against the same calls of coremltools."""
    for nbits, job in jobs.INT8_TABLES.items():
        goal = {6: 0.85, 8: 0.60}.get(nbits)
        work = f"palettize {nbits} bits, int8 table"
        as_calls = _compared(session, model, job, job)
        as_recipe = _compared(session, model, jobs.INT8_TABLE_RECIPES[nbits], job)
        yield _error(f"{work}; as a recipe", as_recipe, as_recipe.mean, goal)
        yield _error(f"{work}; as two calls", as_calls, as_calls.mean, goal)
    for nbits, job in jobs.PRUNED_TABLES.items():
        # What pruning costs is the same for both, so it is left out: the rest is what the tables cost.
        ours, peers = (
            session.errors(model, library, job, reference=jobs.PRUNE) for library in jobs.LIBRARIES
        )
        found = compare(ours, peers)
        work = f"prune 80 %, palettize {nbits} bits; error of what is kept"
        yield _error(work, found, found.mean, {2: 0.70, 3: 0.85, 4: 0.90}[nbits])


def searched_scales(session: Session, model: str) -> Iterator[Row]:
    """Scales of least squared error against scales from the extremes, both by mlpress."""
    searched, absmax = (
        session.errors(model, "mlpress", job) for job in (jobs.INT4_SEARCHED, jobs.INT4_ABSMAX)
    )
    found = compare(searched, absmax)
    yield _error("int4 per channel, scales='mse' against 'absmax' (both here)", found, found.mean, 0.75)


def vectors(session: Session, model: str) -> Iterator[Row]:
    """Tables of vectors, which coremltools leaves to scikit-learn."""
    for size, job in jobs.VECTORS.items():
        work = f"{model}: palettize, 4 bits, cluster_dim {size}"
        ours, peer = session.paired(model, job)
        topic = "vector tables: seconds; times faster"
        yield _speed(topic, work, ours, peer, 5)
    for size, job in jobs.VECTORS.items():
        found = _compared(session, model, job, job)
        yield _error(f"palettize, 4 bits, cluster_dim {size}", found, found.mean, 1)


def _compared(
    session: Session, model: str, ours: Job, peers: Job, above: int = 0, below: int | None = None
) -> Ratios:
    """Compares results over the weights of which 16 channels are at least `above` and less than `below`."""

    def counts(shape: tuple[int, ...]) -> bool:
        table = 16 * prod(shape[1:])
        return above <= table and (below is None or table < below)

    return compare(
        session.errors(model, "mlpress", ours), session.errors(model, "coremltools", peers), counts
    )


def _speed(topic: str, work: str, ours: Runs, peer: Runs, target: float | None) -> Row:
    note = f"{peer.cpu / ours.cpu:.1f} by processor time"
    return Row(topic, work, _seconds(ours), _seconds(peer), peer.wall / ours.wall, target, "at least", note)


def _error(work: str, found: Ratios, figure: float, target: float | None) -> Row:
    note = f"mean {found.mean:.3f}, worst {found.worst:.3f} of {found.count}"
    return Row("squared error over coremltools'", work, "", "", figure, target, note=note)


def _memory(model: str, work: str, weights: int, ours: Runs, peer: Runs | None = None) -> Row:
    topic = "most private memory above the interpreter's, MB; bytes a weight of the largest weight"
    words = [_megabytes(runs.memory) if runs is not None else "" for runs in (ours, peer)]
    figure = float("nan") if ours.memory is None else ours.memory / weights
    return Row(topic, f"{model}: {work}", words[0], words[1], figure, 3)


def _megabytes(nbytes: int | None) -> str:
    return "unknown" if nbytes is None else f"{nbytes / 1e6:.1f}"


def _seconds(runs: Runs) -> str:
    return f"{runs.wall:.3f}" + (f" (x{len(runs.runs)})" if len(runs.runs) > 1 else " (once)")
