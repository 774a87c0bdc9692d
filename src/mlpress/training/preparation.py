"""A package as a module to train, and the trained module as a package."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx, nn

from mlpress import passes
from mlpress.api import Compressed
from mlpress.bits import Tensor
from mlpress.calibration.samples import with_decoded_weights
from mlpress.calibration.weights.uses import Place, places, uses_of
from mlpress.encoding import Dense, Encoding, in_dtype, storage_key
from mlpress.errors import NotApplicableError, RecipeError
from mlpress.fit.apply import Fitted
from mlpress.fit.error import squared_error_of
from mlpress.mil import Constant, with_constants
from mlpress.models import MLModel, as_mlmodel
from mlpress.nn.arrays import to_numpy
from mlpress.nn.training.finish import advance
from mlpress.nn.training.schedules import PruningScheduler
from mlpress.nn.training.stack import Stack, add, original_of
from mlpress.passes import Options, Planned
from mlpress.recipe import Recipe, Stage, Step
from mlpress.training.techniques import techniques


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    """A weight that is compressed in training."""

    encoding: Encoding
    place: Place
    stack: Stack


class Trainable:
    """A model in training.

    Attributes:
        model: The model as it was; its `predictor` holds the module that is trained.
        module: What to train: takes the inputs as tensors in their order and returns a dictionary of outputs.
            Its parameters are the floats of the program; weights that the recipe is for are compressed in
            each pass.
    """

    def __init__(self, model: MLModel, recipe: Recipe, schedule: PruningScheduler | None) -> None:
        """Prepares the function in use of a model."""
        self.model = with_decoded_weights(model)
        self.module: fx.GraphModule = self.model.predictor.runner.module
        self._recipe = recipe
        self._trained: dict[Hashable, _Trained] = {}
        self._reasons: dict[Hashable, str] = {}
        self._plain: list[tuple[Constant, nn.Parameter, torch.Tensor]] = []
        uses, planned = uses_of(self.module), passes.planned(model.program, recipe)
        self._freeze({each.key for each in planned})
        for each in planned:
            if each.key not in self._trained and each.key not in self._reasons:
                self._prepare(each, uses.get(each.key, ()), schedule)
        self.module.train()

    def _freeze(self, planned: set[Hashable]) -> None:
        """Leaves gradients to what is stored as floats, and to what will be compressed."""
        self.module.requires_grad_(False)
        for graph, node in places(self.module):
            constant = node.meta["constant"]
            parameter = getattr(graph, str(node.target))
            dense = isinstance(constant.data, Dense) and constant.data.dtype.is_float
            if dense and isinstance(parameter, nn.Parameter) and storage_key(constant.data) not in planned:
                parameter.requires_grad_(True)
                self._plain.append((constant, parameter, parameter.detach().clone()))

    def _prepare(self, each: Planned, uses: Sequence[Place], schedule: PruningScheduler | None) -> None:
        if not uses:
            self._reasons[each.key] = "the function that is trained does not use it"
            return
        graph, node = uses[0]
        weight = graph.get_parameter(str(node.target))
        encoding, layout = each.weight.encoding, each.weight.layout
        try:
            found = techniques(each.stages, encoding, weight.detach(), layout, schedule)
        except NotApplicableError as reason:
            self._reasons[each.key] = str(reason)
            return
        weight.requires_grad_(True)
        stack = None
        for technique in found:
            stack = add(graph, str(node.target), technique)
        assert stack is not None
        for other, its in uses[1:]:
            if (other, its.target) != (graph, node.target):
                for technique in found:
                    add(other, str(its.target), technique, stack)
        self._trained[each.key] = _Trained(encoding, (graph, node), stack)

    def parameters(self) -> list[nn.Parameter]:
        """Returns what an optimizer is to change."""
        return [each for each in self.module.parameters() if each.requires_grad]

    def step(self) -> None:
        """Takes a step of the schedules; call it after each step of the optimizer."""
        for kind in ("prune", "palettize", "quantize"):
            advance(self.module, kind)

    @torch.no_grad()
    def finish(self, *, strict: bool = False) -> Compressed:
        """Returns the trained model as a package in the encodings it was trained in, and the report.

        Floats that are not compressed are the trained ones, too; everything else is that of the model. The
        module is in evaluation mode then, and computes what the package does.

        Args:
            strict: Raise if a weight could not be trained as asked.

        Raises:
            LegalityError: The model's deployment target cannot express what the recipe asks for.
            StrictError: With `strict`, a weight could not be trained as asked; else it is left.
        """
        self.module.eval()
        fitted: dict[Hashable, Fitted | str] = dict(self._reasons)
        fitted |= {key: self._fitted(each) for key, each in self._trained.items()}
        options = Options(strict=strict)
        program, report = passes.replace_weights(self.model.program, self._recipe, fitted, options)
        names = {constant.name: parameter for constant, parameter in self._changed()}
        function = program.functions[self.model.function_name or "main"]
        changed: dict[Constant, Encoding] = {
            constant: _dense(names[constant.name], cast("Encoding", constant.data))
            for constant in function.block.constants()
            if constant.name in names
        }
        return Compressed(self.model.with_program(with_constants(program, changed)), report)

    def _changed(self) -> list[tuple[Constant, nn.Parameter]]:
        return [(each, now) for each, now, before in self._plain if not torch.equal(now, before)]

    def _fitted(self, trained: _Trained) -> Fitted:
        graph, node = trained.place
        weight = original_of(graph, str(node.target)).detach()
        if trained.stack.quantize is not None:
            trained.stack.quantize(weight)
            trained.stack.quantize.quantizer.observing = False
        encoding = in_dtype(trained.stack.encoding(weight), trained.encoding.dtype)
        return Fitted(encoding, *squared_error_of(trained.encoding, encoding))


def trainable(
    model: Any, recipe: Recipe | Step | Stage, *, schedule: PruningScheduler | None = None
) -> Trainable:
    """Makes a model ready to be trained in compressed form, with a loop of your own.

    Quantized weights are rounded in each pass (Jacob et al. 2018), palettized ones clustered by
    differentiable k-means (Cho et al. 2022), pruned ones masked by magnitude; all of them together where the
    recipe says so. The encodings that are trained are those of the package in the end.

    Args:
        model: An `MLModel` of mlpress or coremltools, or the path of a package. It is not changed.
        recipe: What to do: at most one each of `Prune`, `Palettize` and `Quantize` for a weight, in this
            order, with exceptions.
        schedule: When pruning drops how much, such as `PolynomialDecayScheduler` of
            `mlpress.optimize.torch.pruning`; None is all of it from the start.

    Raises:
        RecipeError: A stage has a method that takes samples, or the recipe contradicts itself on a constant.
        MlpressError: PyTorch is not installed.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
    """
    checked = Recipe.of(recipe)
    if checked.needs_data:
        raise RecipeError(
            "training takes stages without a method; methods that take samples go with compress"
        )
    return Trainable(as_mlmodel(model), checked, schedule)


def _dense(parameter: torch.Tensor, before: Encoding) -> Encoding:
    return in_dtype(Dense(Tensor.from_numpy(to_numpy(parameter.detach()).copy())), before.dtype)
