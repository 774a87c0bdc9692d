"""Recipes: what to do, and to which weights."""

from mlpress.recipe.recipe import Recipe, Step, make_stage
from mlpress.recipe.stages import NBITS, Palettize, Prune, Quantize, Stage, stage_name

__all__ = ["NBITS", "Palettize", "Prune", "Quantize", "Recipe", "Stage", "Step", "make_stage", "stage_name"]
