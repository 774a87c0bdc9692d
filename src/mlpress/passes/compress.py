"""Compress the weights of a program by a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace

from mlpress.bits import Spool
from mlpress.encoding import Dense, Encoding, describe, map_tensors, size_of, storage_key, tensors
from mlpress.encoding.nodes import FLOAT_DTYPES
from mlpress.errors import LegalityError, RecipeError, StrictError
from mlpress.fit.apply import Evidence, Fitted, Job, run
from mlpress.mil import Constant, Program, canonical_nbytes, why_illegal, with_constants
from mlpress.package import release
from mlpress.passes.report import Report, Row, Status, human_bytes, snr_db
from mlpress.passes.weights import Weight, totals, weights
from mlpress.passes.wider import in_known_width
from mlpress.recipe import Recipe, Stage

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How a recipe is carried out.

    Attributes:
        strict: Raise if a weight cannot be compressed as asked, instead of leaving it and saying so.
        already_compressed: Whether weights that are compressed already are touched.
        workers: Weights that are worked on at a time.
        executor: Runs the work, instead of `workers` threads here; at most ``2 * workers`` weights are
            handed to it at a time.
        progress: Called as ``progress(done, total, name)`` after each weight.
    """

    strict: bool = False
    already_compressed: bool = True
    workers: int = 1
    executor: Executor | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        given: object = self.workers
        if not isinstance(given, int) or given < 1:
            raise RecipeError(f"workers is {given!r}; it has to be a whole number, at least 1")


