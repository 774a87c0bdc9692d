"""Runs programs: from a function to a torch module, and from arrays to arrays (needs torch)."""

from mlpress.runtime.options import RunOptions
from mlpress.runtime.precision import Float16RangeWarning, Overflow
from mlpress.runtime.runner import Runner
from mlpress.runtime.state import State
from mlpress.runtime.values import Tap

__all__ = ["Float16RangeWarning", "Overflow", "RunOptions", "Runner", "State", "Tap"]
