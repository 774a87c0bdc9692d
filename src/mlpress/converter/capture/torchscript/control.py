"""Branches and loops of TorchScript: decided or unrolled where possible, else as operators of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils import _pytree as pytree

from mlpress.converter.capture.errors import CaptureError, DataDependentError
from mlpress.converter.capture.torchscript.numbers import is_number, natural_dtype
from mlpress.converter.capture.torchscript.places import place_of

if TYPE_CHECKING:
    from mlpress.converter.capture.torchscript.interpreter import Interpreter

UNROLL_LIMIT: Final = 10_000
"""Loops with more iterations than this are taken for endless."""

Scope = dict[str, Any]
Symbolic = torch.SymInt | torch.SymFloat | torch.SymBool


def run_if(interpreter: Interpreter, node: Any, scope: Scope) -> list[Any]:
    """Runs a `prim::If`: one branch if the condition is known, else both under `torch.cond`."""
    condition = scope[node.inputsAt(0).debugName()]
    then, otherwise = node.blocks()
    if not isinstance(condition, torch.Tensor):
        return interpreter.run_block(then if condition else otherwise, (), scope)
    for block, other in ((then, otherwise), (otherwise, then)):
        if any(inner.kind() == "prim::RaiseException" for inner in block.nodes()):
            # A check of values: the program goes on as if it had passed.
            return interpreter.run_block(other, (), scope)
    return _cond(interpreter, node, condition, scope)


def run_loop(interpreter: Interpreter, node: Any, scope: Scope) -> list[Any]:
    """Runs a `prim::Loop`: unrolled if the number of iterations is known, else under `while_loop`.

    Raises:
        DataDependentError: What the loop carries cannot be carried by tensors.
        CaptureError: The loop does not end.
    """
    limit, condition, *carried = (scope[value.debugName()] for value in node.inputs())
    (block,) = node.blocks()
    if isinstance(limit, Symbolic) and not limit.node.is_constant():
        return _while_loop(interpreter, node, limit, condition, carried, scope)
    count = 0
    while count < int(limit):
        if isinstance(condition, torch.Tensor):
            return _while_loop(interpreter, node, limit, condition, carried, scope, count)
        if not condition:
            break
        if count >= UNROLL_LIMIT:
            raise CaptureError(f"the loop in {place_of(node)} has not ended after {UNROLL_LIMIT} iterations")
        condition, *carried = interpreter.run_block(block, (count, *carried), dict(scope))
        count += 1
    return carried


def _cond(interpreter: Interpreter, node: Any, condition: torch.Tensor, scope: Scope) -> list[Any]:
    blocks = list(node.blocks())
    outer = _hoisted(interpreter, blocks, scope)
    names = _operand_names(blocks, outer)
    structures: list[Any] = []

    def branch(block: Any) -> Callable[..., Any]:
        def run(*operands: Any) -> tuple[Any, ...]:
            inner = outer | dict(zip(names, operands, strict=True))
            leaves, structure = pytree.tree_flatten(interpreter.run_block(block, (), inner))
            structures.append(structure)
            return tuple(_as_result(leaf, operands, node) for leaf in leaves)

        return run

    operands = tuple(outer[name] for name in names)
    results = torch.ops.higher_order.cond(
        condition.reshape(()), branch(blocks[0]), branch(blocks[1]), operands
    )
    if any(structure != structures[0] for structure in structures):
        raise DataDependentError(f"the branches in {place_of(node)} give different structures")
    return _as_declared(pytree.tree_unflatten(results, structures[0]), node)


def _while_loop(
    interpreter: Interpreter,
    node: Any,
    limit: Any,
    condition: Any,
    carried: Sequence[Any],
    scope: Scope,
    start: int = 0,
) -> list[Any]:
    """Carries the number of the iteration, the condition and the loop's own values, all as tensors."""
    (block,) = node.blocks()
    outer = _hoisted(interpreter, [block], scope)
    names = _operand_names([block], outer)
    leaves, structure = pytree.tree_flatten(list(carried))
    bound = () if isinstance(limit, int) and limit > UNROLL_LIMIT else (_as_result(limit, (), node),)
    # An operand may not be there twice, so what is carried is a copy.
    operands = (*bound, *(outer[name] for name in names))
    first = tuple(_as_result(leaf, operands, node) for leaf in (start, condition, *leaves))

    def proceed(count: torch.Tensor, going: torch.Tensor, *rest: Any) -> torch.Tensor:
        return torch.logical_and(going, count < rest[len(leaves)]) if bound else going.clone()

    def step(count: torch.Tensor, going: torch.Tensor, *rest: Any) -> tuple[Any, ...]:
        values, others = rest[: len(leaves)], rest[len(leaves) + len(bound) :]
        inner = outer | dict(zip(names, others, strict=True))
        index = count.item() if next(iter(block.inputs())).uses() else 0
        results = interpreter.run_block(block, (index, *_restored(values, leaves, structure)), inner)
        return (count + 1, *(_as_result(leaf, (going, *rest), node) for leaf in pytree.tree_leaves(results)))

    results = torch.ops.higher_order.while_loop(proceed, step, first, operands)
    return _as_declared(pytree.tree_unflatten(list(results[2:]), structure), node)


