"""Tests of what runs on a GPU: nothing is collected where torch has none."""

from __future__ import annotations

import torch

from tests.zoo.torchvision_operators import provide_operators

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]

if torch.cuda.is_available():
    provide_operators()
