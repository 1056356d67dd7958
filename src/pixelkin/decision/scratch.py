"""Memory that a thread uses again and again: fresh pages from the system cost more than the arithmetic done in them."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """Buffers by name, each as large as the largest asked for; what is in one lasts until its name is asked for again."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Uninitialised memory of this shape, of the type and on the device of `like`."""
        key, size = (name, like.dtype, like.device), math.prod(shape)
        buffer = self._buffers.get(key)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[key] = like.new_empty(size)
        return buffer[:size].view(shape)
