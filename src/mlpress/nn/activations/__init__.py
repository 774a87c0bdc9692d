"""Quantization of activations: which tensors of a model are rounded, and the model that does so."""
