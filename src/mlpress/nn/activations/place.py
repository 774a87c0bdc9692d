"""Where activations are rounded, and which places have a scale in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import fx, nn

from mlpress.nn.activations.roles import COMBINING, FIXED, POSITIVE, Fixed, Role, operation, role
from mlpress.nn.activations.units import Unit
from mlpress.nn.training.quantize import QuantizeOptions


@dataclass(slots=True, eq=False)
class Place:
    """Tensors that are rounded with one scale.

    Attributes:
        options: How.
        nodes: What makes the tensors.
        positive: Whether no value is negative.
        fixed: Scale and zero point that are known beforehand, or None.
    """

    options: QuantizeOptions
    nodes: list[fx.Node] = field(default_factory=list)
    positive: bool = False
    fixed: Fixed | None = None


class Plan:
    """The places of a graph.

    Attributes:
        places: By the node that makes a tensor.
        users: For nodes whose tensors are rounded for some of their users only: these.
    """

    def __init__(self, model: fx.GraphModule, floats: frozenset[fx.Node]) -> None:
        self.places: dict[fx.Node, Place] = {}
        self.users: dict[fx.Node, set[fx.Node]] = {}
        self._model = model
        self._floats = floats

    def add(self, unit: Unit, options: QuantizeOptions) -> None:
        """Rounds what goes into a unit and what comes out of it."""
        inputs = [self._source(node) for node in unit.first.all_input_nodes if node in self._floats]
        for source in inputs:
            if source not in self.places:
                self._place(source, Place(options))
                self.users[source] = set()
            if source in self.users:
                self.users[source].add(unit.first)
        if unit.last not in self._floats:
            return
        if unit.role is Role.SHARING and inputs:
            together = self._merge({id(self.places[node]): self.places[node] for node in inputs}.values())
            self._place(unit.last, together)
            return
        called = operation(unit.last, self._model)
        sums = called in COMBINING and all(self._positive(node) for node in inputs)
        self._place(unit.last, Place(options, positive=called in POSITIVE or sums, fixed=FIXED.get(called)))

    def _source(self, node: fx.Node) -> fx.Node:
        """Returns the node whose rounded tensor serves: behind a dropout it is not rounded once more."""
        while role(node, self._model) is Role.DROPOUT and node.all_input_nodes:
            node = node.all_input_nodes[0]
        return node

    def _positive(self, node: fx.Node) -> bool:
        place = self.places[node]
        return place.positive or (place.fixed is not None and place.fixed.zero_point == 0)

    def _place(self, node: fx.Node, place: Place) -> None:
        place.nodes.append(node)
        self.places[node] = place
        self.users.pop(node, None)

    def _merge(self, places: Iterable[Place]) -> Place:
        first, *others = places
        for other in others:
            first.positive = first.positive and other.positive
            first.fixed = first.fixed if first.fixed == other.fixed else None
            first.nodes += other.nodes
            for node in other.nodes:
                self.places[node] = first
        return first


def insert(model: fx.GraphModule, plan: Plan, make: Callable[[Place], nn.Module]) -> None:
    """Puts a quantizer behind each node that has a place, in a graph module.

    Args:
        model: The graph module.
        plan: Its places.
        make: Makes the quantizer of a place; places of several nodes share it.
    """
    names: dict[int, str] = {}
    for node, place in sorted(plan.places.items(), key=_order(model)):
        if id(place) not in names:
            names[id(place)] = f"activation_post_process_{len(names)}"
            model.add_submodule(names[id(place)], make(place))
        name = names[id(place)]
        with model.graph.inserting_after(node):
            rounded = model.graph.call_module(name, (node,))
        wanted = plan.users.get(node)
        for user in list(node.users):
            if user is not rounded and (wanted is None or user in wanted or _leads_to(user, wanted)):
                user.replace_input_with(node, rounded)
    model.recompile()


def _leads_to(user: fx.Node, wanted: set[fx.Node]) -> bool:
    """Whether a user hands its input on to one that wants it rounded, as dropout does."""
    return any(after in wanted for after in user.users) and user not in wanted


def _order(model: fx.GraphModule) -> Callable[[tuple[fx.Node, Place]], int]:
    positions = {node: index for index, node in enumerate(model.graph.nodes)}
    return lambda item: positions[item[0]]
