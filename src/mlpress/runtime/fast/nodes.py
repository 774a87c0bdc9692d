"""Looking at graphs that `mlpress.runtime.build` made, and taking nodes out."""

from __future__ import annotations

from typing import Any

from torch import fx

from mlpress.encoding import Encoding
from mlpress.mil import Constant, Literal
from mlpress.runtime.parts import Parts


def kind(node: fx.Node | None) -> str:
    """Returns the type of the operation that `node` computes as it stands in the program, else nothing."""
    if node is None or node.op != "call_function":
        return ""
    found: str = node.meta.get("operation", "")
    return found


def argument(node: fx.Node, name: str, default: Any = None) -> Any:
    """Returns an argument of the operation that `node` computes; `default` for None, too."""
    found = node.kwargs.get(name)
    return default if found is None else found


def encoding_of(node: fx.Node) -> Encoding | None:
    """Returns the encoding of the constant that `node` reads or decodes each time, if it does."""
    constant: Constant | None = node.meta.get("constant") or node.meta.get("decodes")
    return constant.data if constant is not None and not isinstance(constant.data, Literal) else None


def parameters(parts: Parts, node: fx.Node) -> tuple[float, int] | None:
    """Returns scale and zero point of a quantize or dequantize, if known and for the whole tensor."""
    scale = parts.constant(argument(node, "scale"))
    zero = None if node.kwargs.get("zero_point") is None else parts.constant(argument(node, "zero_point"))
    if scale is None or scale.numel() != 1 or argument(node, "axis") is not None:
        return None
    if node.kwargs.get("zero_point") is None:
        return float(scale), 0
    return None if zero is None or zero.numel() != 1 else (float(scale), int(zero))


def is_product(node: fx.Node, weight: Encoding) -> bool:
    """Whether `node`, a linear layer or a convolution, only multiplies the channels at places by `weight`."""
    if any(size != 1 for size in weight.shape[2:]) or argument(node, "groups", 1) != 1:
        return False
    return argument(node, "pad_type") != "custom" or not any(argument(node, "pad", ()))


def only_user(node: fx.Node | None) -> fx.Node | None:
    """Returns the node that uses `node`, if it is one."""
    users = () if node is None else tuple(node.users)
    return users[0] if len(users) == 1 else None


def take_place(graph: fx.Graph, old: fx.Node, new: fx.Node) -> None:
    """Lets `new` be used where `old` is, and takes out `old` and all that only led there."""
    old.replace_all_uses_with(new)
    unused = [old]
    while unused:
        node = unused.pop()
        if not node.users and node.op != "placeholder":
            inputs = node.all_input_nodes
            graph.erase_node(node)
            unused += [one for one in inputs if one not in unused]
