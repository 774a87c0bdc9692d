"""What samples say about weights."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from mlpress.calibration.samples import Progress, Samples, steps, with_decoded_weights
from mlpress.fit.apply import Evidence
from mlpress.models import MLModel
from mlpress.passes import Planned


def gather(
    model: MLModel, wanted: Sequence[Planned], samples: Samples, progress: Progress | None = None
) -> dict[Hashable, Evidence | str]:
    """Runs every sample through the function in use, once, and returns what it says about weights.

    Memory holds the decoded weights and what one sample needs; sums over samples lie in temporary files.

    Args:
        model: Is not changed.
        wanted: The weights, and what will be done to them.
        samples: Inputs by name, as `MLModel.predict` takes them. A list of such dictionaries is a sequence: a
            state is made at its start and lives until its end.
        progress: Called as ``progress(done, total, name)`` after each sample.

    Returns:
        By the keys of the weights, the evidence, or why there is none.

    Raises:
        MlpressError: There are no samples, one does not fit the model or holds NaN; PyTorch is not installed.
        UnsupportedModelError: The program has operators that cannot be run; all are listed.
        TypeError: A sample is neither a dictionary nor a list of them.
    """
    plain = with_decoded_weights(model)
    runner = plain.predictor.runner  # says so if torch is missing, before anything imports it
    from mlpress.calibration.weights.watch import Watch

    watch = Watch(runner.module, plain.function_name or "main", wanted)
    for arrays, state in steps(plain, samples, progress):
        watch.run(runner.prepare(arrays, state))
        if state is not None:
            state.detach()
    return watch.evidence()