@dataclass(frozen=True, slots=True)
class _Plan:
    """A weight and what to do to it, or the reason why nothing is done."""

    weight: Weight
    stages: tuple[Stage, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: Status
    encoding: Encoding
    reason: str = ""
    snr_db: float | None = None
    samples_snr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A weight that a recipe is for.

    Attributes:
        weight: The weight.
        stages: What will be done to it.
    """

    weight: Weight
    stages: tuple[Stage, ...]

    @property
    def key(self) -> Hashable:
        """Equal for weights that share their storage."""
        return storage_key(self.weight.encoding)


def planned(program: Program, recipe: Recipe, options: Options | None = None) -> list[Planned]:
    """Returns the weights that a recipe is for, in program order.

    Raises:
        RecipeError: Two operators that share a constant are to be treated differently.
    """
    plans = (_plan(weight, recipe, options or Options()) for weight in weights(program))
    return [Planned(plan.weight, plan.stages) for plan in plans if plan.stages]


def asking(program: Program, recipe: Recipe, options: Options | None = None) -> list[Planned]:
    """Returns those of `planned` that are treated by methods that take samples."""
    return [
        each
        for each in planned(program, recipe, options)
        if any(stage.method is not None for stage in each.stages)
    ]


def compress(
    program: Program,
    recipe: Recipe,
    options: Options | None = None,
    evidence: Mapping[Hashable, Evidence | str] | None = None,
) -> tuple[Program, Report]:
    """Returns a copy of `program` with its weights compressed, and what was done to each.

    A weight is either compressed by all stages that apply to it or left bit for bit. `program` is not
    changed. Memory is bounded by the weights that are worked on at a time: results go to a temporary file.

    Args:
        program: Any program.
        recipe: What to do.
        options: How.
        evidence: What samples say about the weights that `asking` returns, by their keys, or why they say
            nothing.

    Raises:
        LegalityError: The opset of the program cannot express what the recipe asks for.
        RecipeError: Two operators that share a constant are to be treated differently.
        StrictError: With `strict`, a weight could not be compressed as asked.
    """
    options = options or Options()
    found = list(weights(program))
    plans = [_plan(weight, recipe, options) for weight in found]
    jobs: dict[Hashable, _Plan] = {}
    for plan in plans:
        if plan.stages:
            jobs.setdefault(_key(plan), plan)
    return _replaced(program, recipe, options, plans, _carry_out(jobs, options, evidence or {}))


def replace_weights(
    program: Program,
    recipe: Recipe,
    fitted: Mapping[Hashable, Fitted | str],
    options: Options | None = None,
) -> tuple[Program, Report]:
    """Like `compress`, with the work done already.

    Args:
        program: Any program.
        recipe: What was done.
        fitted: What came of the weights that `planned` returns, by their keys, or why nothing did.
        options: Of these `strict` and `already_compressed` matter.
    """
    options, spool = options or Options(), Spool()
    plans = [_plan(weight, recipe, options) for weight in weights(program)]
    outcomes = {
        _key(plan): _outcome(plan, fitted[storage_key(plan.weight.encoding)], spool)
        for plan in plans
        if plan.stages
    }
    return _replaced(program, recipe, options, plans, outcomes)


def _replaced(
    program: Program,
    recipe: Recipe,
    options: Options,
    plans: list[_Plan],
    outcomes: Mapping[Hashable, _Outcome],
) -> tuple[Program, Report]:
    rows: list[Row] = []
    after: list[Weight] = []
    replaced: dict[Constant, Encoding] = {}
    for plan in plans:
        outcome = outcomes[_key(plan)] if plan.stages else _Outcome("left", plan.weight.encoding, plan.reason)
        rows.append(_row(plan.weight, outcome))
        after.append(replace(plan.weight, encoding=outcome.encoding))
        if outcome.status == "compressed":
            replaced[plan.weight.constant] = outcome.encoding
    compressed = with_constants(program, replaced)
    before = [plan.weight for plan in plans]
    report = Report(tuple(rows), totals(before), totals(after), _unmatched(recipe, before))
    if options.strict:
        _require_all_done(report)
    return compressed, report


def _require_all_done(report: Report) -> None:
    problems = [f"{row.name}: {row.reason}" for row in report.skipped]
    problems += [f"matches no weight: {rule}" for rule in report.unmatched]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise StrictError(f"the model cannot be compressed as asked:{lines}")


def _unmatched(recipe: Recipe, found: list[Weight]) -> tuple[str, ...]:
    """Returns the exceptions of a recipe that match no weight: most often a name with a slip in it."""
    users = [(weight.constant.name, weight.operations) for weight in found]
    return tuple(
        f"steps[{number}].{rule}"
        for number, step in enumerate(recipe.steps)
        for rule in step.unmatched(users)
    )


def _plan(weight: Weight, recipe: Recipe, options: Options) -> _Plan:
    constant, encoding = weight.constant, weight.encoding
    if encoding.dtype not in FLOAT_DTYPES:
        return _Plan(weight, reason=f"its values are {encoding.dtype}, not float16 or float32")
    if len(encoding.shape) < 2:
        return _Plan(weight, reason="it has one axis only")
    if not weight.operations:
        return _Plan(weight, reason="no operator uses it")
    size = size_of(encoding)
    if all(size <= step.least_threshold for step in recipe.steps):
        # Before anything else: how such a weight would be treated does not matter.
        least = min((step.least_threshold for step in recipe.steps), default=math.inf)
        small = f"its {size} elements are not more than weight_threshold, {least}"
        return _Plan(weight, reason="the recipe leaves it alone" if math.isinf(least) else small)
    stages = [step.stage_for(constant.name, weight.operations) for step in recipe.steps]
    wanted = tuple(stage for stage in stages if stage is not None)
    if not wanted:
        return _Plan(weight, reason="the recipe leaves it alone")
    large_enough = tuple(stage for stage in wanted if size > stage.weight_threshold)
    if not large_enough:
        threshold = min(stage.weight_threshold for stage in wanted)
        return _Plan(weight, reason=f"its {size} elements are not more than weight_threshold, {threshold}")
    if not isinstance(encoding, Dense) and not options.already_compressed:
        return _Plan(weight, reason="it is compressed already; joint_compression=True compresses it further")
    if any(step.names_constant(constant.name) for step in recipe.steps):
        # Who names a weight may ask for a pattern that its operator does not call for.
        weight = replace(weight, layout=replace(weight.layout, prunable_in_patterns=True))
    return _Plan(weight, large_enough)


def _key(plan: _Plan) -> Hashable:
    """Equal for weights that share their storage and are treated alike: the work is then done once."""
    weight = plan.weight
    return storage_key(weight.encoding), plan.stages, weight.layout, weight.function.opset


def _carry_out(
    jobs: dict[Hashable, _Plan], options: Options, evidence: Mapping[Hashable, Evidence | str]
) -> dict[Hashable, _Outcome]:
    spool = Spool()
    outcomes: dict[Hashable, _Outcome] = {}
    # The largest first, so that no worker is left with one at the end.
    order = sorted(jobs, key=lambda key: -size_of(jobs[key].weight.encoding))
    for key, result in _results([(key, _job(jobs[key], evidence)) for key in order], options):
        plan = jobs[key]
        outcomes[key] = _outcome(plan, result, spool)
        del result  # it is in the spool; the next weight needs the memory
        for tensor in tensors(plan.weight.encoding):
            release(tensor)
        if options.progress is not None:
            options.progress(len(outcomes), len(jobs), plan.weight.constant.name)
    return outcomes


def _job(plan: _Plan, evidence: Mapping[Hashable, Evidence | str]) -> Job:
    weight = plan.weight
    none = "there are no samples"
    return Job(weight.encoding, plan.stages, weight.layout, evidence.get(storage_key(weight.encoding), none))


def _results(
    jobs: Iterable[tuple[Hashable, Job]], options: Options
) -> Iterator[tuple[Hashable, Fitted | str]]:
    """Yields results as they come, never with more jobs under way than asked for."""
    if options.executor is None and options.workers == 1:
        for key, job in jobs:
            yield key, run(job)
        return
    # More than are worked on: a worker that is done finds the next job while its result is taken care of.
    limit = 2 * options.workers
    own = ThreadPoolExecutor(options.workers) if options.executor is None else None
    with own or nullcontext():
        executor = own or options.executor
        assert executor is not None
        waiting: dict[Future[Fitted | str], Hashable] = {}
        try:
            for key, job in jobs:
                waiting[executor.submit(run, job)] = key
                if len(waiting) >= limit:
                    yield from _finished(waiting)
            while waiting:
                yield from _finished(waiting)
        finally:
            for future in waiting:
                future.cancel()


def _finished(waiting: dict[Future[Fitted | str], Hashable]) -> Iterator[tuple[Hashable, Fitted | str]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


def _outcome(plan: _Plan, result: Fitted | str, spool: Spool) -> _Outcome:
    weight = plan.weight
    if isinstance(result, str):
        return _Outcome("skipped", weight.encoding, result)
    opset = weight.function.opset
    fitted = in_known_width(result.encoding, plan.stages, opset)
    reason = why_illegal(fitted, opset)
    if reason is not None and isinstance(weight.encoding, Dense):
        raise LegalityError(f"constant {weight.constant.name!r}: {reason}")
    before, after = (canonical_nbytes(encoding, opset) for encoding in (weight.encoding, fitted))
    if reason is None and after >= before:
        reason = (
            f"it would not get smaller: {human_bytes(before)} now, {human_bytes(after)} as {describe(fitted)}"
        )
    if reason is not None:
        return _Outcome("skipped", weight.encoding, reason)
    ratio = snr_db(result.squared_error, result.squared_signal)
    on_samples = None if result.on_samples is None else snr_db(*result.on_samples)
    stored = map_tensors(fitted, spool.store)
    return _Outcome("compressed", stored, snr_db=ratio, samples_snr_db=on_samples)


def _row(weight: Weight, outcome: _Outcome) -> Row:
    opset = weight.function.opset
    return Row(
        name=weight.constant.name,
        function=weight.function_name,
        operations=tuple(weight.operations),
        shape=weight.encoding.shape,
        status=outcome.status,
        reason=outcome.reason,
        before=describe(weight.encoding),
        after=describe(outcome.encoding),
        nbytes_before=canonical_nbytes(weight.encoding, opset),
        nbytes_after=canonical_nbytes(outcome.encoding, opset),
        snr_db=outcome.snr_db,
        samples_snr_db=outcome.samples_snr_db,
    )
