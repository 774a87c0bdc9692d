"""Compression on a Dask cluster: here two processes, elsewhere as many machines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client, LocalCluster

from mlpress.mil import Program
from mlpress.passes import Options, compress
from mlpress.recipe import Palettize, Prune, Quantize, Recipe
from tests.unit.passes.programs import encodings, linears, random, row

RECIPES = {
    "palettize": Recipe.of(Palettize(nbits=4, group_size=16)),
    "prune, palettize, quantize": Prune(sparsity=0.75) >> Palettize(nbits=4) >> Quantize(),
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as connected,
    ):
        yield connected


def several() -> Program:
    return linears({f"w{index}": random((64, 40 * (index + 1)), seed=index) for index in range(5)})


@pytest.mark.parametrize("name", RECIPES)
def test_the_bytes_are_those_of_one_process(client: Client, name: str) -> None:
    alone, report = compress(several(), RECIPES[name])
    options = Options(executor=client.get_executor(), workers=2)
    spread, spread_report = compress(several(), RECIPES[name], options)
    assert encodings(spread) == encodings(alone)
    assert spread_report.rows == report.rows
    assert len(report.with_status("compressed")) == 5


def test_reasons_come_back_from_the_workers(client: Client) -> None:
    bad = random((64, 40))
    bad[3] = np.inf
    _, report = compress(linears({"bad": bad}), RECIPES["palettize"], Options(executor=client.get_executor()))
    assert row(report, "bad").reason.endswith("values are NaN or infinite")
