"""Networks of the zoo, converted, predict on the GPU what torch computes on the CPU."""

from __future__ import annotations

import pytest

from mlpress import RunOptions
from tests.cuda.device import DEVICE
from tests.zoo.comparison import lowest_snr_db
from tests.zoo.networks import ZOO, convert, made

pytestmark = pytest.mark.zoo

LEAST = {"float32": 80.0, "float16": 40.0}


@pytest.mark.parametrize("name", ZOO)
def test_a_converted_network_is_that_of_torch(name: str) -> None:
    network, _, inputs = made(name)
    expected = network(inputs)
    for precision, least in LEAST.items():
        model = convert(name, "export", "iOS18", precision)
        model.run_options = RunOptions(device=DEVICE)
        assert lowest_snr_db(expected, list(model.predict(inputs).values())) > least
