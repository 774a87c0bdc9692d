"""Compression in training: parametrizations of weights, and their schedules."""
