"""`mlpress compress`: a smaller model, and a report of what was done to each weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlpress.cli.arguments import Function, Json, Model, Output, require_parent, require_writable
from mlpress.cli.progress import progress_bar
from mlpress.cli.recipes import Flags, make_recipe
from mlpress.cli.render import emit

if TYPE_CHECKING:
    from mlpress.api import Compressed
    from mlpress.models import MLModel
    from mlpress.recipe import Recipe


def compress(
    model: Model,
    output: Output,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Stages in a YAML file, instead of the flags below."),
    ] = None,
    prune: Annotated[
        float | None, typer.Option(metavar="SPARSITY", help="Drop this fraction of each weight, 0 to 1.")
    ] = None,
    palettize: Annotated[
        int | None, typer.Option(metavar="BITS", help="Look-up tables of 1, 2, 3, 4, 6 or 8 bits.")
    ] = None,
    group_size: Annotated[
        int | None, typer.Option(metavar="CHANNELS", help="With --palettize: channels that share a table.")
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(metavar="DTYPE", help="int8, uint8, int4 or uint4; the table of a palettized weight."),
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="With --quantize: per_tensor, per_channel or per_block."),
    ] = None,
    block_size: Annotated[
        int | None,
        typer.Option(metavar="WEIGHTS", help="With --granularity per_block: weights that share a scale."),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="With --quantize: absmax, or mse to search for less error."),
    ] = None,
    weight_threshold: Annotated[
        int | None,
        typer.Option(metavar="N", help="Touch weights of more than N elements only (2048 if not given)."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz|DIR",
            help="Compress by samples: prune by sparse_gpt, palettize by sensitivity, quantize by gptq; with "
            "--recipe, as its methods say. Arrays by input name; one more axis than the input, the first, "
            "counts samples; with states, those of a file are a sequence.",
        ),
    ] = None,
    function: Function = None,
    fine_tune: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            min=1,
            help="With --data: train the compressed model towards what it said before, without the methods.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a weight cannot be compressed as asked.")
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Weights to work on at a time.")] = 1,
    json: Json = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the report to a file as JSON, too.")
    ] = None,
) -> None:
    """Compress the weights of a model.

    Flags prune, then palettize, then quantize; --recipe gives any order, and exceptions by operator. Each
    weight is compressed as asked or left as it is, with the reason in the report.
    """
    if fine_tune is not None and data is None:
        raise typer.BadParameter("--fine-tune goes with --data")
    flags = Flags(prune, palettize, group_size, quantize, granularity, block_size, scales, weight_threshold)
    stages = make_recipe(recipe, flags, with_methods=data is not None and fine_tune is None)
    require_writable(output)
    if report is not None:
        require_parent(report)
    from mlpress.models import MLModel

    loaded = MLModel(model, function_name=function)
    samples = None if data is None else _Samples(data, loaded)
    compressed = _compressed(loaded, stages, samples, fine_tune, strict, workers)
    compressed.model.save(output)
    if report is not None:
        report.write_text(compressed.report.to_json() + "\n", encoding="utf-8")
    emit(compressed.report.to_json() if json else str(compressed.report))


def _compressed(
    model: MLModel, recipe: Recipe, samples: _Samples | None, epochs: int | None, strict: bool, workers: int
) -> Compressed:
    """Compresses a model, or trains it for some epochs, behind a progress bar."""
    from mlpress.api import compress as compress_model
    from mlpress.models.prediction.running import require_runtime

    with progress_bar("compressing") as advance:
        if samples is None or epochs is None:
            return compress_model(
                model, recipe, data=samples, strict=strict, workers=workers, progress=advance
            )
        require_runtime()
        from mlpress.training import fine_tune

        return fine_tune(model, recipe, samples, epochs=epochs, strict=strict, progress=advance)


@dataclass(frozen=True, slots=True)
class _Samples:
    """Samples in files, which each epoch reads anew."""

    path: Path
    model: MLModel

    def __iter__(self) -> Iterator[Any]:
        from mlpress.verification import read_samples

        return read_samples(self.path, self.model.interface)
