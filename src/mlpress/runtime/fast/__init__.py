"""Kernels that compute on compressed weights and 8-bit activations as they are, chosen by (op, encoding)."""

from mlpress.runtime.fast.choice import use_fast_kernels, uses_fast_kernels

__all__ = ["use_fast_kernels", "uses_fast_kernels"]
