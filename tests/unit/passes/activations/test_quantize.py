"""Which values pass through 8 bits, given their ranges."""

from __future__ import annotations

import pytest

from mlpress import Palettize, Prune, Quantize, Step
from mlpress.bits import INT32
from mlpress.errors import LegalityError, MlpressError, RecipeError, StrictError
from mlpress.mil import Block, Operation, Opset, Program, TensorType, Value
from mlpress.passes.activations import ActivationReport, Range, make_plan, quantize
from tests.unit.passes.activations.networks import Network, listing


def quantized(program: Program, rules: object = None, **ranges: Range) -> tuple[Program, ActivationReport]:
    plan = make_plan(program, "main", rules or Quantize())
    return quantize(program, plan, {name: ranges.get(name, Range(-1, 1)) for name in plan.wanted})


def two_layers() -> Program:
    net = Network()
    active = net.op("relu", "active", x=net.linear(net.x, "first"))
    return net.program(net.linear(active, "second"))


def test_before_operators_and_behind_the_activation_function() -> None:
    program, report = quantized(two_layers())
    assert listing(program) == [
        "x_quantized = quantize(x)",
        "x_dequantized = dequantize(x_quantized)",
        "first = linear(x_dequantized)",
        "active = relu(first)",
        "active_quantized = quantize(active)",
        "active_dequantized = dequantize(active_quantized)",
        "second = linear(active_dequantized)",
    ]
    assert [(row.name, row.users) for row in report] == [
        ("x", (("linear", "first"),)),
        ("active", (("linear", "second"),)),
    ]


def test_the_program_given_stays_as_it_was() -> None:
    program = two_layers()
    before = listing(program)
    quantized(program)
    assert listing(program) == before


def test_a_second_time_nothing_changes() -> None:
    once, _ = quantized(two_layers())
    twice, report = quantized(once)
    assert listing(twice) == listing(once)
    assert len(report) == 0


def test_an_output_keeps_its_floats() -> None:
    """coremltools fails here: it cannot replace the operator behind an output."""
    net = Network()
    hidden = net.linear(net.x, "hidden")
    program, _ = quantized(net.program(net.op("softmax", "end", x=hidden), hidden))
    assert [value.name for value in program.functions["main"].block.outputs] == ["end", "hidden"]
    assert "end = softmax(hidden_dequantized)" in listing(program)


def test_all_users_of_a_value_share_its_integers() -> None:
    net = Network()
    first, second = net.linear(net.x, "a"), net.linear(net.x, "b")
    program, _ = quantized(net.program(first, second))
    assert listing(program) == [
        "x_quantized = quantize(x)",
        "x_dequantized = dequantize(x_quantized)",
        "a = linear(x_dequantized)",
        "b = linear(x_dequantized)",
    ]


@pytest.mark.parametrize("other, reshaped", [(1, "flat_quantized"), (2, "flat")])
def test_integers_are_reshaped_only_between_equal_grids(other: float, reshaped: str) -> None:
    """coremltools never looks at the second grid, and misreads the integers of the first."""
    net = Network()
    flat = net.op("reshape", "flat", x=net.linear(net.x, "first"))
    program, _ = quantized(net.program(net.linear(flat, "second")), flat=Range(-other, other))
    assert [line.split()[0] for line in listing(program) if "reshape" in line] == [reshaped]


def test_what_a_concat_joins_has_one_grid() -> None:
    net = Network()
    first, second = (net.op("relu", name, x=net.linear(net.x, f"{name}_in")) for name in "ab")
    joined = net.op("concat", "joined", values=(first, second))
    _, report = quantized(net.program(net.linear(joined, "last")), a=Range(0, 1), b=Range(-3, 0))
    found = {row.name: (row.low, row.high, row.scale) for row in report}
    assert found["a"] == found["b"] == found["joined"]
    assert found["a"][:2] == (-3, 1)


@pytest.mark.parametrize("kind, inputs", [("matmul", ("x", "y")), ("conv_transpose", ("x",))])
def test_more_operators_on_request(kind: str, inputs: tuple[str, ...]) -> None:
    net = Network()
    program = net.program(net.op(kind, "product", **dict.fromkeys(inputs, net.x)))
    assert "quantize" not in str(listing(quantized(program)[0]))
    by_type, _ = quantized(program, Step(None, {kind: Quantize()}))
    by_name, _ = quantized(program, Step(None, names={"prod*": Quantize()}))
    operands = ", ".join(["x_dequantized"] * len(inputs))
    assert listing(by_type) == listing(by_name)
    assert listing(by_type)[-1] == f"product = {kind}({operands})"


