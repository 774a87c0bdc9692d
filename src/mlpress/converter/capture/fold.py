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
    return value.nbytes if static else math.inf


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
