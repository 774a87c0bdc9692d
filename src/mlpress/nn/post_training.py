"""Compression of the parameters of a trained model by the solvers of `mlpress.fit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding
from mlpress.errors import EncodingError, NotApplicableError, StrictError
from mlpress.fit.apply import Fitted, Job, run
from mlpress.nn.arrays import overwrite, weight_to_numpy
from mlpress.nn.metadata import load, metadata_of, store
from mlpress.nn.targets import Target
from mlpress.recipe import Stage


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What to do to a parameter.

    Attributes:
        target: The parameter.
        stages: What to do, in order; or why nothing can be done.
        solve: What does it.
    """

    target: Target
    stages: tuple[Stage, ...] | str
    solve: Callable[[Job], Fitted | str] = run


def stored(target: Target) -> Encoding:
    """Returns how a parameter is stored now: as an earlier compression left it, or plainly.

    Raises:
        NotApplicableError: It is not float16 or float32.
        EncodingError: The buffers that describe it contradict each other.
    """
    values = weight_to_numpy(target.values)
    return load(target.module, target.parameter) or Dense(Tensor.from_numpy(values))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of parameters.

    Attributes:
        errors: Root mean square of the change of those that are compressed, by name.
        skipped: Why others were left as they were, by name.
    """

    errors: dict[str, float]
    skipped: dict[str, str]


def compress(plans: Sequence[Plan], workers: int = 1, strict: bool = False) -> Outcome:
    """Compresses parameters in their memory; one that several modules share is worked on once.

    Args:
        plans: What to do.
        workers: Parameters to work on at a time.
        strict: Whether a parameter that cannot be compressed as asked is an error.

    Raises:
        StrictError: One would be left; no parameter has been changed then.
    """
    shared: dict[int, list[Plan]] = {}
    for plan in plans:
        shared.setdefault(id(plan.target.values), []).append(plan)
    firsts = [group[0] for group in shared.values()]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = list(pool.map(_fit, firsts))
    outcomes = list(zip(shared.values(), results, strict=True))
    skipped = {group[0].target.name: result for group, result in outcomes if isinstance(result, str)}
    check_strict(skipped, strict)
    errors = {}
    for group, result in outcomes:
        if not isinstance(result, str):
            for plan in group:
                target = plan.target
                store(target.module, target.parameter, result.encoding, overwrite)
                errors[target.name] = math.sqrt(result.squared_error / target.values.numel())
    return Outcome(errors, skipped)


def check_strict(skipped: Mapping[str, str], strict: bool) -> None:
    """Raises StrictError if there are skipped parameters and `strict` says that this is an error."""
    if strict and skipped:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise StrictError(f"{len(skipped)} parameters cannot be compressed as asked: {reasons}")


def _fit(plan: Plan) -> Fitted | str:
    if isinstance(plan.stages, str):
        return plan.stages
    try:
        fitted = plan.solve(Job(stored(plan.target), plan.stages, plan.target.layout))
        if isinstance(fitted, Fitted):
            metadata_of(fitted.encoding)
    except (NotApplicableError, EncodingError) as reason:
        return str(reason)
    return fitted
