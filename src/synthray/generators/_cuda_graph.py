"""Operations of torch as one graph of CUDA: one call in place of thousands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

Tensors = dict[str, Any]

_log = logging.getLogger("synthray")


class CudaGraph:
    """Calls operations once, captures them at the second call, and from then on repeats that.

    After a release it captures them at the next call. Where they cannot be captured they are called
    each time, and a line of the log says why.

    Args:
        operations: From a list of tensors, of the same shapes each time, to a dict of tensors.
    """

    def __init__(self, operations: Callable[[list[Any]], Tensors]) -> None:
        import torch

        self._operations = torch.no_grad()(operations)
        self._stream = torch.cuda.Stream()
        self._called = self._refused = False
        self.release()

    def __call__(self, tensors: list[Any]) -> Tensors:
        """Return what the operations make of tensors."""
        if not self._called:
            self._called = True
            return self._beside(tensors)
        if self.graph is None and not self._refused:
            try:
                self._capture(tensors)
            except RuntimeError as error:
                self._refused = True
                self.release()
                _log.warning("Training without a graph of CUDA, which is slower: %s", error)
        if self.graph is None:
            return self._operations(tensors)
        for own, tensor in zip(self._inputs, tensors, strict=True):
            own.copy_(tensor)
        self.graph.replay()
        # The graph writes to the same memory each time.
        return {name: value.clone() for name, value in self._outputs.items()}

    def release(self) -> None:
        """Give the memory of the graph back, which holds all that the operations ever hold."""
        self._inputs: list[Any] = []
        self._outputs: Tensors = {}
        self.graph: Any = None

    def _beside(self, tensors: list[Any]) -> Tensors:
        """Call them where they will be captured: libraries take memory for a stream once."""
        import torch

        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = self._operations(tensors)
        current.wait_stream(self._stream)
        return found

    def _capture(self, tensors: list[Any]) -> None:
        """Write the operations down, which are not carried out meanwhile."""
        import torch

        self._inputs = [tensor.clone() for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as those that load images, may use the card meanwhile.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._outputs = self._operations(self._inputs)
        self.graph = graph
