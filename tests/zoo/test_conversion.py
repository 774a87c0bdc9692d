"""Networks converted by mlpress, traced and exported, beside torch; coremltools loads the programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlpress.models import MLModel
from tests.oracle.converter.test_loads import load_package
from tests.zoo.comparison import Array, lowest_snr_db
from tests.zoo.counts import ROUTES, operations, recorded
from tests.zoo.networks import ZOO, convert, made

pytestmark = pytest.mark.zoo

TARGETS = ("iOS16", "iOS17", "iOS18")

LEAST = {"float32": 60.0, "float16": 40.0}
"""What outputs have to reach, in dB."""

LEAST_OF_CHANGES = {"float32": 60.0, "float16": 20.0}
"""What is asked of that part of the outputs which depends on the inputs."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ZOO)
def test_a_converted_network_is_that_of_torch(name: str, route: str, target: str, tmp_path: Path) -> None:
    network, example, inputs = made(name)
    expected, elsewhere = network(inputs), network(example)
    for precision in LEAST:
        path = tmp_path / f"{precision}.mlpackage"
        converted = convert(name, route, target, precision)
        if (target, precision) == ("iOS18", "float16"):
            assert operations(converted) <= most_operations(name, route)
        converted.save(path)
        load_package(path)
        found = list(MLModel(path).predict(inputs).values())
        assert lowest_snr_db(expected, found) > LEAST[precision]
        assert (
            lowest_snr_db(changes(expected, elsewhere), changes(found, elsewhere))
            > LEAST_OF_CHANGES[precision]
        )


def most_operations(name: str, route: str) -> int:
    """Returns the least of what is recorded of mlpress and coremltools."""
    counts = recorded()[name][route]
    return min(counts["mlpress"], counts.get("coremltools", counts["mlpress"]))


def changes(outputs: list[Array], elsewhere: list[Array]) -> list[Array]:
    """What in `outputs` depends on the inputs; in a random network, much does not."""
    return [output - other for output, other in zip(outputs, elsewhere, strict=True)]
