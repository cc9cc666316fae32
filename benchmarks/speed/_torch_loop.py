"""What the peers in torch share: the loop over a `DataLoader`, and the precision of its steps."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


class TorchLoop:
    """The loop of torch's tutorials; a peer has the networks, their optimizers and the step.

    Args:
        images: Float images, channels first.
        batch_size: Images a step.
        device: `"cpu"` or `"cuda"`.
        fast: Autocast to bfloat16, where the peer asks for `precision`.
    """

    def __init__(
        self, images: torch.Tensor, batch_size: int, *, device: str = "cpu", fast: bool = False
    ) -> None:
        self.device, self.fast = device, fast
        data = torch.utils.data.TensorDataset(images)
        self.loader = torch.utils.data.DataLoader(
            data, batch_size, shuffle=True, pin_memory=device != "cpu"
        )

    def precision(self) -> Any:
        if not self.fast:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def train(self) -> None:
        """Pass once over the images."""
        d_sum = g_sum = 0.0
        for (batch,) in self.loader:
            d_loss, g_loss = self.step(batch.to(self.device, non_blocking=True))
            d_sum, g_sum = d_sum + d_loss, g_sum + g_loss
        float(d_sum), float(g_sum)  # waits for the device, as a loop that tells its losses does

    def step(self, real: torch.Tensor) -> tuple[Any, Any]:
        """Take a step; return the discriminator's and the generator's loss."""
        raise NotImplementedError
