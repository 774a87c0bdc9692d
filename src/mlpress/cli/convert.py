"""`mlpress convert`: from a PyTorch model to a package."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mlpress.cli.arguments import Json, Output, require_writable
from mlpress.cli.progress import progress_bar
from mlpress.cli.render import emit, print_json


def convert(
    factory: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FACTORY",
            help="A function without arguments that returns the model, such as mypackage.models:make.",
        ),
    ],
    output: Output,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="[NAME=]SIZES[:DTYPE]",
            help="Sizes of an input, 1,3,224,224; 1..64 for a size that may change, int32 after a colon.",
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="RELEASE", help="Oldest system to run on: iOS15 to iOS26, macOS12 ...")
    ] = "iOS16",
    precision: Annotated[str, typer.Option(metavar="DTYPE", help="float16 or float32.")] = "float16",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz|DIR",
            help="Run on samples; what leaves float16's range there stays in float32. Arrays by input name; "
            "one more axis than the input, the first, counts samples.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Convert a PyTorch model; this needs PyTorch.

    The model is a module, traced or not, or an exported program, which needs no --input. What does not
    compute in float16 is printed, with the reasons.
    """
    require_writable(output)
    from mlpress.converter.targets import AvailableTarget, ComputePrecision
    from mlpress.errors import MlpressError
    from mlpress.verification import read_samples

    described = [_parse_input(text) for text in inputs or ()]
    if target not in AvailableTarget.__members__:
        raise MlpressError(f"--target is {target!r}; allowed: {', '.join(AvailableTarget.__members__)}")
    if precision not in ("float16", "float32"):
        raise MlpressError(f"--precision is {precision!r}; allowed: float16, float32")
    with progress_bar("converting") as advance:
        advance(0, 3, "loading the model")
        model = _make(factory)
        advance(1, 3, "converting")
        from mlpress.converter import convert as convert_model

        with _unlogged("mlpress.converter.api"):  # the report, which is printed below
            made = convert_model(
                model,
                inputs=described or None,
                minimum_deployment_target=AvailableTarget[target],
                compute_precision=ComputePrecision(precision),
                samples=None if data is None else lambda made: read_samples(data, made.interface),
            )
        advance(2, 3, "saving")
        made.save(output)
    report = made.conversion_report
    assert report is not None  # `convert` has made the model
    if json:
        print_json(asdict(report))
    elif str(report):
        emit(str(report))


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


def _make(factory: str) -> Any:
    """Calls the function that `factory` names; modules of the current directory are found.

    Raises:
        MlpressError: There is no such function.
    """
    from mlpress.errors import MlpressError

    module, colon, name = factory.partition(":")
    if not colon or not module or not name:
        raise MlpressError(f"{factory!r} is no MODULE:FACTORY, such as mypackage.models:make")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise MlpressError(f"{factory!r} cannot be loaded: {error}") from error
    return found()


def _parse_input(text: str) -> Any:
    """Returns the input that ``[NAME=]SIZES[:DTYPE]`` describes.

    Raises:
        MlpressError: A size is no number or range.
    """
    from mlpress.converter.features import Shape, TensorType

    name, equals, rest = text.partition("=")
    sizes, _, dtype = (rest if equals else text).partition(":")
    shape = Shape([_parse_size(size, text) for size in sizes.split(",")])
    return TensorType(name if equals else None, shape, dtype or None)


def _parse_size(size: str, text: str) -> Any:
    from mlpress.converter.features import RangeDim
    from mlpress.errors import MlpressError

    low, dots, high = size.partition("..")
    try:
        return RangeDim(int(low), int(high)) if dots else int(size)
    except ValueError as error:
        raise MlpressError(
            f"--input {text!r}: {size!r} is no size; allowed: 224 or 1..64 ({error})"
        ) from error
