"""Numbers of the DCGAN that both peers build, and the operations of a step of each GAN."""

from __future__ import annotations

from math import prod
from typing import Any

SLOPE, DROPOUT, RATE = 0.2, 0.2, 1e-4


def filters(count: int, width: float) -> int:
    """Return the filters of a layer at some width, as ours rounds them."""
    return max(4, round(count * width))


def forward_flops(network: Any) -> int:
    """Return the floating-point operations of one image through a Keras network.

    Multiplications and additions of convolutions and dense layers; the rest is a few per mille.
    """
    total = 0
    for layer in network.layers:
        kind = type(layer).__name__
        if kind.removeprefix("Equalized") not in ("Dense", "Conv2D", "Conv2DTranspose"):
            continue
        before, after = (tuple(tensor.shape[1:]) for tensor in (layer.input, layer.output))
        places = prod((before if kind == "Conv2DTranspose" else after)[:-1])
        total += 2 * places * prod(layer.kernel.shape)
    return total


def step_flops(gan: Any, batch_size: int) -> int:
    """Return the operations that one training step of a DCGAN cannot do without.

    A backward pass costs two forward passes: one for the weights, one for the inputs. The generator
    runs forward and backward. The discriminator does so for real and for fake images, and once more
    for the generator's sake, where its weights need no gradient.
    """
    generator, discriminator = (forward_flops(n) for n in (gan.generator, gan.discriminator))
    return batch_size * (3 * generator + (3 + 3 + 2) * discriminator)


def r3gan_step_flops(gan: Any, batch_size: int) -> int:
    """Return the same of an `R3GAN` with alternating updates.

    The generator runs forward for the discriminator, forward and backward for itself. The
    discriminator runs forward and backward for real and fake images, and for either of two points
    of the penalties on a share of both; then forward for the real images of the generator's half,
    and forward and back to the fake ones.
    """
    generator, discriminator = (forward_flops(n) for n in (gan.generator, gan.discriminator))
    judged = 3 + 3 + 2 * 2 * 3 / gan.penalty_every + 1 + 2
    return round(batch_size * ((1 + 3) * generator + judged * discriminator))
