"""Recipes: stages in order, each with its exceptions, in Python or YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import IO, Any

import yaml

from mlpress.errors import RecipeError
from mlpress.recipe.stages import STAGES, Palettize, Prune, Quantize, Stage, StageBase, stage_name


@dataclass(frozen=True, slots=True)
class Step:
    """A stage and its exceptions.

    Attributes:
        stage: What to do to every weight without an exception; None does nothing to them.
        op_types: What to do instead to weights of operators of a type.
        names: What to do instead by name of the constant or of an operator that uses it (shell-style
            patterns, the first that matches); wins over `op_types`.
    """

    stage: Stage | None
    op_types: Mapping[str, Stage | None] = field(default_factory=dict)
    names: Mapping[str, Stage | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in (self.stage, *self.op_types.values(), *self.names.values()):
            if rule is not None and not isinstance(rule, StageBase):
                raise RecipeError(f"a step holds Prune, Palettize, Quantize or None, not {rule!r}")

    def stage_for(self, constant: str, users: Sequence[tuple[str, str]]) -> Stage | None:
        """Returns what to do to one constant.

        Args:
            constant: Its name.
            users: Type and name of each operator that uses it.

        Raises:
            RecipeError: Its users are to be treated differently.
        """
        named = self._named(constant)
        if named is not None:
            return named[0]
        wanted = [self._for_user(kind, name) for kind, name in users]
        for (kind, name), stage in zip(users, wanted, strict=True):
            if stage != wanted[0]:
                first_kind, first_name = users[0]
                raise RecipeError(
                    f"constant {constant!r} is shared by {first_kind} {first_name!r}, to be treated with "
                    f"{wanted[0]!r}, and {kind} {name!r}, to be treated with {stage!r}; name the constant "
                    f"itself to say which"
                )
        return wanted[0] if wanted else self.stage

    def names_constant(self, constant: str) -> bool:
        """Whether a rule by name matches the constant itself."""
        return self._named(constant) is not None

    def unmatched(self, constants: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
        """Returns the exceptions that match none of some constants, given as (name, users)."""
        types = {kind for _, users in constants for kind, _ in users}
        names = {name for name, _ in constants} | {name for _, users in constants for _, name in users}
        return [f"op_types: {kind!r}" for kind in self.op_types if kind not in types] + [
            f"names: {pattern!r}"
            for pattern in self.names
            if not any(fnmatchcase(name, pattern) for name in names)
        ]

    @property
    def least_threshold(self) -> float:
        """Weights with no more elements than this are left alone by every rule; infinite if all are."""
        rules = (self.stage, *self.op_types.values(), *self.names.values())
        return min((rule.weight_threshold for rule in rules if rule is not None), default=math.inf)

    @property
    def needs_data(self) -> bool:
        """Whether a rule has a method that takes samples."""
        rules = (self.stage, *self.op_types.values(), *self.names.values())
        return any(rule is not None and rule.method is not None for rule in rules)

    def _for_user(self, kind: str, name: str) -> Stage | None:
        named = self._named(name)
        if named is not None:
            return named[0]
        return self.op_types.get(kind, self.stage)

    def _named(self, name: str) -> tuple[Stage | None] | None:
        return next(((stage,) for pattern, stage in self.names.items() if fnmatchcase(name, pattern)), None)

    def __rshift__(self, after: Stage | Step | Recipe) -> Recipe:
        """``a >> b``: do `a`, then `b`."""
        return Recipe.of(self) >> after


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do to the weights of a model: steps in order."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, what: Stage | Step | Recipe) -> Recipe:
        """Makes a recipe of one stage or step; a recipe is returned as it is.

        Raises:
            RecipeError: `what` is none of these.
        """
        if isinstance(what, Recipe):
            return what
        if isinstance(what, Step):
            return cls((what,))
        if isinstance(what, (Prune, Palettize, Quantize)):
            return cls((Step(what),))
        raise RecipeError(f"a recipe is made of Prune, Palettize, Quantize, steps and recipes, not {what!r}")

    def __rshift__(self, after: Stage | Step | Recipe) -> Recipe:
        """``a >> b``: do `a`, then `b`."""
        return Recipe((*self.steps, *Recipe.of(after).steps))

    @property
    def needs_data(self) -> bool:
        """Whether a step has a method that takes samples."""
        return any(step.needs_data for step in self.steps)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Reads ``{"steps": [...]}``.

        Each step is ``{"prune" | "palettize" | "quantize": {arguments}}``, with ``op_types`` and ``names``
        beside it for exceptions: mappings to a stage in the same form, or to None.

        Raises:
            RecipeError: A key or a value is not allowed; the message names it.
        """
        if set(data) != {"steps"} or not isinstance(data["steps"], list):
            raise RecipeError("a recipe is a mapping with one key, 'steps', that holds a list")
        if not data["steps"]:
            raise RecipeError("steps is empty; a recipe has one step at least")
        return cls(tuple(_step(entry, f"steps[{index}]") for index, entry in enumerate(data["steps"])))

    @classmethod
    def from_yaml(cls, source: str | PathLike[str] | IO[str]) -> Recipe:
        """Reads a YAML file (a path or an open file) in the form that `from_dict` takes.

        Raises:
            RecipeError: It is no YAML or no recipe.
            OSError: It cannot be read.
        """
        try:
            if isinstance(source, (str, PathLike)):
                data = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
            else:
                data = yaml.safe_load(source)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"not YAML: {error}") from error
        return cls.from_dict(data if isinstance(data, Mapping) else {})

    def to_dict(self) -> dict[str, Any]:
        """Inverse of `from_dict`; arguments at their defaults are left out.

        Raises:
            RecipeError: A stage holds a function, which has no written form.
        """
        steps: list[dict[str, Any]] = []
        for step in self.steps:
            if step.stage is None:
                raise RecipeError("a step without a stage of its own has no written form")
            entry = _written(step.stage)
            for key, rules in (("op_types", step.op_types), ("names", step.names)):
                if rules:
                    entry[key] = {
                        name: None if rule is None else _written(rule) for name, rule in rules.items()
                    }
            steps.append(entry)
        return {"steps": steps}

    def to_yaml(self) -> str:
        """Returns the recipe as YAML that `from_yaml` reads."""
        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False)
        return text


