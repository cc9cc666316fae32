"""Adversarial losses as pure functions of logits; each returns one value an image."""

from __future__ import annotations

from typing import Any

from keras import ops


def non_saturating_discriminator_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Binary cross-entropy of the discriminator, shape `(n,)`.

    `softplus(-D(x)) + softplus(D(G(z)))`: equation 1 of Goodfellow et al. 2014
    (arXiv 1406.2661), on logits. Keras' DCGAN example averages the two terms; this is their sum.
    """
    return ops.softplus(-real_logits) + ops.softplus(fake_logits)


def non_saturating_generator_loss(fake_logits: Any) -> Any:
    """Non-saturating loss of the generator, shape `(n,)`.

    `softplus(-D(G(z)))`, that is `-log sigmoid(D(G(z)))`: section 3 of Goodfellow et al. 2014.
    """
    return ops.softplus(-fake_logits)


def relativistic_discriminator_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Relativistic pairing loss of the discriminator, shape `(n,)`.

    `softplus(-(D(x) - D(G(z))))`: a real image is to look more real than the fake one that it is
    paired with. Equation 2 of Huang et al. 2024 (arXiv 2501.05441) with the logistic function,
    after Jolicoeur-Martineau 2018 (arXiv 1807.00734).
    """
    return ops.softplus(fake_logits - real_logits)


def relativistic_generator_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Relativistic pairing loss of the generator, shape `(n,)`.

    `softplus(-(D(G(z)) - D(x)))`, see `relativistic_discriminator_loss`.
    """
    return ops.softplus(real_logits - fake_logits)


def centring_loss(real_logits: Any, fake_logits: Any) -> Any:
    """Squared sum of a pair's logits, shape `(n,)`.

    A relativistic loss sees differences only, so the logits may drift away together. A small
    weight of `(D(x) + D(G(z)))^2` holds them around zero (arXiv 2511.22475).
    """
    return ops.square(real_logits + fake_logits)
