"""`mlpress verify`: whether a model still computes what its reference does."""

from __future__ import annotations

import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlpress.cli.arguments import Json
from mlpress.cli.exits import Exit
from mlpress.cli.progress import progress_bar
from mlpress.cli.render import emit
from mlpress.errors import MlpressError

if TYPE_CHECKING:
    from mlpress.models import Interface
    from mlpress.runtime import RunOptions

_WHAT = "A .mlpackage or .mlmodel, or MODULE:FUNCTION, a Python function that returns a torch module."


class Precision(str, Enum):
    """Arithmetic that a program runs in."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


def verify(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help=_WHAT)],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="What is compared with it, likewise.")],
    samples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz|DIR",
            help="Arrays by input name; one more axis than the input, the first, counts samples. "
            "Random inputs if not given.",
        ),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Random inputs to draw.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="For random inputs.")] = 0,
    per_op: Annotated[
        bool, typer.Option("--per-op", help="Compare the values inside, and say where accuracy is lost.")
    ] = False,
    min_snr: Annotated[
        float | None,
        typer.Option(metavar="DB", help="Exit with code 4 if an output has less than this, in dB."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="float16 rounds each result as the program says.")
    ] = Precision.FLOAT32,
    json: Json = False,
) -> None:
    """Run the same inputs through two models and compare the outputs; this needs PyTorch.

    For each output: signal-to-noise ratio in dB, cosine, largest absolute and relative error.
    """
    from mlpress.verification import read_samples
    from mlpress.verification import verify as verify_models

    sides = _load(reference, precision), _load(model, precision)
    given = None if samples is None else read_samples(samples, _interface(sides))
    with warnings.catch_warnings(record=True) as caught, progress_bar("verifying") as advance:
        found = verify_models(*sides, given, per_op=per_op, count=count, seed=seed, progress=advance)
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        sys.stderr.write(f"mlpress: warning: {text}\n")
    emit(found.to_json() if json else str(found))
    if min_snr is not None and not found.passed(min_snr):
        lost = found.lost_at(min_snr)
        reason = f"{found.min_snr:.1f} dB is below --min-snr {min_snr:g}"
        sys.stderr.write(f"mlpress: {reason if lost is None else f'{reason}; {lost}'}\n")
        raise typer.Exit(Exit.BELOW)


def _load(what: str, precision: Precision) -> Any:
    """Returns the model in a file, or the torch module that a Python function makes.

    Raises:
        typer.BadParameter: The function cannot be found, or makes something else.
        MlpressError: The file holds no model, or PyTorch is not installed.
    """
    module, _, function = what.partition(":")
    if function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return _made_by(module, function)
    from mlpress.models import MLModel

    return MLModel(what, run_options=_run_options(precision))


def _made_by(module: str, function: str) -> Any:
    from importlib import import_module

    from mlpress.verification import is_module

    sys.path.insert(0, "")  # modules beside the user, as for python -m
    try:
        make = getattr(import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise typer.BadParameter(f"{module}:{function} cannot be found: {error}") from error
    finally:
        sys.path.remove("")
    made = make()
    if not is_module(made):
        raise typer.BadParameter(
            f"{module}:{function} returns a {type(made).__name__}; allowed: a torch module"
        )
    return made


def _run_options(precision: Precision) -> RunOptions | None:
    if precision is Precision.FLOAT32:
        return None  # the default, without a need for torch yet
    try:
        from mlpress.runtime import RunOptions
    except ModuleNotFoundError as error:
        raise MlpressError("running a model needs PyTorch: pip install 'mlpress[torch]'") from error
    return RunOptions(precision="float16")


def _interface(sides: tuple[Any, Any]) -> Interface | None:
    from mlpress.models import MLModel

    return next((side.interface for side in sides if isinstance(side, MLModel)), None)
