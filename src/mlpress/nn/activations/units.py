"""Operations that are one when they are computed: a convolution, its batch norm and its activation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn

from mlpress.nn.activations.roles import Role, operation, role


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """Nodes of a graph whose values in between are not rounded.

    Attributes:
        nodes: One to three, each the only user of the one before.
        role: That of the first.
    """

    nodes: tuple[fx.Node, ...]
    role: Role

    @property
    def first(self) -> fx.Node:
        return self.nodes[0]

    @property
    def last(self) -> fx.Node:
        return self.nodes[-1]

    def norm(self, model: nn.Module) -> nn.Module | None:
        """Returns the batch norm behind a module with weights, or None."""
        if self.role is Role.WEIGHTED and len(self.nodes) > 1 and self.first.op == "call_module":
            second = self.nodes[1]
            if role(second, model) is Role.NORM:
                return model.get_submodule(str(second.target))
        return None


def units(model: fx.GraphModule) -> Iterator[Unit]:
    """Yields the units of a graph in order, those that are not quantized left out."""
    taken: set[fx.Node] = set()
    for node in model.graph.nodes:
        found = role(node, model)
        if node in taken or found in (Role.OTHER, Role.DROPOUT):
            continue
        nodes = [node]
        for following in _FOLLOWING.get(found, ()):
            after = _only_user(nodes[-1])
            if after is not None and role(after, model) is following and _fits(nodes[-1], after, model):
                nodes.append(after)
        taken.update(nodes)
        yield Unit(tuple(nodes), found)


_FOLLOWING = {
    Role.WEIGHTED: (Role.NORM, Role.ACTIVATION),
    Role.BINARY: (Role.ACTIVATION,),
    Role.NORM: (Role.ACTIVATION,),
}


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _fits(node: fx.Node, after: fx.Node, model: nn.Module) -> bool:
    """Whether the second of two is a part of a unit with the first."""
    if role(after, model) is Role.NORM:
        return node.op == "call_module" and _has_statistics(model.get_submodule(str(after.target)))
    called = operation(after, model)
    return role(node, model) is not Role.NORM or (isinstance(called, type) and issubclass(called, nn.ReLU))


def _has_statistics(norm: nn.Module) -> bool:
    return getattr(norm, "running_var", None) is not None
