from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlpress import verify
from mlpress.errors import MlpressError
from mlpress.mil import Opset
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from tests.torch.models.packages import classifier_model, counting_model, image_model
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import WEIGHTS, embedding, half_network, model, network
from tests.unit.models.descriptions import array


class Network(nn.Module):
    """What `network` computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6, bias=False), nn.Linear(6, 3, bias=False)
        self.dropout = nn.Dropout(0.5)
        self.load_state_dict({f"{name}.weight": torch.from_numpy(weight) for name, weight in WEIGHTS.items()})

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.dropout(self.first(x).relu()))


def test_a_model_against_the_module_it_was_made_of() -> None:
    assert verify(Network(), network()).min_snr > 100
    assert 50 < verify(Network(), half_network()).min_snr < 90
    assert verify(network("first"), Network()).min_snr < 40


def test_two_modules_take_samples_in_their_order() -> None:
    samples = [{"any": np.random.default_rng(0).standard_normal((2, 4))}]
    assert verify(Network(), Network(), samples).min_snr == math.inf
    with pytest.raises(MlpressError, match="two torch modules describe no inputs to draw"):
        verify(Network(), Network())


def test_the_module_of_a_model_goes_together_with_it() -> None:
    assert verify(network(), network().to_torch()).min_snr == math.inf


def test_evaluation_mode_for_the_time_of_it() -> None:
    module = Network().train()
    module.first.eval()
    assert verify(module, network()).min_snr > 100  # no dropout
    assert (module.training, module.dropout.training, module.first.training) == (True, True, False)


def test_the_mode_comes_back_after_a_failure() -> None:
    module = Network().train()
    with pytest.raises(MlpressError):
        verify(module, network(), [])
    assert module.training


class Counter(nn.Module):
    """Adds up its inputs in a buffer, as `counting_model` does in a state."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place:
            self.total += x.sum()
        else:
            self.total = self.total + x.sum()
        return self.total.clone()


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_are_states_that_start_afresh_and_come_back(in_place: bool) -> None:
    module = Counter(in_place)
    buffer = module.total
    one = {"x": np.array([1.0, 2.0])}
    assert verify(module, counting_model(2), [[one, one], [one], one]).min_snr == math.inf
    assert module.total is buffer
    assert buffer.item() == 0


def test_buffers_that_cannot_be_written_are_left_alone() -> None:
    module = Network()
    module.register_buffer("positions", torch.arange(3).expand(2, 3))
    assert verify(module, network()).min_snr > 100


def test_integers_come_as_int64() -> None:
    class Embedding(nn.Module):
        def forward(self, i: Tensor) -> Tensor:
            assert i.dtype == torch.int64
            return torch.arange(12.0).reshape(6, 2)[i]

    assert verify(Embedding(), embedding(6)).min_snr == math.inf


def test_images_come_as_the_tensor_that_the_program_takes() -> None:
    class Weighted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert x.dtype == torch.float32
            return (x * torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)

    assert verify(Weighted(), image_model()).min_snr == math.inf


def test_a_module_may_change_its_input() -> None:
    class Doubling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(2)

    sample = {"x": np.ones(3, np.float32)}
    assert verify(Doubling(), Doubling(), [sample]).min_snr == math.inf
    assert sample["x"].tolist() == [1, 1, 1]


def test_a_classifier_is_compared_by_the_largest_output() -> None:
    class Reversed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flip(-1)

    samples = [{"x": np.array([[0.1, 0.2, 0.7]])}, {"x": np.array([[0.3, 0.4, 0.3]])}]
    labels = ("cat", "dog", "cow")
    assert verify(nn.Identity(), classifier_model(labels), samples).top1_agreement == 1
    assert verify(Reversed(), classifier_model(labels), samples).top1_agreement == 0.5
    assert verify(classifier_model(labels), Reversed(), samples).top1_agreement == 0.5


# ---- which outputs go together ----


def two_outputs() -> MLModel:
    """``double`` and ``half`` of ``x``."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    double = build.op("mul", "double", x=x, y=2.0)
    half = build.op("mul", "half", x=x, y=0.5)
    return model(build, {x: array("x", 2)}, {double: array("double", 2), half: array("half", 2)})


class Returns(nn.Module):
    """Returns what `arrange` makes of double and half its input."""

    def __init__(self, arrange: Any) -> None:
        super().__init__()
        self.arrange = arrange

    def forward(self, x: Tensor) -> Any:
        return self.arrange(2 * x, x / 2)


class ModelOutput(OrderedDict):
    """As modules of transformers return."""


@pytest.mark.parametrize(
    "arrange",
    [
        lambda double, half: (double, half),
        lambda double, half: [double, None, (half,)],
        lambda double, half: {"b": double, "a": half},
        lambda double, half: {"half": half, "double": double},
        lambda double, half: {"half": half, "more": half, "double": double},
        lambda double, half: ModelOutput(double=double, half=half),
        lambda double, half: {"logits": {"double": double}, "rest": [half]},
    ],
    ids=["tuple", "nested list", "other keys", "same keys", "more keys", "ModelOutput", "nested dictionary"],
)
def test_outputs_go_together_by_name_or_order(arrange: Any) -> None:
    for pair in ((Returns(arrange), two_outputs()), (two_outputs(), Returns(arrange))):
        found = verify(*pair)
        assert [row.name for row in found.outputs] == ["double", "half"]
        assert found.min_snr == math.inf


def test_another_number_of_outputs() -> None:
    message = "the reference 1 .'output'., the model 2 .'double', 'half'."
    with pytest.raises(MlpressError, match=message):
        verify(Returns(lambda double, half: double), two_outputs())


def test_a_result_that_is_no_tensor() -> None:
    with pytest.raises(MlpressError, match="the torch module returns a str at 'output_1'; allowed: tensors"):
        verify(Returns(lambda double, half: (double, "half")), two_outputs())


def test_bfloat16_and_integers_are_read() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.bfloat16(), x.int()

    found = verify(Both(), Both(), [{"x": np.array([1.0, 2.0])}])
    assert [row.name for row in found.outputs] == ["output_0", "output_1"]
    assert found.min_snr == math.inf


def test_a_scalar_is_one_number() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum()

    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    y = build.op("reduce_sum", "y", x=x, axes=[0], keep_dims=True)
    summed = model(build, {x: array("x", 2)}, {y: array("y", 1)})
    assert verify(Mean(), summed).min_snr > 100
