"""The processors that a model may use."""

from __future__ import annotations

from enum import Enum


class ComputeUnit(Enum):
    """Processors that Core ML may use to run a model; kept with the model, without effect here."""

    ALL = 1
    CPU_AND_GPU = 2
    CPU_ONLY = 3
    CPU_AND_NE = 4

    @classmethod
    def of(cls, unit: object) -> ComputeUnit:
        """Returns the member with the name of `unit`, which may be of another library's enumeration.

        Raises:
            TypeError: There is none.
        """
        if not isinstance(unit, Enum) or unit.name not in cls.__members__:
            raise TypeError(f"compute_units is {unit!r}; allowed: {', '.join(map(str, cls))}")
        return cls[unit.name]
