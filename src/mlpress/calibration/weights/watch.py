"""Runs a module and adds up what samples say about its weights."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, fx

from mlpress.calibration.weights.evidence import WeightEvidence
from mlpress.calibration.weights.inputs import ROWS
from mlpress.calibration.weights.matrices import Matrices
from mlpress.calibration.weights.outputs import Compared
from mlpress.calibration.weights.sums import SecondMoments, SquaredGradients
from mlpress.calibration.weights.uses import uses_of
from mlpress.errors import NotApplicableError
from mlpress.fit.apply import Evidence
from mlpress.passes import Planned

_MOST_COLUMNS: Final = 16384
"""Inputs to one output up to which second moments are summed: 1 GiB of them."""

_SEED: Final = 0


class Watch:
    """Adds up, for weights of a module, second moments of inputs and squared gradients."""

    def __init__(self, module: fx.GraphModule, function: str, wanted: Sequence[Planned]) -> None:
        """Finds the weights in a module.

        Args:
            module: Made by `mlpress.runtime`, of decoded weights; parameters are asked for gradients.
            function: Name of the function that it is.
            wanted: The weights.
        """
        module.requires_grad_(False)
        self._module = module
        self._moments: dict[Hashable, tuple[Matrices, SecondMoments] | str] = {}
        self._gradients: dict[Hashable, SquaredGradients] = {}
        self._reasons: dict[Hashable, str] = {}
        self._watched: dict[fx.Node, list[tuple[Any, SecondMoments]]] = {}
        self._shared: dict[Hashable, SecondMoments] = {}
        self._errors = Compared(module)
        self._noise = torch.Generator().manual_seed(_SEED)
        uses = uses_of(module)
        for each in wanted:
            if each.key not in uses:
                self._reasons[each.key] = f"samples run through function {function!r}, which does not use it"
                continue
            methods = {stage.method for stage in each.stages}
            if methods & {"gptq", "sparse_gpt"} and each.key not in self._moments:
                self._moments[each.key] = self._watch_inputs(each, uses[each.key])
            if "sensitive" in methods and each.key not in self._gradients:
                graph, node = uses[each.key][0]
                parameter = graph.get_parameter(str(node.target))
                self._gradients[each.key] = SquaredGradients(parameter)

    def _watch_inputs(
        self, each: Planned, uses: Sequence[tuple[fx.GraphModule, fx.Node]]
    ) -> tuple[Matrices, SecondMoments] | str:
        try:
            matrices = Matrices.of(each.weight.encoding.shape, each.weight.layout)
        except NotApplicableError as reason:
            return str(reason)
        if matrices.columns > _MOST_COLUMNS:
            return f"{matrices.columns} inputs go into an output; allowed: {_MOST_COLUMNS}"
        calls = [(node, user) for _, node in uses for user in node.users]
        if any(graph is not self._module for graph, _ in uses):
            return "it is used inside a block of control flow"
        roles = [(user, _role(node, user)) for node, user in calls]
        if any(role not in ROWS for _, role in roles):
            kinds = ", ".join(f"{kind} {name!r}" for kind, name in each.weight.operations)
            return f"it is used by {kinds}; allowed: conv, linear and matmul operators"
        key = frozenset(_inputs_key(user, role, matrices) for user, role in roles)
        if key not in self._shared:
            made = self._shared[key] = SecondMoments(matrices.groups, matrices.columns)
            for user, role in roles:
                self._watched.setdefault(user, []).append((ROWS[role], made))
        return matrices, self._shared[key]

    def run(self, arguments: Sequence[Tensor]) -> None:
        """Runs the module once, if there is anything to see."""
        if not self._gradients and not self._watched:
            return
        if not self._gradients:
            with torch.no_grad():
                _Interpreter(self._module, self._watched).run(*arguments)
            return
        with torch.enable_grad():
            outputs = _Interpreter(self._module, self._watched).run(*arguments)
            loss = self._loss(outputs)
        if loss is not None:
            loss.backward()  # type: ignore[no-untyped-call]

    def _loss(self, outputs: Mapping[str, Tensor]) -> Tensor | None:
        """Returns the outputs' projection on random numbers.

        The squares of its gradients are, on average, the diagonal of the Gauss-Newton matrix of the squared
        error of the outputs: the Fisher information of a model whose outputs have normal errors, with labels
        drawn from the model (Martens 2020, "New insights and perspectives on the natural gradient method",
        sections 8 and 9; Bekas et al. 2007 for the diagonal). There are no true labels to take their place.
        Each output counts the same.
        """
        parts = []
        for output in self._errors.of(outputs).values():
            if output.requires_grad:
                noise = torch.randn(output.shape, generator=self._noise).to(output.device)
                size = output.detach().square().mean().sqrt()
                parts.append((noise * output).sum() / torch.where(size > 0, size, 1))
        return torch.stack(parts).sum() if parts else None

    def evidence(self) -> dict[Hashable, Evidence | str]:
        """Returns what was found for each weight, or why nothing was."""
        found: dict[Hashable, Evidence | str] = dict(self._reasons)
        for key in (*self._moments, *self._gradients):
            found[key] = self._evidence_for(key)
        return found

    def _evidence_for(self, key: Hashable) -> Evidence | str:
        seen = self._moments.get(key)
        if isinstance(seen, str):
            return seen
        matrices, moments = (None, None) if seen is None else (seen[0], seen[1].sums)
        if moments is not None and not np.isfinite(moments).all():
            return "its inputs are not finite"
        gradients = self._gradients.get(key)
        squares = None if gradients is None else gradients.sums
        if squares is not None and not np.isfinite(squares).all():
            return "a gradient of it is not finite"
        if squares is not None and not squares.any():
            return "no output depends on it"
        return WeightEvidence(matrices, moments, squares)


class _Interpreter(fx.Interpreter):
    """Shows the operands of some nodes."""

    def __init__(
        self, module: fx.GraphModule, watched: Mapping[fx.Node, Sequence[tuple[Any, SecondMoments]]]
    ) -> None:
        super().__init__(module)
        self._watched = watched

    def run_node(self, n: fx.Node) -> Any:
        for rows, moments in self._watched.get(n, ()):
            _, arguments = self.fetch_args_kwargs_from_env(n)
            with torch.no_grad():
                for part in rows(arguments):
                    moments.add(part)
        return super().run_node(n)


def _role(node: fx.Node, user: fx.Node) -> tuple[Any, str]:
    """Returns the function that uses a node and the parameter that it is, empty if it is in a list."""
    return user.target, next((name for name, value in user.kwargs.items() if value is node), "")


def _inputs_key(user: fx.Node, role: tuple[Any, str], matrices: Matrices) -> Hashable:
    """Returns what is equal for operators that sum over the same inputs."""
    others = tuple(
        (name, repr(value)) for name, value in user.kwargs.items() if name not in (role[1], "bias")
    )
    return *role, others, matrices.shape[1:] if matrices.kernel > 1 else matrices.columns, matrices.groups
