"""A small convolutional network on scikit-learn's bundled digits, trained with NumPy in a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Floats = NDArray[np.floating[Any]]
Parameters = dict[str, Floats]

EPOCHS = 4
BATCH = 32
LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True, slots=True)
class Digits:
    """8x8 grey images scaled to 0..1, shape [n, 1, 8, 8], with their labels, shape [n], cut in two."""

    train_images: Floats
    train_labels: NDArray[np.int64]
    test_images: Floats
    test_labels: NDArray[np.int64]


def digits() -> Digits:
    """Returns the 1,797 digits, three quarters of them for training."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = np.split(order, [len(order) * 3 // 4])
    return Digits(images[train], labels[train], images[test], labels[test])


def train(data: Digits) -> Parameters:
    """Returns the network's trained parameters, float32, under the names of the layers.

    conv1 1 -> 16 and conv2 16 -> 32 (3x3, same size, ReLU), 2x2 max pooling, dense1 512 -> 128 (ReLU),
    dense2 128 -> 10. Weights have Core ML's layouts, [out, in, height, width] and [out, in].
    """
    rng = np.random.default_rng(1)
    parameters = _initial(rng)
    velocity = {name: np.zeros_like(value) for name, value in parameters.items()}
    count = len(data.train_images)
    for epoch in range(EPOCHS):
        rate = LEARNING_RATE * (1 - epoch / EPOCHS)
        order = rng.permutation(count)
        for start in range(0, count, BATCH):
            batch = order[start : start + BATCH]
            gradients = _gradients(parameters, data.train_images[batch], data.train_labels[batch])
            for name, gradient in gradients.items():
                step = gradient + WEIGHT_DECAY * parameters[name]
                velocity[name] = MOMENTUM * velocity[name] - rate * step
                parameters[name] += velocity[name]
    return parameters


def _initial(rng: np.random.Generator) -> Parameters:
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "dense1": (128, 512), "dense2": (10, 128)}
    parameters: Parameters = {}
    for name, shape in shapes.items():
        spread = np.sqrt(2 / np.prod(shape[1:]))
        parameters[f"{name}_weight"] = (rng.standard_normal(shape) * spread).astype(np.float32)
        parameters[f"{name}_bias"] = np.zeros(shape[0], np.float32)
    return parameters


def _patches(images: Floats) -> Floats:
    """Returns the 3x3 surroundings of each pixel, [n, 8, 8, channels * 9]."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(*images.shape[:1], *images.shape[2:], -1)


def _forward(parameters: Parameters, images: Floats) -> tuple[Floats, ...]:
    """Returns what the layers see and yield, channels last inside; the logits [n, 10] come last."""
    first = _patches(images)
    hidden1 = np.maximum(first @ _matrix(parameters, "conv1") + parameters["conv1_bias"], 0)
    second = _patches(hidden1.transpose(0, 3, 1, 2))
    hidden2 = np.maximum(second @ _matrix(parameters, "conv2") + parameters["conv2_bias"], 0)
    n = len(images)
    squares = hidden2.reshape(n, 4, 2, 4, 2, 32).transpose(0, 5, 1, 3, 2, 4).reshape(n, 512, 4)
    pooled = squares.max(axis=2)
    hidden3 = np.maximum(pooled @ parameters["dense1_weight"].T + parameters["dense1_bias"], 0)
    logits = hidden3 @ parameters["dense2_weight"].T + parameters["dense2_bias"]
    return first, hidden1, second, hidden2, squares, pooled, hidden3, logits


def _matrix(parameters: Parameters, name: str) -> Floats:
    weight = parameters[f"{name}_weight"]
    return weight.reshape(len(weight), -1).T


def _gradients(parameters: Parameters, images: Floats, labels: NDArray[np.int64]) -> Parameters:
    """Returns the gradient of the mean cross entropy for each parameter."""
    first, hidden1, second, hidden2, squares, pooled, hidden3, logits = _forward(parameters, images)
    n = len(images)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = shifted / shifted.sum(axis=1, keepdims=True)
    error[np.arange(n), labels] -= 1
    error /= n
    gradients = {"dense2_weight": error.T @ hidden3, "dense2_bias": error.sum(axis=0)}

    error = (error @ parameters["dense2_weight"]) * (hidden3 > 0)
    gradients |= {"dense1_weight": error.T @ pooled, "dense1_bias": error.sum(axis=0)}

    error = (error @ parameters["dense1_weight"])[..., None] * (squares == pooled[..., None])
    error = error.reshape(n, 32, 4, 4, 2, 2).transpose(0, 2, 4, 3, 5, 1).reshape(n, 8, 8, 32) * (hidden2 > 0)
    gradients |= _convolution_gradients("conv2", parameters, second, error)

    # Each patch hands its error back to the nine pixels that it was cut from.
    scattered = (error @ _matrix(parameters, "conv2").T).reshape(n, 8, 8, 16, 3, 3)
    padded = np.zeros((n, 10, 10, 16), np.float32)
    for row in range(3):
        for column in range(3):
            padded[:, row : row + 8, column : column + 8] += scattered[..., row, column]
    error = padded[:, 1:9, 1:9] * (hidden1 > 0)
    return gradients | _convolution_gradients("conv1", parameters, first, error)


def _convolution_gradients(name: str, parameters: Parameters, patches: Floats, error: Floats) -> Parameters:
    flat = error.reshape(-1, error.shape[-1])
    weight = flat.T @ patches.reshape(len(flat), -1)
    return {
        f"{name}_weight": weight.reshape(parameters[f"{name}_weight"].shape),
        f"{name}_bias": flat.sum(axis=0),
    }
