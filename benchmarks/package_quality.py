"""Rows about how good compressed packages are on real data: 8-bit activations, methods that take data.

coremltools calibrates on macOS only and has no such methods for packages, so each row stands beside the same
package without 8-bit activations, or compressed without data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

import mlpress
from benchmarks.table import Row
from benchmarks.torch_tasks import Digits, Sentences, Task
from mlpress import MLModel, Palettize, Prune, Quantize, Recipe, Step, compress, quantize_activations
from mlpress.calibration import MeanSquaredError

_SEEDS = 12
_INT8 = Quantize(dtype="int8")
_INT4 = Quantize(dtype="int4")
_TABLES = Palettize(nbits=4, group_size=16) >> _INT8
_LEAST_LOST = -0.5
"""Points of a hundred that 8-bit activations may cost the digits. MiniLM's are only shown."""

Samples = list[dict[str, Tensor]]
Change = Callable[[MLModel, Samples], MLModel]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row: a way to compress a package, what it is compared with, and how much lower it may score."""

    work: str
    change: Change
    beside: Change
    target: float | None = 0.0


def _by(recipe: Any, *, takes_data: bool = False) -> Change:
    def change(model: MLModel, samples: Samples) -> MLModel:
        return compress(model, recipe, data=samples if takes_data else None).model

    return change


def _with_activations(rules: Any, recipe: Recipe, *, weights_first: bool = False) -> Change:
    def change(model: MLModel, samples: Samples) -> MLModel:
        if weights_first:
            weighed = compress(model, recipe).model
            return quantize_activations(weighed, samples, rules, estimator=MeanSquaredError()).model
        quantized = quantize_activations(model, samples, rules, estimator=MeanSquaredError()).model
        return compress(quantized, recipe).model

    return change


def _entries(rules: Any, lost: float | None) -> tuple[_Entry, ...]:
    nothing, int8 = Recipe(()), Recipe.of(_INT8)
    pruned = Prune(sparsity=0.5) >> _TABLES
    return (
        _Entry("A8", _with_activations(rules, nothing), _by(nothing), lost),
        _Entry("W8A8", _with_activations(rules, int8), _by(int8), lost),
        _Entry("A8W4, int8 tables", _with_activations(rules, _TABLES), _by(_TABLES), lost),
        _Entry(
            "the same, weights first",
            _with_activations(rules, _TABLES, weights_first=True),
            _by(_TABLES),
            lost,
        ),
        _Entry("A8W4, half pruned", _with_activations(rules, pruned), _by(pruned), lost),
        _Entry("int4, GPTQ", _by(_INT4.model_copy(update={"method": "gptq"}), takes_data=True), _by(_INT4)),
        _Entry(
            "prune 50 %, SparseGPT",
            _by(Prune(sparsity=0.5, method="sparse_gpt"), takes_data=True),
            _by(Prune(sparsity=0.5)),
        ),
        *(
            _Entry(
                f"palettize, {nbits} bits, sensitive k-means",
                _by(Palettize(nbits=nbits, method="sensitive"), takes_data=True),
                _by(Palettize(nbits=nbits)),
            )
            for nbits in (2, 3)
        ),
    )


def packages_of_digits() -> Iterator[Row]:
    """The convolutional network on digits, trained with several seeds."""
    tasks = [Digits(seed) for seed in range(_SEEDS)]
    images = mlpress.TensorType("x", (mlpress.RangeDim(1, 1024, 32), 1, 8, 8))
    yield from _rows(
        tasks, [images], _entries(Quantize(mode="linear"), _LEAST_LOST), lambda batch: {"x": batch}
    )


def packages_of_sentences() -> Iterator[Row]:
    """MiniLM. Sums stay in float: a few of their numbers are far larger than all others."""
    shape = (mlpress.RangeDim(1, 64, 16), mlpress.RangeDim(4, 128, 32))
    inputs = [mlpress.TensorType(name, shape, dtype="int32") for name in ("input_ids", "attention_mask")]
    rules = Step(Quantize(mode="linear"), {"add": None})

    def sample(batch: Tensor) -> dict[str, Tensor]:
        return {"input_ids": batch, "attention_mask": torch.ones_like(batch)}

    yield from _rows([Sentences()], inputs, _entries(rules, None), sample)


def _rows(
    tasks: Sequence[Task],
    inputs: list[mlpress.TensorType],
    entries: Sequence[_Entry],
    sample: Callable[[Tensor], dict[str, Tensor]],
) -> Iterator[Row]:
    warnings.simplefilter("ignore")
    models = [
        mlpress.convert(
            _Plain(task.network()).eval(), inputs=inputs, minimum_deployment_target=mlpress.target.iOS18
        )
        for task in tasks
    ]
    samples = [[sample(batch) for batch in task.inputs()] for task in tasks]
    floats = mean(task.score(task.network()) for task in tasks)
    topic = f"packages, {tasks[0].name}: {tasks[0].unit}, {floats:.4g} uncompressed; difference"
    for entry in entries:
        ours, beside = (
            mean(
                task.score(_Package(change(model, data)))
                for task, model, data in zip(tasks, models, samples, strict=True)
            )
            for change in (entry.change, entry.beside)
        )
        print(f"{topic}: {entry.work}: {ours:.4g} beside {beside:.4g}", flush=True)
        words = (f"{ours:.4f}", f"{beside:.4f}")
        yield Row(topic, entry.work, *words, ours - beside, entry.target, "at least")


class _Plain(nn.Module):
    """A network that returns a tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        found = self.network(*inputs)
        result: Tensor = found if isinstance(found, Tensor) else found[0]
        return result


class _Package(nn.Module):
    """A package in place of the network that it comes from."""

    def __init__(self, model: MLModel) -> None:
        super().__init__()
        self._model = model

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        data = named or dict(zip(self._model.input_description, inputs, strict=True))
        (result,) = self._model.predict(data).values()
        tensor = torch.from_numpy(result)
        return SimpleNamespace(last_hidden_state=tensor) if named else tensor
