"""What torchvision wants to be there when it, or transformers, which imports it, is imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")


def provide_operators() -> None:
    """Declares the operators that torchvision adds to, if its compiled part is for another build of torch.

    They cannot be called then, and nothing here does.
    """
    found = find_spec("torchvision")
    assert found is not None and found.origin is not None
    try:
        for library in Path(found.origin).parent.glob("_C.*"):
            torch.ops.load_library(library)
    except OSError:
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                _LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
