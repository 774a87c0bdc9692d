"""Where in a user's code a node comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import fx

ANNOTATION: Final = "mlpress_source"
"""Key in ``node.meta["custom"]`` of what the interpreter of TorchScript knows:
``(module path, "file:line")``."""

_TORCH: Final = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.*)\n\s*(?P<code>.*)')


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a user's code.

    Attributes:
        module: Path of the module whose `forward` was running, "" for the model itself.
        location: ``file:line``, "" if it is not known.
        code: The line of code, "" if it is not known.
    """

    module: str
    location: str
    code: str

    def __str__(self) -> str:
        place = f"module {self.module!r}" if self.module else "the model"
        where = f", {self.location}" if self.location else ""
        return f"{place}{where}" + (f": {self.code}" if self.code else "")


def source_of(node: fx.Node) -> Source:
    """Where the code stands that made a node, as far as the capture has recorded it."""
    recorded = node.meta.get("custom", {}).get(ANNOTATION)
    if recorded is not None:
        return Source(module=recorded[0], location=recorded[1], code="")
    modules = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    frames = list(_FRAME.finditer(node.meta.get("stack_trace") or ""))
    if not frames:
        return Source(modules[-1] if modules else "", "", "")
    frame = _outside_torch(frames)
    return Source(modules[-1] if modules else "", f"{frame['file']}:{frame['line']}", frame["code"].strip())


def _outside_torch(frames: list[re.Match[str]]) -> re.Match[str]:
    """The innermost frame that is not torch's own: users look for their call of a layer, not inside it."""
    for frame in reversed(frames):
        if not is_torch(frame["file"]):
            return frame
    return frames[-1]


def is_torch(file: str) -> bool:
    """Whether a file belongs to torch, here or on the machine where a model was saved."""
    return file.startswith((_TORCH, "torch/")) or "/site-packages/torch/" in file
