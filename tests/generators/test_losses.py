"""Losses against their definitions, and the finite-difference penalty against the exact one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

import synthray as sr
from synthray.generators import gan as losses

SHAPE = (6, 6, 1)
NOBODY: Any = None  # the losses ask nothing of their model


def small_critic() -> keras.Model:
    """A smooth network with weights that no backend's random numbers decide."""
    rng = np.random.default_rng(0)
    critic = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(4, 3, activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(1),
        ]
    )
    critic.set_weights([rng.normal(0, 0.4, w.shape).astype("float32") for w in critic.weights])
    return critic


def exact_penalty(critic: keras.Model, images: NDArray[np.float32]) -> NDArray[Any]:
    """Squared norm of each image's gradient, by the backend's own differentiation."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(critic(x))
        gradient = tape.gradient(total, x).numpy()
    elif backend == "jax":
        import jax

        gradient = np.asarray(jax.grad(lambda x: critic(x).sum())(images))
    else:
        import torch

        tensor = torch.tensor(images, device=critic.weights[0].value.device, requires_grad=True)
        (found,) = torch.autograd.grad(critic(tensor).sum(), tensor)
        gradient = found.cpu().numpy()
    return np.square(gradient).sum((1, 2, 3))


def penalty(critic: Any, images: NDArray[np.float32], sigma: float) -> NDArray[Any]:
    def logits(x: Any) -> Any:
        return ops.reshape(critic(x), (-1,))

    x = ops.convert_to_tensor(images)
    found = losses.finite_difference_penalty(
        logits, x, logits(x), sigma=sigma, seed=keras.random.SeedGenerator(1)
    )
    return np.asarray(ops.convert_to_numpy(found))


@pytest.mark.backend
def test_agrees_with_the_exact_penalty_as_the_step_gets_small() -> None:
    critic = small_critic()
    image = np.random.default_rng(1).normal(size=(1, *SHAPE)).astype("float32")
    exact = exact_penalty(critic, image)[0]
    many = np.repeat(image, 10_000, axis=0)  # the mean over directions: 1.4 % standard error
    errors = [abs(penalty(critic, many, s).mean() / exact - 1) for s in (2.0, 0.3, 0.02)]
    assert errors[2] < 0.05
    assert errors[0] > 0.15  # a large step is another quantity, so the agreement says something
    assert errors[1] < errors[0]


def test_closed_form_for_a_linear_critic() -> None:
    slope = np.random.default_rng(2).normal(size=SHAPE).astype("float32")
    images = np.zeros((40_000, *SHAPE), "float32")

    def linear(x: Any) -> Any:
        return ops.sum(x * ops.convert_to_tensor(slope), axis=(1, 2, 3))

    for sigma in (0.05, 3.0):
        found = penalty(linear, images, sigma)
        # (e . slope)^2 is |slope|^2 times a chi-squared variable of one degree: mean 1, variance 2.
        norm = float(np.square(slope).sum())
        assert found.mean() == pytest.approx(norm, rel=0.03)
        assert found.var() == pytest.approx(2 * norm**2, rel=0.1)


def test_a_flat_critic_costs_nothing() -> None:
    flat = penalty(lambda x: ops.zeros_like(x[:, 0, 0, 0]), np.ones((3, *SHAPE), "float32"), 0.05)
    np.testing.assert_array_equal(flat, np.zeros(3))


def logits(real: NDArray[np.float32], fake: NDArray[np.float32]) -> dict[str, Any]:
    names = ("real", "fake", "generated")
    return {k: ops.convert_to_tensor(v) for k, v in zip(names, (real, fake, fake), strict=True)}


def test_non_saturating_losses_match_the_definition() -> None:
    real, fake = np.array([-2.0, 0.5], "float32"), np.array([1.0, -3.0], "float32")

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    d_loss, g_loss = sr.DCGAN.losses_from_logits(NOBODY, logits(real, fake))
    np.testing.assert_allclose(
        d_loss, -np.log(sigmoid(real)) - np.log(1 - sigmoid(fake)), rtol=1e-5
    )
    np.testing.assert_allclose(g_loss, -np.log(sigmoid(fake)), rtol=1e-5)


def test_relativistic_losses_match_the_definition() -> None:
    real, fake = np.array([-2.0, 0.5, 1.0], "float32"), np.array([1.0, -3.0, 1.0], "float32")
    d_loss, g_loss = map(np.asarray, sr.R3GAN.losses_from_logits(NOBODY, logits(real, fake)))
    centring = 0.01 * (real + fake) ** 2
    np.testing.assert_allclose(d_loss, np.log1p(np.exp(fake - real)) + centring, rtol=1e-5)
    np.testing.assert_allclose(g_loss, np.log1p(np.exp(real - fake)), rtol=1e-5)
    shifted = sr.R3GAN.losses_from_logits(NOBODY, logits(real + 7, fake + 7))
    np.testing.assert_allclose(shifted[1], g_loss, rtol=1e-5)  # only differences count ...
    assert (np.asarray(shifted[0]) > d_loss + 1).all()  # ... save for what holds the logits at 0
