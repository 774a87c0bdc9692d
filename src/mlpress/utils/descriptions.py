"""Descriptions of functions, wherever a model message has them."""

from __future__ import annotations

from mlpress.package.proto.model_pb2 import FunctionDescription, Model


def function_descriptions(spec: Model) -> dict[str, FunctionDescription]:
    """Returns the description of each function by its name; a new one for the only function of a model."""
    whole = spec.description
    if whole.functions:
        return {function.name: function for function in whole.functions}
    main = FunctionDescription(
        name="main",
        input=whole.input,
        output=whole.output,
        state=whole.state,
        predictedFeatureName=whole.predictedFeatureName,
        predictedProbabilitiesName=whole.predictedProbabilitiesName,
    )
    return {"main": main}
