"""Compression of trained models with the help of data."""
