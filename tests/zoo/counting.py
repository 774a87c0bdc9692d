"""Converts networks of the zoo for iOS 18 in float16, by mlpress and by coremltools, to count operations."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import coremltools as ct
import numpy as np

from mlpress.models import MLModel
from tests.zoo import peer
from tests.zoo.counts import Counts, operations
from tests.zoo.networks import captured, convert, made

_LONGEST = 100
"""Characters of an error that are kept."""


def ours(name: str, route: str) -> int:
    """Returns the number of operations of mlpress's program."""
    return operations(convert(name, route, "iOS18", "float16"))


def peers(name: str, route: str) -> Counts:
    """Returns the number of operations of coremltools' program, or why there is none."""
    _, example, _ = made(name)
    inputs = [
        ct.TensorType(key, value.shape, dtype=None if value.is_floating_point() else np.int32)
        for key, value in example.items()
    ]
    counts: Counts = {}
    for convert_by_peer in (peer.convert_unaided, peer.convert_with):
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.mlpackage")
            try:
                given = captured(name, route)
                given = given.run_decompositions({}) if route == "export" else given
                convert_by_peer(given, inputs, "iOS18", "float16", path)
                counts["coremltools"] = operations(MLModel(path))
                break
            except Exception as error:  # of any kind
                counts.setdefault("fails", _shortened(error))
    return counts


def _shortened(error: Exception) -> str:
    """Returns the type and the first line of an error."""
    lines = [line for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    text = " ".join([f"{type(error).__name__}:", *lines[:1]])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
