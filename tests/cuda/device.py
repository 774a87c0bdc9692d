"""Where tests of this folder compute."""

from __future__ import annotations

from typing import Final

DEVICE: Final = "cuda"
