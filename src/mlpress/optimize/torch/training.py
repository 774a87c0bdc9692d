"""What optimizers share that compress weights in training."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import torch

from mlpress.errors import NotApplicableError, RecipeError
from mlpress.nn.arrays import require_storable
from mlpress.nn.metadata import mark_version
from mlpress.nn.post_training import check_strict
from mlpress.nn.report import Report
from mlpress.nn.targets import Target, targets
from mlpress.nn.training.finish import advance, finish, stacks
from mlpress.nn.training.stack import Stack, add, original_of
from mlpress.nn.training.technique import Technique
from mlpress.optimize.torch.base_model_optimizer import BaseTrainingTimeModelOptimizer, config_of


class WeightOptimizer(BaseTrainingTimeModelOptimizer):
    """Prepares weights with one technique; those of other optimizers on the same model go with it."""

    _kind: ClassVar[str]

    def __init__(self, model: torch.nn.Module, config: Any = None) -> None:
        super().__init__(model, config)
        self._skipped: dict[str, str] = {}
        self._prepared = False

    @abstractmethod
    def _technique(self, target: Target, weight: torch.Tensor, config: Any) -> Technique | None:
        """Returns the technique for a weight, or None to leave it alone.

        Raises:
            NotApplicableError: What is asked for does not fit the weight.
        """

    def _prepare_weights(self, strict: bool) -> None:
        planned: list[tuple[Target, Technique]] = []
        for target in targets(self._model, self._supported_modules):
            config = config_of(self._config, self._model, target)
            weight = original_of(target.module, target.parameter)
            if config is None:
                continue
            try:
                require_storable(weight)
                technique = self._technique(target, weight, config)
            except NotApplicableError as reason:
                self._skipped[target.name] = str(reason)
                continue
            if technique is not None:
                planned.append((target, technique))
        check_strict(self._skipped, strict)
        shared: dict[int, tuple[Technique, Stack]] = {}
        for target, technique in planned:
            weight = original_of(target.module, target.parameter)
            first = shared.get(id(weight))
            if first is None:
                shared[id(weight)] = technique, add(target.module, target.parameter, technique)
            else:
                add(target.module, target.parameter, *first)

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
