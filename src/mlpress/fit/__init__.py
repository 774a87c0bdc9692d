"""Solvers: arrays and the description of a stage in, encodings out."""
