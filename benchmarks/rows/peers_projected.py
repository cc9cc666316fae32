"""`ProjectedGAN` in plain torch: the same networks, the same step, two optimizers.

Layers take their weights from ours by name, so that both can be compared.
"""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SLOPE, RATE, BETAS = 0.2, 2e-4, (0.0, 0.99)


def tensor(variable: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(variable.numpy(), np.float32))


def conv(layer: Any, stride: int = 1, pads: Any = None, groups: int = 1) -> nn.Module:
    """Return a Keras convolution in torch; `pads` where those of the two differ."""
    kernel = tensor(layer.kernel).permute(3, 2, 0, 1)
    if groups > 1:  # depthwise: (h, w, channels, 1)
        kernel = tensor(layer.kernel).permute(2, 3, 0, 1)
    out, _, high, _ = kernel.shape
    inside = kernel.shape[1] * groups
    padding = 0 if pads is not None or layer.padding == "valid" else high // 2
    made = nn.Conv2d(inside, out, high, stride, padding, groups=groups, bias=layer.use_bias)
    made.weight.data.copy_(kernel)
    if layer.use_bias:
        made.bias.data.copy_(tensor(layer.bias))
    return made if pads is None else nn.Sequential(nn.ZeroPad2d(pads), made)


class Features(nn.Module):
    """Enlarges images, passes them through the frozen backbone, and mixes its maps."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        network = ours._network
        backbone = next(each for each in network.layers if each.name.startswith("efficientnet"))
        self.size = 128
        named = {layer.name: layer for layer in backbone.layers}
        self.stem = conv(named["stem"], 2, (0, 1, 0, 1))
        self.blocks, self.kept = nn.ModuleList(), set()
        ends = {id(backbone.output[f"stride_{n}"]._keras_history.operation) for n in (4, 8, 16, 32)}
        place = 0
        while f"block_{place}_project" in named:
            own = f"block_{place}"
            deep = named[f"{own}_depthwise"]
            stride, high = deep.strides[0], deep.kernel_size[0]
            pads = (high // 2 - 1, high // 2) * 2 if stride == 2 else None
            self.blocks.append(
                nn.ModuleDict(
                    {
                        **({"expand": conv(named[f"{own}_expand"])} if place else {}),
                        "deep": conv(deep, stride, pads, deep.kernel.shape[2]),
                        "project": conv(named[f"{own}_project"]),
                    }
                )
            )
            last = named.get(f"{own}_add", named[f"{own}_project"])
            self.blocks[-1].adds = f"{own}_add" in named
            if id(last) in ends:
                self.kept.add(place)
            place += 1
        mixers = [each for each in network.layers if each.name.startswith("conv2d")]
        self.across = nn.ModuleList(conv(e) for e in mixers if e.kernel_size == (1, 1))
        self.down = nn.ModuleList(conv(e) for e in mixers if e.kernel_size == (3, 3))
        self.across, self.down = ordered(self.across, "in"), ordered(self.down, "out")
        self.requires_grad_(False)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = functional.interpolate(images, (self.size, self.size), mode="bilinear")
        x = (127.5 * (x + 1) - 127) / 128
        x, maps = functional.relu6(self.stem(x.repeat(1, 3, 1, 1))), []
        for place, block in enumerate(self.blocks):
            before = x
            if "expand" in block:
                x = functional.relu6(block["expand"](x))
            x = block["project"](functional.relu6(block["deep"](x)))
            x = x + before if block.adds else x
            if place in self.kept:
                maps.append(x)
        own = [across(each) for across, each in zip(self.across, maps, strict=True)]
        mixed = [own[-1]]
        for fine, down in zip(own[-2::-1], self.down[::-1], strict=True):
            coarse = functional.interpolate(down(mixed[-1]), fine.shape[2:], mode="bilinear")
            mixed.append(fine + coarse)
        return mixed[::-1]


def ordered(layers: nn.ModuleList, by: str) -> nn.ModuleList:
    """Return convolutions from fine maps to coarse ones, which have more channels."""
    count = {"in": lambda e: e.in_channels, "out": lambda e: e.out_channels}[by]
    return nn.ModuleList(sorted(layers, key=count))


class Generator(nn.Module):
    def __init__(self, ours: Any) -> None:
        super().__init__()
        named = {layer.name: layer for layer in ours.layers}
        self.side = named["start_map"].output.shape[1]
        start = named["start"].kernel
        self.start = nn.Linear(*start.shape, bias=False)
        # Torch counts channels first where it reshapes.
        kernel = tensor(start).reshape(start.shape[0], self.side**2, -1).transpose(1, 2)
        self.start.weight.data.copy_(kernel.reshape(start.shape[0], -1).T)
        self.norm = norm(named["start_norm"])
        self.levels = nn.ModuleList()
        while f"up{len(self.levels) + 1}_conv" in named:
            own = f"up{len(self.levels) + 1}"
            kernel = tensor(named[f"{own}_conv"].kernel).permute(3, 2, 0, 1)
            doubled = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=False)
            doubled.weight.data.copy_(kernel)
            parts = {"conv": doubled, "norm": norm(named[f"{own}_norm"])}
            if f"{own}_seen" in named:
                parts |= {part: conv(named[f"{own}_{part}"]) for part in ("seen", "scale")}
            self.levels.append(nn.ModuleDict(parts))
        self.noise = nn.Parameter(torch.zeros(len(self.levels)))
        self.pixels = conv(named["pixels"])

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        code = latents * latents.square().mean(1, keepdim=True).clamp(min=1).rsqrt()
        x = self.start(code).unflatten(1, (-1, self.side, self.side))
        maps = [functional.glu(self.norm(x), 1)]
        for place, level in enumerate(self.levels):
            x = level["conv"](functional.interpolate(maps[-1], scale_factor=2, mode="nearest"))
            if place % 2 == 0:
                x = x + self.noise[place] * torch.randn_like(x[:, :1])
            x = functional.glu(level["norm"](x), 1)
            if "seen" in level:
                seen = functional.adaptive_avg_pool2d(maps[place - 2], self.side)
                x = x * level["scale"](functional.silu(level["seen"](seen))).sigmoid()
            maps.append(x)
        return self.pixels(maps[-1]).tanh()


def norm(layer: Any) -> nn.Module:
    made = nn.BatchNorm2d(layer.gamma.shape[0], eps=1e-5)
    made.weight.data.copy_(tensor(layer.gamma))
    made.bias.data.copy_(tensor(layer.beta))
    return made


class Heads(nn.Module):
    def __init__(self, ours: Any) -> None:
        super().__init__()
        named = {layer.name: layer for layer in ours.layers}
        self.heads = nn.ModuleList()
        while f"head{len(self.heads)}_judge" in named:
            own, stack = f"head{len(self.heads)}", []
            if f"{own}_conv" in named:
                stack += [spectral(named[f"{own}_conv"]), nn.LeakyReLU(SLOPE)]
            while f"{own}_down{len(stack) // 3}" in named:
                name = f"{own}_down{len(stack) // 3}"
                group = named[f"{name}_norm"]
                groups = nn.GroupNorm(group.groups, group.gamma.shape[0], eps=group.epsilon)
                stack += [spectral(named[name]), groups, nn.LeakyReLU(SLOPE)]
            self.heads.append(nn.Sequential(*stack, spectral(named[f"{own}_judge"])))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        judged = [head(each).flatten(1) for head, each in zip(self.heads, maps, strict=True)]
        return torch.cat(judged, 1).float()


def spectral(layer: Any) -> nn.Module:
    """Return a convolution with torch's spectral normalization, in the state of ours."""
    made = conv(layer, layer.strides[0])
    if layer.strides[0] == 2:
        made.padding = (1, 1)
    made = nn.utils.parametrizations.spectral_norm(made)
    own = made.parametrizations.weight[0]
    vector = functional.normalize(tensor(layer.singular), dim=0)
    matrix = made.parametrizations.weight.original.flatten(1)
    with torch.no_grad():
        own._u.copy_(vector)
        own._v.copy_(functional.normalize(matrix.T @ vector, dim=0))
    return made


