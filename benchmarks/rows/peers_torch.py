"""The peer in plain torch, trained as its tutorials do: two optimizers and a `DataLoader`.

"Fast" is torch at its best: autocast to bfloat16
where the processor or the card has it, channels last, and on a card `torch.compile`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.records import has_bfloat16

SLOPE, DROPOUT, RATE = 0.2, 0.2, 1e-4  # of the DCGAN


def filters(count: int, width: float) -> int:
    """Return the filters of a layer at some width, rounded as in `DCGAN`."""
    return max(4, round(count * width))


def first(images: np.ndarray) -> torch.Tensor:
    """Return images of 0 to 1, channels first."""
    scaled = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(scaled))


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


class TorchDCGAN:
    """The networks of `DCGAN` at the width of one of ours, and the loop over `uint8` images."""

    def __init__(
        self,
        images: np.ndarray,
        batch_size: int,
        gan: Any,
        *,
        device: str = "cpu",
        fast: bool = False,
    ) -> None:
        self.device = device
        self.half = fast and (device != "cpu" or has_bfloat16())
        self.layout = torch.channels_last if fast else torch.contiguous_format
        data = torch.utils.data.TensorDataset(first(images))
        self.loader = torch.utils.data.DataLoader(
            data, batch_size, shuffle=True, pin_memory=device != "cpu"
        )
        shape, width = images.shape[1:], gan.get_config()["width"]
        self.latent_dim = gan.latent_dim
        self.side = shape[0] // 8
        self.generator = self.place(generator(shape, gan.latent_dim, width))
        self.discriminator = self.place(discriminator(shape, width))
        self.make, self.judge = self.generator, self.discriminator
        if fast and device != "cpu":
            self.make, self.judge = torch.compile(self.make), torch.compile(self.judge)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), RATE)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), RATE)
        self.loss = nn.BCEWithLogitsLoss()

    def place(self, network: nn.Module) -> nn.Module:
        return network.to(self.device, memory_format=self.layout)

    def precision(self) -> Any:
        if not self.half:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def train(self) -> None:
        """Pass once over the images."""
        d_sum = g_sum = 0.0
        for (batch,) in self.loader:
            batch = batch.to(self.device, non_blocking=True, memory_format=self.layout)
            d_loss, g_loss = self.step(batch)
            d_sum, g_sum = d_sum + d_loss, g_sum + g_loss
        float(d_sum), float(g_sum)  # waits for the device, as a loop that tells its losses does

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
            real = self.discriminator(first(images).to(self.device))
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
