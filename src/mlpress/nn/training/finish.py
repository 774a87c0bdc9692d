"""The end of training: parametrizations become plain parameters with decoded values and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from mlpress.encoding import Dense
from mlpress.nn.arrays import whole
from mlpress.nn.metadata import store
from mlpress.nn.targets import Target
from mlpress.nn.training.quantize import BatchNormFold
from mlpress.nn.training.stack import Stack, original_of, remove, stack_of


def stacks(model: nn.Module) -> Iterator[tuple[Target, Stack]]:
    """Yields the weights of a model that are prepared for compression, shared ones once for each module."""
    for path, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for parameter in cast("Any", module.parametrizations):
                stack = stack_of(module, parameter)
                if stack is not None:
                    yield Target(path, module, parameter), stack


def advance(model: nn.Module, kind: str) -> None:
    """Takes a step of the schedules of all techniques of a kind."""
    seen: set[int] = set()
    for target, stack in stacks(model):
        if kind in stack.techniques and id(stack) not in seen:
            seen.add(id(stack))
            stack.advance(kind, original_of(target.module, target.parameter))


def finish(model: nn.Module, kind: str) -> dict[str, str]:
    """Ends all techniques of a kind; weights with no other become plain, in place.

    Args:
        model: The model; others may prepare weights with techniques of other kinds, which go on.
        kind: The kind.

    Returns:
        Why weights were not compressed, by name.
    """
    ended: dict[int, tuple[Stack, list[Target]]] = {}
    for target, stack in stacks(model):
        if kind in stack.techniques:
            cast("Any", stack.techniques[kind]).finished = True
        if all(cast("Any", technique).finished for technique in stack.techniques.values()):
            ended.setdefault(id(stack), (stack, []))[1].append(target)
    skipped: dict[str, str] = {}
    for stack, shared in ended.values():
        if not _bake(stack, shared):
            skipped[shared[0].name] = "its milestone has not come, or it was switched off"
    return skipped


@torch.no_grad()
def _bake(stack: Stack, shared: list[Target]) -> bool:
    """Makes a weight plain; returns whether it is compressed."""
    first = shared[0]
    trained = whole(original_of(first.module, first.parameter))
    encoding = stack.encoding(trained)
    quantize = stack.quantize
    directly = stack.palettize is None or not stack.palettize.enabled
    for target in shared:
        remove(target.module, target.parameter)
    if quantize is not None and quantize.fold is not None:
        quantize.fold.release()
    if isinstance(encoding, Dense):
        return False
    if quantize is not None and quantize.begun and quantize.fold is not None and directly:
        _take_in(first.module, quantize.fold)
    for target in shared:
        store(target.module, target.parameter, encoding)
    return True


def _take_in(convolution: Any, fold: BatchNormFold) -> None:
    """Gives a convolution the bias that it has together with its batch norm, which goes away."""
    bias = fold.bias(convolution.bias)
    if convolution.bias is None:
        convolution.bias = nn.Parameter(bias.clone())
    else:
        convolution.bias.copy_(bias)
    _become_identity(fold.norm)


def _become_identity(module: nn.Module) -> None:
    """Makes a module do nothing, wherever it is: a graph module and the model it was traced from share it."""
    training = module.training
    module.__class__ = nn.Identity
    module.__dict__.clear()
    nn.Identity.__init__(module)  # type: ignore[arg-type]
    module.training = training
