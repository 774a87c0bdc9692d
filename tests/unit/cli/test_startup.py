from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

HELP = "from mlpress.cli import main; main(['--help'])"


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_says_what_exit_codes_mean(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    commands = ("inspect", "compress", "decompress", "diff", "predict", "verify", "bench")
    for word in (*commands, "Exit codes", "--strict"):
        assert word in outcome.out


def processor_seconds(code: str) -> float:
    """Seconds of processor time, which a busy machine does not stretch as it does the clock's."""
    before = os.times()
    python(code)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_help_comes_up_at_once() -> None:
    assert min(processor_seconds(HELP) for _ in range(3)) < 0.3


@pytest.mark.parametrize("name", ["numpy", "pydantic", "yaml", "google.protobuf", "torch", "coremltools"])
def test_help_imports_nothing_heavy(name: str) -> None:
    code = f"import atexit, sys; atexit.register(lambda: print('loaded', {name!r} in sys.modules)); {HELP}"
    assert python(code).endswith("loaded False\n")


def test_import_of_the_package_leaves_torch_and_coremltools_alone() -> None:
    code = (
        "import mlpress, sys; mlpress.compress, mlpress.MLModel, mlpress.optimize.coreml; print(*sys.modules)"
    )
    loaded = python(code).split()
    assert "torch" not in loaded
    assert "coremltools" not in loaded


def test_version(run: Run) -> None:
    import mlpress

    assert run("--version").out == f"mlpress {mlpress.__version__}\n"


def test_a_pipe_that_closes_early_is_no_failure(model: Path) -> None:
    code = f"from mlpress.cli import main; main(['inspect', {str(model)!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert errors == b""
