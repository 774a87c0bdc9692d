"""Between stages, large arrays wait in a temporary file; nothing else changes by that."""

from __future__ import annotations

import numpy as np
import pytest

from mlpress.bits import UINT4, Tensor
from mlpress.bits import spool as spool_module
from mlpress.encoding import Blocks, Dense
from mlpress.fit import aside
from mlpress.fit.groups import Groups
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.unit.fit.samples import fit, weight

PRUNE, PALETTIZE, INT8_CODES = Prune(sparsity=0.25), Palettize(nbits=4), Quantize()


@pytest.mark.parametrize(
    "stages",
    [
        (PRUNE, PALETTIZE),
        (PRUNE, Quantize(dtype="int4"), PALETTIZE),
        (INT8_CODES, Palettize(nbits=4, cluster_dim=2)),
        (PRUNE, PALETTIZE, INT8_CODES),
        (PRUNE, Palettize(nbits=4, group_size=4, channel_axis=1), INT8_CODES),
        (PRUNE, Palettize(nbits=4, per_channel_scale=True, group_size=4, channel_axis=1)),
    ],
)
def test_a_file_between_stages_changes_nothing(
    stages: tuple[Stage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = weight((32, 48))
    expected = fit(values, *stages)
    seen: list[Tensor] = []

    def stored(self: spool_module.Spool, tensor: Tensor) -> Tensor:
        seen.append(tensor)
        return store(self, tensor)

    store = spool_module.Spool.store
    monkeypatch.setattr(spool_module.Spool, "store", stored)
    monkeypatch.setattr(spool_module, "_SMALL", 0)
    monkeypatch.setattr(aside, "_LARGE", 0)
    assert fit(values, *stages) == expected
    assert any(tensor.nbytes >= values.size // 2 for tensor in seen)


@pytest.mark.parametrize(("counts", "axis"), [((1, 1), 0), ((4, 1), 0), ((1, 3), 1)])
def test_vectors_of_packed_integers_are_those_of_the_integers(counts: tuple[int, int], axis: int) -> None:
    codes = np.random.default_rng(0).integers(0, 16, (32, 48), np.uint8)
    groups = Groups(Blocks(codes.shape, counts), axis, 2)
    expected = groups.rows(Dense(Tensor.from_numpy(codes)))
    found = groups.rows(Dense(Tensor.from_numpy(codes, UINT4)))
    np.testing.assert_array_equal(np.stack(list(found)), expected)
