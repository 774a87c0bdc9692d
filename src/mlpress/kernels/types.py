"""Names for the array types that kernels take and return."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# float16 or float32, as the docstring of each function says.
Floats: TypeAlias = NDArray[np.floating[Any]]
# int8 or uint8.
Codes: TypeAlias = NDArray[np.integer[Any]]
