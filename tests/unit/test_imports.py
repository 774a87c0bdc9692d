"""Work on packages needs no torch, even where it is installed."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys

sys.modules["torch"] = None  # an import of it fails from here on

import mlpress
import mlpress.api
import mlpress.cli
import mlpress.models
import mlpress.optimize.coreml
import mlpress.passes
import mlpress.verification

assert mlpress.MLModel and mlpress.compress and mlpress.verify
"""


def test_everything_but_running_models_is_there_without_torch() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
