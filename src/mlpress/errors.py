"""Every error that mlpress raises on purpose.

All derive from `MlpressError`, itself a `ValueError`: one class to catch for "the input is at fault".
Messages name the offending value and what is allowed.
"""

from __future__ import annotations


class MlpressError(ValueError):
    """Base of all documented errors."""


class EncodingError(MlpressError):
    """An encoding tree is malformed: shapes, dtypes or counts of its parts do not fit together."""


class LegalityError(MlpressError):
    """An encoding is well formed but the Core ML opset of the model cannot express it."""


class UnsupportedModelError(MlpressError):
    """The file is a Core ML model of a kind that mlpress does not handle (not an mlprogram, too new, ...)."""


class InvalidPackageError(MlpressError):
    """A package, manifest, program or weight file is damaged or contradicts itself."""


class InvalidProgramError(InvalidPackageError):
    """A program names values that do not exist, defines a name twice or has inconsistent types."""


class ExecutionError(MlpressError, RuntimeError):
    """An operation cannot be computed on the inputs given: an index is out of bounds, sizes do not fit."""


class RecipeError(MlpressError):
    """A recipe or configuration is invalid, or two rules of it contradict each other on one constant."""


class NonFiniteWeightError(MlpressError):
    """A weight that is to be compressed holds NaN or infinity."""


class NotApplicableError(MlpressError):
    """A stage cannot be applied to one particular weight; the reason becomes its row in the report."""


class StrictError(MlpressError):
    """`strict=True` was given and at least one weight could not be compressed as asked."""
