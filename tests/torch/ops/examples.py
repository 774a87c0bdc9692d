"""Example calls of all ops."""

from __future__ import annotations

from typing import Final

from tests.torch.ops import examples_a, examples_b

EXAMPLES: Final = (*examples_a.EXAMPLES, *examples_b.EXAMPLES)
