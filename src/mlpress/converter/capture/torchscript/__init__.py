"""Traced and scripted modules as ordinary ones, which `torch.export` can capture."""
