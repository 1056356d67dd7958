"""Where networks compute."""

from __future__ import annotations

from typing import Literal

import torch

from ..errors import InputError

Device = Literal["auto", "cpu", "cuda", "mps"]


def pick_device(device: Device | str = "auto") -> torch.device:
    """The device that a name means here; InputError where it is not available."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))
    if device not in available:
        raise InputError(f"device is {device!r}, expected auto, cpu, cuda or mps.")
    if not available[device]:
        raise InputError(
            f"device {device!r} is not available here, expected one of {[name for name, there in available.items() if there]}. Use --device auto."
        )
    return torch.device(device)
