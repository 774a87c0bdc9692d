"""TorchScript: decisions, loops and what only scripts have."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from mlpress.converter.capture import CaptureError, DataDependentError, capture
from mlpress.converter.capture.torchscript import control
from tests.torch.converter.capture.checks import assert_equal, operators

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")

Tensor = torch.Tensor


class Unrolled(nn.Module):
    """Loops over a number, a module list and a size; decisions by numbers, by rank and by what is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.steps = 3

    def forward(
        self, x: Tensor, flag: bool = True, bias: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        for step in range(self.steps):
            if step % 2 == 0:
                x = x + step
        for layer in self.layers:
            x = torch.relu(layer(x))
        if bias is not None:
            x = x + bias
        parts: list[Tensor] = []
        for column in range(x.size(1)):
            parts.append(x[:, column] * column)
        if x.dim() != 2 or not flag:
            raise RuntimeError("not a matrix")
        count = 0
        while count * 2 < x.size(1):
            count += 1
        return torch.stack(parts, 1) / count, {"x": x}


def test_what_is_known_is_decided_and_unrolled() -> None:
    module = Unrolled().eval()
    captured = capture(torch.jit.script(module), torch.randn(2, 4))
    assert_equal(captured, module, (torch.randn(2, 4),))
    assert [output.name for output in captured.outputs][1] == "x"
    assert operators(captured).count("aten.linear.default") == 2


def test_loops_leave_other_dimensions_open() -> None:
    module = Unrolled().eval()
    captured = capture(torch.jit.script(module), torch.randn(1, 4), {"x": {0: Dim("n")}})
    assert_equal(captured, module, (torch.randn(5, 4),))


class Sum(nn.Module):
    """Takes any number of inputs, so that tracing names them after what they are used for."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, *values: Tensor) -> Tensor:
        return self.layers[0](values[0]) + self.layers[1](values[1])


def test_inputs_that_tracing_calls_alike_are_told_apart() -> None:
    module, inputs = Sum().eval(), (torch.randn(2, 4), torch.randn(2, 4))
    captured = capture(torch.jit.trace(module, inputs), inputs)
    assert [given.name for given in captured.inputs] == ["input", "input_1"]
    assert_equal(captured, module, inputs)


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        if bool(x.sum() > 0):
            y, z, n = self.layer(x) * 2, x, 1
        else:
            y, z, n = x, x - 1, 2
        return y, z, n


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_on_values_becomes_cond(sign: int) -> None:
    module = Branch().eval()
    captured = capture(torch.jit.script(module), torch.ones(2, 4))
    assert "cond" in operators(captured)
    assert_equal(captured, module, (torch.ones(2, 4) * sign,))


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        count = 0
        while bool(x.sum() < 100):
            x = x * 2 + self.layer(x).abs()
            count += 1
        return x, count


class Ranged(nn.Module):
    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        for step in range(int(times)):
            x = x + step
        return x


@pytest.mark.parametrize("start", [0.5, 3.0, 200.0])
def test_a_loop_until_a_value_becomes_while_loop(start: float) -> None:
    torch.manual_seed(0)
    module = Doubled().eval()
    captured = capture(torch.jit.script(module), torch.ones(2, 4))
    assert "while_loop" in operators(captured)
    assert_equal(captured, module, (torch.full((2, 4), start),))


@pytest.mark.parametrize("times", [0, 1, 4])
def test_a_loop_over_a_number_in_a_tensor(times: int) -> None:
    captured = capture(torch.jit.script(Ranged().eval()), (torch.ones(2), torch.tensor(3)))
    assert_equal(captured, Ranged(), (torch.ones(2), torch.tensor(times)))


def test_a_check_of_values_is_taken_to_pass() -> None:
    class Checked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert bool(x.min() > 0), "negative"
            return x + 1

    captured = capture(torch.jit.script(Checked().eval()), torch.ones(2))
    assert operators(captured) == ["aten.add.Scalar"]


def test_an_error_that_the_script_always_raises_is_reported() -> None:
    class Refusing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.dim() != 3:
                raise ValueError("three axes, please")
            return x

    with pytest.raises(CaptureError, match=r"test_scripts\.py:\d+: three axes, please"):
        capture(torch.jit.script(Refusing().eval()), torch.ones(2))


def test_an_endless_loop_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "UNROLL_LIMIT", 50)

    class Spinning(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            n = 1
            while n > 0:
                n += 1
            return x

    with pytest.raises(CaptureError, match="has not ended after 50 iterations"):
        capture(torch.jit.script(Spinning().eval()), torch.ones(2))


def test_what_values_decide_has_to_be_tensors() -> None:
    class Text(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mode = "a" if bool(x.sum() > 0) else "b"
            return x if mode == "a" else -x

    with pytest.raises(DataDependentError, match=r"gives a str, in .*test_scripts\.py:\d+"):
        capture(torch.jit.script(Text().eval()), torch.ones(2))


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2


def test_all_unknown_operators_are_listed_with_their_places() -> None:
    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Doubling.apply(x)

    script = torch.jit.trace(Custom().eval(), torch.ones(2))
    with pytest.raises(CaptureError, match=r"prim::PythonOp in .*test_scripts\.py:\d+"):
        capture(script, torch.ones(2))


def test_sizes_that_a_trace_computes_stay_open() -> None:
    class Halved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            half = x.shape[1] // 2
            scale = x.shape[1] ** 0.5
            return torch.cat([x[:, half:], x[:, :half]], 1).reshape(x.shape[0] * 2, -1) / scale

    script = torch.jit.trace(Halved().eval(), torch.randn(2, 6))
    captured = capture(script, torch.randn(2, 6), {"x": {0: Dim("n"), 1: Dim("m") * 2}})
    assert_equal(captured, Halved(), (torch.randn(3, 8),))