def _written(stage: Stage) -> dict[str, Any]:
    if isinstance(stage, Palettize) and stage.lut_function is not None:
        raise RecipeError("a stage with a lut_function has no written form")
    return {stage_name(stage): stage.model_dump(mode="json", exclude_defaults=True)}


def _step(entry: Any, where: str) -> Step:
    if not isinstance(entry, Mapping):
        raise RecipeError(f"{where} is {entry!r}; a step is a mapping with one of {', '.join(STAGES)}")
    exceptions: dict[str, dict[str, Stage | None]] = {}
    for key in ("op_types", "names"):
        rules = entry.get(key) or {}
        if not isinstance(rules, Mapping):
            raise RecipeError(f"{where}.{key} is {rules!r}; it maps names to stages or null")
        exceptions[key] = {
            str(name): None if rule is None else _stage(rule, f"{where}.{key}.{name}")
            for name, rule in rules.items()
        }
    stage = _stage({key: value for key, value in entry.items() if key not in ("op_types", "names")}, where)
    return Step(stage, exceptions["op_types"], exceptions["names"])


def _stage(entry: Any, where: str) -> Stage:
    if not isinstance(entry, Mapping) or len(entry) != 1 or next(iter(entry)) not in STAGES:
        raise RecipeError(
            f"{where} is {entry!r}; a stage is a mapping with exactly one of {', '.join(STAGES)}"
        )
    ((name, arguments),) = entry.items()
    stage: Stage = make_stage(STAGES[name], arguments or {}, f"{where}.{name}")
    return stage


def make_stage(kind: type[Any], arguments: Mapping[str, Any], where: str) -> Any:
    """Makes a stage of `kind`; an error says where its arguments stand.

    Raises:
        RecipeError: An argument is unknown or has a value that is not allowed.
    """
    if not isinstance(arguments, Mapping):
        raise RecipeError(f"{where} is {arguments!r}; it holds arguments by name")
    try:
        return kind(**arguments)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
