"""`mlpress predict`: what a model makes of given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlpress.cli.arguments import Function, Json, Model, require_parent
from mlpress.cli.progress import progress_bar
from mlpress.cli.results import print_results, print_results_json, save_results
from mlpress.cli.values import read_values, split_pairs


def predict(
    model: Model,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=VALUE",
            help="FILE.npy, FILE.npz:KEY, an image file or a number; once for each input.",
        ),
    ] = None,
    function: Function = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.npz", help="Write the outputs to a file.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a model on given inputs; this needs PyTorch.

    Images are converted to the colours that the model takes, not resized. In a .npz file without a KEY, the
    array of the input's name is taken. States are zeros.
    """
    texts = split_pairs(inputs or ())
    if output is not None:
        require_parent(output)
    from mlpress.models import MLModel

    loaded = MLModel(model, function_name=function)
    values = read_values(texts, loaded.interface.inputs)
    with progress_bar("predicting"):
        state = loaded.make_state() if loaded.interface.states else None
        outputs = loaded.predict(values, state)
    if output is not None:
        save_results(outputs, output)
    if json:
        print_results_json(outputs)
    else:
        print_results(outputs)
