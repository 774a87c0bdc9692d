"""Recognises normalizations that a model writes out, and folds what belongs to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpress.converter.passes.editor import Editor, rank_of, shape_of, typed_like
from mlpress.mil import Operation, Value


def fold_epsilon(editor: Editor) -> None:
    """Lets `rsqrt` and `log` add a number themselves; ``1 / sqrt(x)`` is `rsqrt`."""
    for operation in editor.operations("real_div"):
        root = editor.maker(operation.inputs["y"], "sqrt")
        if root is None or not editor.used_once(root.outputs[0]):
            continue
        if editor.number(operation.inputs["x"]) == 1:
            editor.insert(operation, "rsqrt", operation.outputs[0], x=root.inputs["x"], epsilon=0.0)
    for operation in editor.operations("rsqrt", "log"):
        total = editor.maker(operation.inputs["x"], "add")
        if total is None or editor.number(operation.inputs["epsilon"]) != 0:
            continue
        for one, other in (("x", "y"), ("y", "x")):
            number = editor.number(total.inputs[other])
            if number is not None and number > 0:
                source = total.inputs[one]
                editor.insert(operation, operation.type, operation.outputs[0], x=source, epsilon=number)
                break


def recognise_layer_norm(editor: Editor) -> None:
    """Turns ``(x - mean) / sqrt(var + epsilon)`` into `layer_norm`."""
    for operation in editor.operations("mul", "real_div"):
        for centered, scale in _pairs(operation):
            difference = editor.maker(centered, "sub")
            found = None if difference is None else _root_of_variance(editor, operation, scale, difference)
            if found is None or difference is None:
                continue
            axes, epsilon = found
            editor.insert(
                operation,
                "layer_norm",
                operation.outputs[0],
                x=difference.inputs["x"],
                axes=axes,
                epsilon=np.float32(epsilon),
            )
            break


def _pairs(operation: Operation) -> list[tuple[Any, Any]]:
    x, y = operation.inputs["x"], operation.inputs["y"]
    return [(x, y)] if operation.type == "real_div" else [(x, y), (y, x)]


def _root_of_variance(
    editor: Editor, operation: Operation, scale: Any, difference: Operation
) -> tuple[list[int], float] | None:
    """Returns axes and epsilon if `scale` is the (inverse) deviation of what `difference` centers."""
    mean = editor.maker(difference.inputs["y"], "reduce_mean")
    if mean is None or mean.inputs["x"] is not difference.inputs["x"]:
        return None
    root = editor.maker(scale, "sqrt" if operation.type == "real_div" else "rsqrt")
    if root is None:
        return None
    variance: Any = root.inputs["x"]
    epsilon = editor.number(root.inputs["epsilon"]) if root.type == "rsqrt" else 0.0
    total = editor.maker(variance, "add")
    if total is not None:
        added = editor.number(total.inputs["y"])
        if added is None:
            return None
        variance, epsilon = total.inputs["x"], (epsilon or 0.0) + added
    mean_square = editor.maker(variance, "reduce_mean")
    square = None if mean_square is None else editor.maker(mean_square.inputs["x"], "square")
    if mean_square is None or square is None or square.inputs["x"] is not difference.outputs[0]:
        return None
    rank = rank_of(difference.inputs["x"])
    axes = [sorted(axis % rank for axis in editor.literal(one, "axes")) for one in (mean, mean_square)]
    kept = all(editor.literal(one, "keep_dims") for one in (mean, mean_square))
    return (axes[0], epsilon or 0.0) if kept and axes[0] == axes[1] else None


def fold_gamma_and_beta(editor: Editor) -> None:
    """Lets `layer_norm` multiply by and add constants that have the shape of its axes."""
    for operation in editor.operations("layer_norm"):
        follower = editor.only_user(operation.outputs[0], "mul")
        if follower is not None and "gamma" not in operation.inputs and "beta" not in operation.inputs:
            _fold_parameter(editor, operation, follower, "gamma")
        follower = editor.only_user(operation.outputs[0], "add")
        if follower is not None and "beta" not in operation.inputs and "gamma" in operation.inputs:
            _fold_parameter(editor, operation, follower, "beta")


def _fold_parameter(editor: Editor, operation: Operation, follower: Operation, parameter: str) -> None:
    result = operation.outputs[0]
    shape = shape_of(result)
    axes = sorted(axis % len(shape) for axis in editor.literal(operation, "axes"))
    wanted = [shape[axis] for axis in axes]
    for one, other in (("x", "y"), ("y", "x")):
        constant = editor.dense(follower.inputs[other])
        if follower.inputs[one] is not result or constant is None or shape_of(follower.outputs[0]) != shape:
            continue
        full = [1] * (len(shape) - constant.ndim) + list(constant.shape)
        if any(full[axis] != (shape[axis] if axis in axes else 1) for axis in range(len(shape))):
            continue
        value = follower.inputs[other]
        if list(constant.shape) != wanted:
            value = editor.successor(value, constant.reshape([size or 0 for size in wanted]))
        assert isinstance(value, Value)
        editor.rebind(operation, parameter, value)
        editor.take_over(operation, follower)
        return


def recognise_instance_norm(editor: Editor) -> None:
    """Turns `layer_norm` over spatial axes, times and plus a constant by channel, into `instance_norm`."""
    for operation in editor.operations("layer_norm"):
        shape = shape_of(operation.outputs[0])
        axes = sorted(axis % len(shape) for axis in editor.literal(operation, "axes"))
        if len(shape) not in (3, 4) or axes != list(range(2, len(shape))) or shape[1] is None:
            continue
        if "gamma" in operation.inputs or "beta" in operation.inputs:
            continue
        product = editor.only_user(operation.outputs[0], "mul")
        total = None if product is None else editor.only_user(product.outputs[0], "add")
        if product is None or total is None:
            continue
        gamma, beta = (_channels(editor, one, shape) for one in (product, total))
        if gamma is not None and beta is not None:
            editor.insert(
                total,
                "instance_norm",
                total.outputs[0],
                x=operation.inputs["x"],
                gamma=gamma,
                beta=beta,
                epsilon=operation.inputs["epsilon"],
            )


def _channels(editor: Editor, operation: Operation, shape: tuple[int | None, ...]) -> Any:
    for name in ("x", "y"):
        constant = editor.dense(operation.inputs[name])
        if constant is None:
            continue
        full = [1] * (len(shape) - constant.ndim) + list(constant.shape)
        if full == [1, shape[1], *[1] * (len(shape) - 2)]:
            return constant.reshape(-1)
    return None


def rms_norm_in_range(editor: Editor) -> None:
    """Computes RMS normalization as the layer normalization of x beside -x, for float16.

    Their mean is 0 and their variance the mean square of x, so the first half of the result is
    ``x / sqrt(mean(x²) + epsilon)``. No square, which leaves float16's range from 256 on, is ever a result.
    """
    for operation in editor.operations("mul"):
        for x, scale in _pairs(operation):
            root = editor.maker(scale, "rsqrt")
            mean = None if root is None else editor.maker(root.inputs["x"], "reduce_mean")
            square = None if mean is None else editor.maker(mean.inputs["x"], "square")
            if root is None or mean is None or square is None or square.inputs["x"] is not x:
                continue
            shape = shape_of(x)
            axes = [axis % len(shape) for axis in editor.literal(mean, "axes")]
            width = shape[-1]
            assert isinstance(x, Value)
            if axes == [len(shape) - 1] and width is not None and editor.literal(mean, "keep_dims"):
                _double(editor, operation, x, width, root.inputs["epsilon"])
                break


def _double(editor: Editor, operation: Operation, x: Value, width: int, epsilon: Any) -> None:
    shape = shape_of(x)
    rank = len(shape)
    minus = editor.insert(operation, "mul", x.type, x=x, y=np.float32(-1))
    doubled = typed_like(x, [*shape[:-1], 2 * width])
    both = editor.insert(operation, "concat", doubled, values=(x, minus), axis=rank - 1, interleave=False)
    last, gamma = operation, None
    follower = editor.only_user(operation.outputs[0], "mul")
    if follower is not None:
        gamma = _gamma(editor, follower, operation.outputs[0], width)
        last = operation if gamma is None else follower
    norm = editor.insert(
        operation,
        "layer_norm",
        doubled,
        x=both,
        axes=[rank - 1],
        gamma=None if gamma is None else np.concatenate([gamma, gamma]),
        epsilon=epsilon,
    )
    others = [True] * (rank - 1)
    editor.insert(
        last,
        "slice_by_index",
        last.outputs[0],
        x=norm,
        begin=[0] * rank,
        end=[0] * (rank - 1) + [width],
        stride=[1] * rank,
        begin_mask=[*others, True],
        end_mask=[*others, False],
    )


def _gamma(editor: Editor, follower: Operation, x: Value, width: int) -> Any:
    for one, other in (("x", "y"), ("y", "x")):
        constant = editor.dense(follower.inputs[other])
        if follower.inputs[one] is x and constant is not None and constant.shape == (width,):
            return constant.astype(np.float32)
    return None
