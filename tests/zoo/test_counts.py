"""What is recorded of the zoo's networks, and the page made of it."""

from __future__ import annotations

import pytest

from tests.zoo.counts import ROUTES, TABLE, recorded, table
from tests.zoo.networks import ZOO

pytestmark = pytest.mark.zoo


def test_all_networks_are_recorded() -> None:
    assert {name: tuple(routes) for name, routes in recorded().items()} == dict.fromkeys(ZOO, ROUTES)


def test_no_program_has_more_operations_than_that_of_coremltools() -> None:
    for routes in recorded().values():
        for counts in routes.values():
            assert counts["mlpress"] <= counts.get("coremltools", counts["mlpress"])


def test_the_page_says_what_is_recorded() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(recorded())
