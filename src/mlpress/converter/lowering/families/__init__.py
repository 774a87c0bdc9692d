"""Lowerings of ATen operators by family; every module here is loaded by the registry."""
