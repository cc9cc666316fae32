"""The same DCGAN in torch, trained as its tutorials do: two optimizers, the fakes made once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from speed._dcgan_sizes import DROPOUT, RATE, SLOPE, filters
from speed._torch_loop import TorchLoop


def generator(shape: tuple[int, int, int], latent_dim: int, width: float) -> nn.Module:
    height, base = shape[0] // 8, filters(128, width)
    stack: list[nn.Module] = [nn.Linear(latent_dim, height * height * base)]
    stack.append(nn.Unflatten(1, (base, height, height)))
    before = base
    for count in (128, 256, 512):
        after = filters(count, width)
        stack += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
        before = after
    stack += [nn.Conv2d(before, shape[2], 5, padding=2), nn.Sigmoid()]
    return nn.Sequential(*stack)


def discriminator(shape: tuple[int, int, int], width: float) -> nn.Module:
    stack: list[nn.Module] = []
    before = shape[2]
    for count in (64, 128, 128):
        after = filters(count, width)
        stack += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
        before = after
    size = (shape[0] // 8) ** 2 * before
    return nn.Sequential(*stack, nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(size, 1))


class TorchPeer(TorchLoop):
    """The networks, their optimizers and the loop over a `DataLoader`.

    Args:
        images: `uint8`, as many as one round trains on.
        batch_size: Images a step.
        latent_dim: Length of the latent vector.
        width: Multiplies the filters.
        threads: Of torch's operations.
        device: `"cpu"` or `"cuda"`.
        fast: Autocast to bfloat16 and `torch.compile`.
    """

    def __init__(
        self,
        images: np.ndarray,
        batch_size: int,
        latent_dim: int,
        width: float,
        *,
        threads: int | None = None,
        device: str = "cpu",
        fast: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        super().__init__(self.tensor(images), batch_size, device=device, fast=fast)
        shape = images.shape[1:]
        self.latent_dim = latent_dim
        self.side = shape[0] // 8
        self.generator = generator(shape, latent_dim, width).to(device)
        self.discriminator = discriminator(shape, width).to(device)
        self.make = torch.compile(self.generator) if fast else self.generator
        self.judge = torch.compile(self.discriminator) if fast else self.discriminator
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), RATE)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), RATE)
        self.loss = nn.BCEWithLogitsLoss()

    def tensor(self, images: np.ndarray) -> torch.Tensor:
        first = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
        return torch.from_numpy(np.ascontiguousarray(first))

    def take_weights(self, gan: Any) -> None:
        """Copy the weights of ours; torch counts channels first, also where it flattens."""
        pairs = ((self.generator, gan.generator), (self.discriminator, gan.discriminator))
        with torch.no_grad():
            for mine, theirs in pairs:
                weights = theirs.get_weights()
                layers = [layer for layer in mine if hasattr(layer, "weight")]
                for layer, kernel, bias in zip(layers, weights[::2], weights[1::2], strict=True):
                    kernel, bias = channels_first(kernel, bias, self.side)
                    layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
                    layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))

    def losses(self, images: np.ndarray, latents: np.ndarray) -> tuple[float, float]:
        """Return both losses without dropout."""
        self.discriminator.eval()
        with torch.no_grad():
            fake = self.generator(torch.from_numpy(latents).to(self.device))
            judged = self.discriminator(fake)
            real = self.discriminator(self.tensor(images).to(self.device))
            ones = torch.ones_like(real)
            d_loss = self.loss(real, ones) + self.loss(judged, torch.zeros_like(real))
            g_loss = self.loss(judged, ones)
        self.discriminator.train()
        return float(d_loss), float(g_loss)

    def step(self, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(real)
        ones = torch.ones((n, 1), device=self.device)
        latents = torch.randn((n, self.latent_dim), device=self.device)
        self.d_optimizer.zero_grad()
        with self.precision():
            fake = self.make(latents)
            d_loss = self.loss(self.judge(real), ones)
            d_loss = d_loss + self.loss(self.judge(fake.detach()), torch.zeros_like(ones))
        d_loss.backward()
        self.d_optimizer.step()

        self.g_optimizer.zero_grad()
        with self.precision():
            g_loss = self.loss(self.judge(fake), ones)
        g_loss.backward()
        self.g_optimizer.step()
        return d_loss.detach(), g_loss.detach()


def channels_first(kernel: np.ndarray, bias: np.ndarray, side: int) -> Any:
    """Return the weights of one layer as torch orders them; `side` is that of the small map."""
    if kernel.ndim == 4:  # (h, w, in, out), and (h, w, out, in) of a transposed convolution
        return kernel.transpose(3, 2, 0, 1), bias
    into, out = kernel.shape
    if out == 1:  # behind Flatten
        kernel = kernel.reshape(side, side, -1, 1).transpose(2, 0, 1, 3)
        return kernel.reshape(into, 1).T, bias
    kernel = kernel.reshape(into, side, side, -1).transpose(0, 3, 1, 2)
    bias = bias.reshape(side, side, -1).transpose(2, 0, 1)
    return kernel.reshape(into, out).T, bias.reshape(-1)
