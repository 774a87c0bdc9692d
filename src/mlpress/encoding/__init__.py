"""The encoding tree: how a weight is stored."""

from mlpress.encoding.blocks import Blocks, from_vectors, spread, to_vectors
from mlpress.encoding.compare import squared_error
from mlpress.encoding.convert import in_dtype
from mlpress.encoding.decode import decode, decode_masked, decode_rows, row_ranges
from mlpress.encoding.nodes import Affine, Dense, Encoding, Lut, Scatter, Sparse, size_of
from mlpress.encoding.take import take_rows
from mlpress.encoding.walk import describe, map_tensors, nbytes, nbytes_by_address, storage_key, tensors

__all__ = [
    "Affine",
    "Blocks",
    "Dense",
    "Encoding",
    "Lut",
    "Scatter",
    "Sparse",
    "decode",
    "decode_masked",
    "decode_rows",
    "describe",
    "from_vectors",
    "in_dtype",
    "map_tensors",
    "nbytes",
    "nbytes_by_address",
    "row_ranges",
    "size_of",
    "spread",
    "squared_error",
    "storage_key",
    "take_rows",
    "tensors",
    "to_vectors",
]
