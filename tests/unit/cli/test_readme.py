"""The README's examples run as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.readme import blocks, commands
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    exec(compile(code, "README.md", "exec"), {})


def test_command_line(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    (recipe,) = blocks("yaml")
    Path("recipe.yaml").write_text(recipe, encoding="utf-8")
    assert len(commands()) == 5
    for command in commands():
        outcome = run(*shlex.split(command)[1:])
        assert outcome.code == 0, outcome.err