def augment(images: list[torch.Tensor]) -> list[torch.Tensor]:
    """Change batches by the same random numbers: brightness, contrast, a shift and a hole."""
    n, _, high, wide = images[0].shape
    light, contrast = torch.rand(2, n, 1, 1, 1) - 0.5
    shift = torch.randint(-(high // 8), high // 8 + 1, (2, n))
    hole = torch.randint(0, high, (2, n))
    rows = (torch.arange(high) - shift[0][:, None] + high // 8).clamp(0, high + high // 4 - 1)
    columns = (torch.arange(wide) - shift[1][:, None] + wide // 8).clamp(0, wide + wide // 4 - 1)
    far = [(torch.arange(high) - each[:, None]).abs() >= high // 4 for each in hole]
    kept = (far[0][:, :, None] | far[1][:, None, :])[:, None]
    found = []
    for x in images:
        x = x + light
        x = x + contrast * (x - x.mean((1, 2, 3), keepdim=True))
        x = functional.pad(x, (wide // 8, wide // 8, high // 8, high // 8))
        x = x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        found.append(x.permute(0, 3, 1, 2) * kept)
    return found


class TorchProjectedGAN:
    """Networks with the weights of ours, and the loop over `uint8` images.

    Args:
        images: Shape `(n, 64, 64, 1)`.
        batch_size: Images a step.
        gan: Ours, not trained.
        half: Whether to compute in bfloat16.
        last: Whether channels come last in memory.
    """

    def __init__(self, images: Any, batch_size: int, gan: Any, *, half: bool, last: bool) -> None:
        self.layout = torch.channels_last if last else torch.contiguous_format
        scaled = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        data = torch.utils.data.TensorDataset(torch.from_numpy(np.ascontiguousarray(scaled)))
        self.loader = torch.utils.data.DataLoader(data, batch_size, shuffle=True)
        self.half = half
        parts = Features(gan._features), Generator(gan.generator), Heads(gan.discriminator)
        self.features, self.generator, self.heads = (
            part.to(memory_format=self.layout) for part in parts
        )
        self.average = copy.deepcopy(self.generator)
        options: dict[str, Any] = {"lr": RATE, "betas": BETAS}
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), **options)
        self.d_optimizer = torch.optim.Adam(self.heads.parameters(), **options)

    def precision(self) -> Any:
        on = torch.autocast("cpu", dtype=torch.bfloat16)
        return on if self.half else contextlib.nullcontext()

    def train(self) -> None:
        """Pass once over the images."""
        for (batch,) in self.loader:
            self.step(batch.to(memory_format=self.layout))

    def step(self, real: torch.Tensor) -> None:
        n = len(real)
        with self.precision():
            with torch.no_grad():
                fake = self.generator(torch.randn(n, 128))
                both = self.features(torch.cat(augment([real, fake.float()])))
            logits = self.heads(both)
            d_loss = functional.relu(1 - logits[:n]).mean() + functional.relu(1 + logits[n:]).mean()
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        self.heads.requires_grad_(False)
        with self.precision():
            fake = self.generator(torch.randn(n, 128))
            g_loss = -self.heads(self.features(augment([fake.float()])[0])).mean()
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()
        self.heads.requires_grad_(True)
        with torch.no_grad():
            pairs = list(self.average.parameters()), list(self.generator.parameters())
            torch._foreach_lerp_(*pairs, 0.01)

    def losses(self, images: Any, latents: Any) -> tuple[float, float]:
        """Return both losses, as far as nothing is random."""
        for part in (self.generator, self.heads):
            part.eval()
        with torch.no_grad():
            real = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
            fake = self.generator(torch.from_numpy(latents))
            judged = self.heads(self.features(fake))
            of_real = self.heads(self.features(real))
            d_loss = functional.relu(1 - of_real).mean() + functional.relu(1 + judged).mean()
        for part in (self.generator, self.heads):
            part.train()
        return float(d_loss), float(-judged.mean())
