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
