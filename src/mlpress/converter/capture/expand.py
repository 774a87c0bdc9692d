"""Taking composite operators apart, one node at a time.

This does what `ExportedProgram.run_decompositions` does, without running the whole model again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._guards import detect_fake_mode
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from mlpress.converter.capture.decompositions import Decompositions
from mlpress.converter.capture.errors import CaptureError
from mlpress.converter.capture.exporting import explain
from mlpress.converter.capture.recorder import Recorder
from mlpress.converter.capture.source import source_of
from mlpress.converter.capture.symbols import Symbols

_NEVER = frozenset({"aten::sym_size", "aten::sym_stride", "aten::sym_numel", "aten::sym_storage_offset"})


def expand(graph: fx.Graph, rules: Decompositions) -> None:
    """Replaces, in place, each node that other operators can express and that is not to stay.

    Args:
        graph: A graph whose nodes have values in ``meta["val"]``.
        rules: What becomes of each operator.
    """
    mode = detect_fake_mode([node.meta.get("val") for node in graph.nodes])
    symbols = Symbols(graph)
    for node in list(graph.nodes):
        rule = rules.rule(node.target) if isinstance(node.target, OpOverload) else None
        if rule is None or mode is None:
            symbols.see(node)
        else:
            with graph.inserting_before(node), mode:
                recorder = Recorder(graph, rules, symbols, like=node)
                results = _recorded(node, rule, recorder)
                if recorder.changes and (
                    functional := _without_changes(node, rule, Recorder(graph, rules, symbols, like=node))
                ):
                    recorder.erase()
                    recorder, results = functional
                if results is NotImplemented:
                    symbols.see(node)
                else:
                    _replace(node, pytree.tree_map(recorder.node_of, results))


def _without_changes(
    node: fx.Node, rule: Callable[..., Any], recorder: Recorder
) -> tuple[Recorder, Any] | None:
    """Records a rule that changes tensors, perhaps through views of them, as one that changes none.

    None if torch cannot do that; `make_functional` does what is simple.
    """
    try:
        return recorder, _recorded(node, torch.func.functionalize(rule), recorder)
    except CaptureError:
        recorder.erase()
        return None


def _recorded(node: fx.Node, rule: Callable[..., Any], recorder: Recorder) -> Any:
    def value(argument: fx.Node) -> Any:
        result = argument.meta["val"]
        if isinstance(result, torch.Tensor):
            recorder.know(result, argument)
        return result

    args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)
    # Above autograd, torch would take apart composite operators before the recorder sees them.
    try:
        with torch.no_grad(), torch._C._AutoDispatchBelowAutograd(), recorder:
            return rule(*args, **kwargs)
    except Exception as error:
        raise explain(error, str(source_of(node))) from error


def _replace(node: fx.Node, result: Any) -> None:
    if isinstance(result, tuple | list):
        for user in list(node.users):
            position: Any = user.args[1]
            user.replace_all_uses_with(result[position])
            node.graph.erase_node(user)
    else:
        node.replace_all_uses_with(result)
    node.graph.erase_node(node)
