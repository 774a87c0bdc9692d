"""What optimizers share that compress weights in training."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import torch
from torch.nn.utils import parametrize

from mlpress.encoding import Scatter, Sparse
from mlpress.errors import EncodingError, NotApplicableError, RecipeError
from mlpress.nn.arrays import require_storable
from mlpress.nn.metadata import load, mark_version
from mlpress.nn.post_training import check_strict
from mlpress.nn.report import Report
from mlpress.nn.targets import Target, targets
from mlpress.nn.training.earlier import keep_compressed
from mlpress.nn.training.finish import advance, finish, stacks
from mlpress.nn.training.prune import Pruning
from mlpress.nn.training.stack import Stack, add, original_of, require_together, stack_of
from mlpress.nn.training.technique import Technique
from mlpress.optimize.torch.base_model_optimizer import BaseTrainingTimeModelOptimizer, config_of


class WeightOptimizer(BaseTrainingTimeModelOptimizer):
    """Prepares weights with one technique; those of other optimizers on the same model go with it."""

    _kind: ClassVar[str]

    def __init__(self, model: torch.nn.Module, config: Any = None) -> None:
        super().__init__(model, config)
        self._skipped: dict[str, str] = {}
        self._frozen: list[str] = []
        self._prepared = False

    @abstractmethod
    def _technique(self, target: Target, weight: torch.Tensor, config: Any) -> Technique | None:
        """Returns the technique for a weight, or None to leave it alone.

        Raises:
            NotApplicableError: What is asked for does not fit the weight.
        """

    def _prepare_weights(self, strict: bool) -> None:
        planned: list[tuple[Target, list[Technique]]] = []
        for target in targets(self._model, self._supported_modules):
            config = config_of(self._config, self._model, target)
            weight = original_of(target.module, target.parameter)
            if config is None:
                continue
            try:
                require_storable(weight)
                planned.append((target, self._techniques(target, weight, config)))
            except (NotApplicableError, EncodingError) as reason:
                self._skipped[target.name] = str(reason)
        check_strict(self._skipped, strict)
        shared: dict[int, tuple[list[Technique], Stack | None]] = {}
        for target, techniques in planned:
            weight = original_of(target.module, target.parameter)
            first, stack = shared.get(id(weight), (techniques, None))
            for technique in first:
                stack = add(target.module, target.parameter, technique, stack)
            shared[id(weight)] = first, stack
        self._frozen = keep_compressed(self._model)

    def _techniques(self, target: Target, weight: torch.Tensor, config: Any) -> list[Technique]:
        """Returns the technique for a weight, after one that keeps the zeros of a weight pruned before.

        Raises:
            NotApplicableError: It was quantized or palettized before, which training would undo, or the
                techniques do not go together.
            EncodingError: The buffers that describe it contradict each other.
        """
        technique = self._technique(target, weight, config)
        if technique is None:
            return []
        stack, encoding, found = stack_of(target.module, target.parameter), None, [technique]
        if not parametrize.is_parametrized(target.module, target.parameter):
            encoding = load(target.module, target.parameter)
        if isinstance(encoding, Scatter) and isinstance(encoding.source, Sparse):
            found = [Pruning.keeping(encoding, weight), technique]
        elif encoding is not None:
            raise NotApplicableError("it was quantized or palettized before, and stays as it is")
        require_together([*(() if stack is None else stack), *found])
        return found

    def _start(self, inplace: bool) -> None:
        """Says which model is prepared.

        Raises:
            RecipeError: Another optimizer has prepared the model, which a copy would part from it.
        """
        if not inplace and next(stacks(self._model), None) is not None:
            raise RecipeError(
                f"another optimizer has prepared the model; {type(self).__name__}.prepare needs inplace=True "
                f"to work on the same one"
            )
        self._model = self._get_model_for_compression(inplace)
        self._prepared = True

    def step(self) -> None:
        """Advances the schedule; call it after each step of the training, once the model is prepared."""
        advance(self._model, self._kind)

    def finalize(self, model: torch.nn.Module | None = None, inplace: bool = False) -> torch.nn.Module:
        """Returns the compressed model.

        A weight becomes plain, with decoded values and metadata, as soon as all optimizers that prepared it
        have finalized it, in any order.

        Args:
            model: The model to finalize; None is the one that was prepared.
            inplace: Whether to change the model itself and not a copy.
        """
        given = self._model if model is None else model
        finalized = given if inplace else copy.deepcopy(given)
        self._skipped.update(finish(finalized, self._kind))
        ends = tuple(f".{name}" for name in self._frozen)  # the model may be wrapped by now
        for name, parameter in finalized.named_parameters():
            if f".{name}".endswith(ends):
                parameter.requires_grad_(True)
        if next(stacks(finalized), None) is None:
            mark_version(finalized)
        if model is None:
            self._model = finalized
        return finalized

    def _weights(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor, Technique]]:
        """Yields (name of the module, float weight, compressed weight, technique), as in evaluation."""
        was_training = self._model.training
        self._model.eval()
        try:
            with torch.no_grad():
                for target, stack in stacks(self._model):
                    if self._kind in stack.techniques:
                        technique = cast("Technique", stack.techniques[self._kind])
                        original = original_of(target.module, target.parameter).detach()
                        name = target.path if target.parameter == "weight" else target.name
                        yield name, original, stack(original), technique
        finally:
            self._model.train(was_training)

    def _report(self, rows: dict[str, dict[str, Any]]) -> Report:
        return Report(rows, self._skipped)
