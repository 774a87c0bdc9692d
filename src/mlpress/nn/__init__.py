"""Compression of torch modules: data-free, with data, and in training."""