def _restored(values: Sequence[Any], leaves: Sequence[Any], structure: Any) -> list[Any]:
    restored = [
        value if isinstance(leaf, torch.Tensor) else value.item()
        for value, leaf in zip(values, leaves, strict=True)
    ]
    return list(pytree.tree_unflatten(restored, structure))


def _as_declared(values: Sequence[Any], node: Any) -> list[Any]:
    """Numbers again where the graph has numbers; conditions stay tensors."""
    kinds = [output.type().kind() for output in node.outputs()]
    return [
        value.item() if kind in ("IntType", "FloatType") and isinstance(value, torch.Tensor) else value
        for value, kind in zip(values, kinds, strict=True)
    ]


def _as_result(value: Any, operands: Sequence[Any], node: Any) -> torch.Tensor:
    """A value as a branch or loop may return it: a tensor that is none of the operands."""
    if isinstance(value, torch.Tensor):
        return value.clone() if any(value is operand for operand in operands) else value
    if is_number(value):
        return torch.scalar_tensor(value, dtype=natural_dtype(value))
    raise DataDependentError(
        f"a branch or loop that depends on values gives a {type(value).__name__}, in {place_of(node)}; "
        "only tensors and numbers can depend on values"
    )


def _hoisted(interpreter: Interpreter, blocks: Sequence[Any], scope: Scope) -> Scope:
    """The values around some blocks, and the attributes that the blocks read."""
    outer = dict(scope)
    for inner in _nodes(blocks):
        if inner.kind() == "prim::SetAttr":
            raise DataDependentError(
                f"an attribute is set where values decide whether it is, in {place_of(inner)}"
            )
        if inner.kind() == "prim::GetAttr":
            outer[inner.output().debugName()] = interpreter.get(inner, outer)
    return outer


def _operand_names(blocks: Sequence[Any], outer: Scope) -> list[str]:
    """Names of tensors and symbolic numbers from outside that some blocks use."""
    used = {value.debugName(): None for inner in _nodes(blocks) for value in inner.inputs()}
    used |= {value.debugName(): None for block in _blocks(blocks) for value in block.outputs()}
    names: list[str] = []
    for name in used:
        value = outer.get(name)
        if isinstance(value, torch.Tensor | Symbolic) and not any(value is outer[other] for other in names):
            names.append(name)
    return names


def _blocks(blocks: Sequence[Any]) -> Iterator[Any]:
    for block in blocks:
        yield block
        for inner in block.nodes():
            yield from _blocks(list(inner.blocks()))


def _nodes(blocks: Sequence[Any]) -> Iterator[Any]:
    for block in _blocks(blocks):
        yield from block.nodes()
