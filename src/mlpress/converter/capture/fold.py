"""Computing beforehand what depends on no input."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import fx
from torch._ops import OpOverload

from mlpress.converter.capture.naming import unique
from mlpress.converter.capture.tensors import Tensors

LIMIT: Final = 64 << 20
"""Results above this many bytes stay computations; masks of a few thousand positions are below."""

_WEIGHT_DTYPES: Final = (torch.int8, torch.uint8)
_PYTHON_FUNCTIONS: Final = (operator.__name__, "_operator", "math", "torch")


def fold_constants(graph: fx.Graph, tensors: Tensors) -> None:
    """Replaces, in place, nodes that depend on constants and buffers only by `get_attr` nodes.

    Weights are left alone, so that they keep their names and their compression: parameters, buffers of 8-bit
    codes, and buffers that have compression metadata.

    Args:
        graph: A functional graph.
        tensors: What its `get_attr` nodes mean; constants are added to it.
    """
    constant = _constant_nodes(graph, tensors)
    remaining = Counter({node: sum(user in constant for user in node.users) for node in constant})
    values: dict[fx.Node, Any] = {}
    stored = tensors.all()
    for node in list(graph.nodes):
        if node not in constant or not _is_needed(node, constant):
            continue
        values[node] = stored[str(node.target)] if node.op == "get_attr" else _compute(node, values)
        if node.op != "get_attr" and any(user not in constant for user in node.users):
            _replace(node, values[node], constant, tensors)
        for source in node.all_input_nodes:
            remaining[source] -= 1
            if remaining[source] == 0:
                del values[source]
    graph.eliminate_dead_code()


def fold_rounded(graph: fx.Graph, tensors: Tensors) -> None:
    """Computes, in place, the weights that are rounded to integers, where they are more than a parameter.

    While a network is trained, a weight is multiplied with the factors of the batch normalization behind it
    before it is rounded. Only what is known now can be stored as integers. It takes the name of the parameter
    that it is made of, if nothing else uses that.

    Args:
        graph: A functional graph.
        tensors: What its `get_attr` nodes mean; constants are added to it.
    """
    stored = tensors.all()
    for node in list(graph.nodes):
        if node.op != "call_function" or not _rounds(node.target):
            continue
        source: Any = node.args[0]
        made_of = _made_of(source)
        if made_of is None or source.op == "get_attr":
            continue
        values: dict[fx.Node, Any] = {}
        for part in made_of:
            values[part] = stored[str(part.target)] if part.op == "get_attr" else _compute(part, values)
        with graph.inserting_before(node):
            folded = graph.get_attr(unique(source.name, tensors.attributes()))
        folded.meta = dict(source.meta)
        node.replace_input_with(source, folded)
        graph.eliminate_dead_code()
        folded.target = _name(made_of, source, graph, tensors) or folded.target
        tensors.constants[str(folded.target)] = values[source].detach()


def _rounds(target: Any) -> bool:
    name = target._schema.name if isinstance(target, OpOverload) else ""
    return name.startswith(("aten::fake_quantize_per_", "quantized_decomposed::quantize_per_"))


def _made_of(source: fx.Node) -> list[fx.Node] | None:
    """Returns the nodes that a value is computed from, in order, itself last; None if it takes a run."""
    found: dict[fx.Node, None] = {}
    stack = [source]
    while stack:
        node = stack[-1]
        if node.op != "get_attr" and not _is_computable(node):
            return None
        waiting = [each for each in node.all_input_nodes if each not in found]
        stack += waiting
        if not waiting:
            found[stack.pop()] = None
    return list(found)


def _name(made_of: list[fx.Node], source: fx.Node, graph: fx.Graph, tensors: Tensors) -> str | None:
    used = {node.target for node in graph.find_nodes(op="get_attr")}
    for node in made_of:
        name = str(node.target)
        parameter = None if name in used else tensors.parameters.get(name)
        if parameter is not None and parameter.shape == source.meta["val"].shape:
            return name
    return None


def _constant_nodes(graph: fx.Graph, tensors: Tensors) -> set[fx.Node]:
    roots = _foldable_tensors(tensors)
    constant: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr":
            foldable = node.target in roots
        else:
            foldable = _is_computable(node) and all(source in constant for source in node.all_input_nodes)
        if foldable:
            constant.add(node)
    return constant


def _foldable_tensors(tensors: Tensors) -> set[str]:
    compressed = {_compressed_name(name) for name in tensors.buffers if "_COREML_/" in name}
    buffers = {
        name
        for name, value in tensors.buffers.items()
        if name not in compressed and not (value.dtype in _WEIGHT_DTYPES and value.ndim > 1)
    }
    return buffers | set(tensors.constants)


def _compressed_name(buffer: str) -> str:
    """Name of the tensor that ``<module>._COREML_/<name>/<field>``, a buffer of metadata, is about."""
    module, _, rest = buffer.rpartition("_COREML_/")
    return module + rest.rpartition("/")[0]


def _is_computable(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    if not isinstance(node.target, OpOverload):
        return getattr(node.target, "__module__", None) in _PYTHON_FUNCTIONS
    name = node.target._schema.name
    random = torch.Tag.nondeterministic_seeded in node.target.tags or "empty" in name
    if random or "fake_quantize" in name:  # what is rounded is a weight, and becomes integers
        return False
    return node.target.namespace == "aten" and _nbytes(node.meta.get("val")) <= LIMIT


def _nbytes(value: Any) -> float:
    if isinstance(value, tuple | list):
        return sum(_nbytes(each) for each in value)
    if not isinstance(value, torch.Tensor):
        return 0
    static = all(isinstance(size, int) for size in value.shape)
    # Its own property asks for the strides, which may depend on a position that a run alone tells.
    return math.prod(value.shape) * value.itemsize if static else math.inf


def _is_needed(node: fx.Node, constant: set[fx.Node]) -> bool:
    return bool(node.users) and not (
        node.op == "get_attr" and all(user not in constant for user in node.users)
    )


def _compute(node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
    function: Any = node.target
    with torch.no_grad():
        return function(*args, **kwargs)


def _replace(node: fx.Node, value: Any, constant: set[fx.Node], tensors: Tensors) -> None:
    """Gives a value to the users that are not folded themselves."""

    def stays(user: fx.Node) -> bool:
        return user not in constant

    if isinstance(value, int | float | bool):
        node.replace_all_uses_with(value, delete_user_cb=stays)  # type: ignore[arg-type]
    if not isinstance(value, torch.Tensor):
        return
    name = unique(node.name, tensors.attributes())
    with node.graph.inserting_before(node):
        folded = node.graph.get_attr(name)
    folded.meta = dict(node.meta)
    # A view would keep all of the tensor that it looks at.
    whole = value.untyped_storage().nbytes() == value.nbytes and value.is_contiguous()
    tensors.constants[name] = value if whole else value.clone(memory_format=torch.contiguous_format)
    node.replace_all_uses_with(folded, delete_user_cb=stays)
