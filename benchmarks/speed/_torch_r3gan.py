"""The networks and the step of `R3GAN` in plain torch, with two optimizers and a loop.

The penalties are finite differences on the same share of a batch as ours: `torch.compile` cannot
differentiate twice. `DiffAugment` is left out, here as in what it is compared with.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from speed._torch_loop import TorchLoop

RATE, BETAS = 3e-3, (0.0, 0.99)
SLOPE, CENTRING, AVERAGE = 0.2, 0.01, 0.999


class Conv(nn.Conv2d):
    """A convolution with an equalized learning rate: weights of deviation 1, scaled at each use."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__(before, after, size, stride, (size - 1) // 2)
        self.gain = 1 / math.sqrt(before * size * size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.weight * self.gain, self.bias)


class Dense(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight / math.sqrt(self.in_features), self.bias)


class Residual(nn.Module):
    """Convolutions, each behind a leaky ReLU, added to what goes in."""

    def __init__(self, *convolutions: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for convolution in self.convolutions:
            y = convolution(functional.leaky_relu(y, SLOPE))
        return x + y


class FromRows(nn.Module):
    """Rows to maps, channels last in a row, as Keras has them."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.sides = (height, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(1, (*self.sides, -1)).permute(0, 3, 1, 2)


class ToRows(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def mirrored(network: Any) -> nn.Sequential:
    """Return the layers of one of our networks in torch, in its order, without its weights."""
    stack: list[nn.Module] = []
    branch: list[nn.Module] | None = None
    for layer in network.layers:
        kind, name = type(layer).__name__, layer.name
        inside = "_block" in name
        if kind == "EqualizedConv2D":
            before, after = layer.kernel.shape[-2:]
            conv = Conv(before, after, layer.kernel_size[0], layer.strides[0])
            (branch if inside and branch is not None else stack).append(conv)
        elif kind == "EqualizedDense":
            stack.append(Dense(*layer.kernel.shape))
        elif kind == "Reshape":
            stack.append(FromRows(*layer.target_shape[:2]))
        elif kind == "Flatten":
            stack.append(ToRows())
        elif kind == "UpSampling2D":
            stack.append(nn.Upsample(scale_factor=2, mode="bilinear"))
        elif kind == "LeakyReLU" and not inside:
            stack.append(nn.LeakyReLU(SLOPE))
        elif kind == "LeakyReLU" and branch is None:
            branch = []
        elif kind == "Add" and branch is not None:
            stack.append(Residual(*branch))
            branch = None
        elif kind not in ("LeakyReLU", "InputLayer", "Activation"):
            raise TypeError(f"No layer in torch for {name} ({kind}).")
    return nn.Sequential(*stack)


class TorchR3GAN(TorchLoop):
    """The networks and their optimizers; arguments as `TorchPeer`."""

    def __init__(
        self, images: np.ndarray, batch_size: int, gan: Any, *, device: str, fast: bool
    ) -> None:
        super().__init__(self.tensor(images), batch_size, device=device, fast=fast)
        self.latent_dim = gan.latent_dim
        self.gamma, self.sigma, self.every = gan.gamma, gan.penalty_sigma, gan.penalty_every
        self.layout = torch.channels_last if fast else torch.contiguous_format
        made = (mirrored(network) for network in (gan.generator, gan.discriminator))
        self.generator, self.discriminator = (n.to(device, memory_format=self.layout) for n in made)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.make, self.judge = self.generator, self.discriminator
        if fast:
            # Two kinds of precision and batch, with and without gradients: each is compiled.
            torch._dynamo.config.recompile_limit = 64
            torch.set_float32_matmul_precision("high")
            self.make = torch.compile(self.generator, dynamic=False)
            self.judge = torch.compile(self.discriminator, dynamic=False)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(n.parameters(), RATE, BETAS)
            for n in (self.generator, self.discriminator)
        )

    def tensor(self, images: np.ndarray) -> torch.Tensor:
        first = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        return torch.from_numpy(np.ascontiguousarray(first))

    def take_weights(self, gan: Any) -> None:
        """Copy the weights of ours."""
        pairs = ((self.generator, gan.generator), (self.discriminator, gan.discriminator))
        with torch.no_grad():
            for mine, theirs in pairs:
                modules = [m for m in mine.modules() if isinstance(m, Conv | Dense)]
                weights = theirs.get_weights()
                for module, kernel, bias in zip(modules, weights[::2], weights[1::2], strict=True):
                    order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
                    kernel = np.ascontiguousarray(kernel.transpose(order))
                    module.weight.copy_(torch.from_numpy(kernel))
                    module.bias.copy_(torch.from_numpy(bias))

    def losses(self, images: np.ndarray, latents: np.ndarray) -> tuple[float, float]:
        """Return both losses without penalties, in full precision."""
        with torch.no_grad():
            fake = self.discriminator(self.generator(torch.from_numpy(latents).to(self.device)))
            real = self.discriminator(self.tensor(images).to(self.device))
            d_loss = self.pairing(real, fake) + CENTRING * torch.mean((real + fake) ** 2)
            return float(d_loss), float(self.pairing(fake, real))

    @staticmethod
    def pairing(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return functional.softplus(second - first).mean()

    def penalty(self, images: torch.Tensor) -> torch.Tensor:
        """Return half the mean of a penalty, in float32."""
        images = images[:: self.every].float()
        moved = images + self.sigma * torch.randn_like(images)
        difference = (self.judge(moved) - self.judge(images)) / self.sigma
        return 0.5 * (difference**2).mean()

    def draw(self, n: int) -> torch.Tensor:
        return self.make(torch.randn((n, self.latent_dim), device=self.device)).float()

    def step(self, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n, real = len(real), real.contiguous(memory_format=self.layout)
        self.d_optimizer.zero_grad()
        with self.precision():
            with torch.no_grad():
                fake = self.draw(n)
            judged = self.judge(real).float(), self.judge(fake).float()
        d_loss = self.pairing(*judged) + CENTRING * ((judged[0] + judged[1]) ** 2).mean()
        d_loss = d_loss + self.gamma * (self.penalty(real) + self.penalty(fake))
        d_loss.backward()
        self.d_optimizer.step()

        self.g_optimizer.zero_grad()
        self.discriminator.requires_grad_(False)
        with self.precision():
            with torch.no_grad():
                goal = self.judge(real).float()
            judged_fake = self.judge(self.draw(n)).float()
        g_loss = self.pairing(judged_fake, goal)
        g_loss.backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            averages, current = list(self.average.parameters()), list(self.generator.parameters())
            torch._foreach_lerp_(averages, current, 1 - AVERAGE)
        return d_loss.detach(), g_loss.detach()
