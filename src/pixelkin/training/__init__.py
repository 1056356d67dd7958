"""Algorithm 1: learn, without labels, how alike two pixels are."""

from .devices import Device, pick_device
from .loop import load_pool, train
from .parallel import writes_files
from .presets import PRESETS, TrainingOptions, learning_rate
from .state import TrainingProgress

__all__ = [
    "PRESETS",
    "Device",
    "TrainingOptions",
    "TrainingProgress",
    "learning_rate",
    "load_pool",
    "pick_device",
    "train",
    "writes_files",
]
