"""Packages are trained to be compressed: the module of a program, its weights compressed in each pass."""

from mlpress.training.distillation import fine_tune
from mlpress.training.preparation import Trainable, trainable

__all__ = ["Trainable", "fine_tune", "trainable"]