def test_the_mask_of_attention_keeps_its_floats() -> None:
    net = Network()
    mask = net.op("sin", "mask", x=net.x)
    qkv = {name: net.op("relu", name, x=net.x) for name in ("query", "key", "value")}
    attention = net.op("scaled_dot_product_attention", "a", **qkv, attn_mask=mask)
    program, _ = quantized(net.program(attention), Step(None, {"scaled_dot_product_attention": Quantize()}))
    names = "query_dequantized, key_dequantized, value_dequantized, mask"
    assert listing(program)[-1] == f"a = scaled_dot_product_attention({names})"


def test_integers_and_constants_are_left_alone() -> None:
    net = Network()
    index = Value("i", TensorType(INT32, (1, 4)))
    total = Operation("add", "sum", {"x": index, "y": index}, [Value("sum", index.type)])
    net.operations.append(total)
    biased = net.op("add", "biased", x=net.x, y=net.weight("bias"))
    program, report = quantized(net.program(biased, total.outputs[0]))
    assert len(report) == 0
    assert "quantize" not in str(listing(program))


def with_a_condition() -> Program:
    net = Network()
    inner = Network()
    branch = inner.linear(net.x, "inside")
    condition = net.op("greater", "condition", x=net.x)
    output = net.op("cond", "choice", pred=condition)
    net.operations[-1].blocks.append(Block([], inner.operations, [branch]))
    return net.program(net.linear(net.linear(net.x, "before"), "behind"), output)


def test_what_control_flow_holds_is_skipped_with_the_reason() -> None:
    program, report = quantized(with_a_condition())
    assert report.problems == ["linear 'inside': it is inside cond 'choice'"]
    assert "behind = linear(before_dequantized)" in listing(program)


def test_a_value_without_a_range_leaves_its_operator_alone() -> None:
    program = two_layers()
    plan = make_plan(program, "main", Quantize())
    changed, report = quantize(program, plan, {"active": Range(0, 1)})
    assert report.problems == ["linear 'first': the value 'x' has no finite range"]
    assert "first = linear(x)" in listing(changed)
    with pytest.raises(StrictError, match="'x' has no finite range"):
        quantize(program, plan, {"active": Range(0, 1)}, strict=True)


def test_rules_that_match_nothing_are_told() -> None:
    _, report = quantized(two_layers(), Quantize().but(names={"head_*": None}, op_types={"conv": None}))
    assert report.unmatched == ("op_types: 'conv'", "names: 'head_*'")
    assert "matches no operator: names: 'head_*'" in str(report)


@pytest.mark.parametrize(
    "rules",
    [
        Palettize(nbits=4),
        Prune(sparsity=0.5),
        Quantize(dtype="int4"),
        Quantize(granularity="per_channel"),
        Quantize(scales="mse"),
        Quantize() >> Quantize(),
        Step(None, {"conv": Quantize(dtype="uint4")}),
    ],
    ids=repr,
)
def test_rules_for_something_else(rules: object) -> None:
    with pytest.raises(RecipeError, match="activation"):
        make_plan(two_layers(), "main", rules)


def test_the_release_must_have_the_operators() -> None:
    net = Network()
    program = net.program(net.linear(net.x, "y"), opset=Opset.CoreML6)
    with pytest.raises(LegalityError, match=r"iOS 17 or later; function 'main' targets iOS 16"):
        make_plan(program, "main", Quantize())


def test_an_unknown_function() -> None:
    with pytest.raises(MlpressError, match="no function 'other' in the program; it has main"):
        make_plan(two_layers(), "other", Quantize())


def test_names_that_are_taken_are_not_used_again() -> None:
    net = Network()
    taken = net.op("relu", "x_quantized", x=net.x)
    program, _ = quantized(net.program(net.linear(net.x, "y"), taken))
    names = [line.split()[0] for line in listing(program)]
    assert len(set(names)) == len(names)


def test_a_report_as_data() -> None:
    _, report = quantized(two_layers(), x=Range(-1.27, 0.5))
    row = report.to_dict()["rows"][0]
    assert (row["name"], row["dtype"], row["low"], row["high"]) == ("x", "int8", -1.27, 0.5)
    assert row["scale"] == pytest.approx(0.01, rel=1e-3)
    assert '"zero_point": 0' in report.to_json()
