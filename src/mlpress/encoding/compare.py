"""How far two encodings of one weight are apart."""

from __future__ import annotations

import numpy as np

from mlpress import kernels
from mlpress.bits import FLOAT16
from mlpress.encoding.decode import decode_rows, row_ranges
from mlpress.encoding.nodes import Encoding


def squared_error(before: Encoding, after: Encoding) -> tuple[float, float]:
    """Returns the sums of squared differences and of the squares of `before`, decoding a range at a time.

    Args:
        before: Any tree that is not masked.
        after: Another of the same shape. Values that are not both float16 are compared as float32.

    Raises:
        EncodingError: The parts of an encoding contradict each other.
    """
    common = np.float16 if before.dtype == after.dtype == FLOAT16 else np.float32
    error = signal = 0.0
    for start, stop in row_ranges(before, after):
        parts = (np.ascontiguousarray(decode_rows(each, start, stop), common) for each in (before, after))
        part_error, part_signal = kernels.sum_squared_error(*(part.reshape(-1) for part in parts))
        error, signal = error + part_error, signal + part_signal
    return error, signal
