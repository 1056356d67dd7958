"""How training runs: its options, and the two presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import InputError
from ..model import ObjectiveOptions
from ..model.views import ViewOptions


@dataclass(frozen=True)
class TrainingOptions:
    """How Algorithm 1 runs. Two presets: `PRESETS["fast"]` (the default) and `PRESETS["paper"]`."""

    steps: int
    """Batches to learn from."""
    batch_size: int
    """Pairs of patches in a batch."""
    learning_rate: float
    """Adam's rate, or its peak for the one-cycle schedule."""
    schedule: Literal["constant", "one-cycle"]
    """constant (the paper), or a warm-up over the first quarter and a cosine down to nothing."""
    objective: ObjectiveOptions
    views: ViewOptions = field(default_factory=ViewOptions)
    unit_spread: bool = False
    """Keep each channel of S at unit spread by a batch norm without weights, folded into the dense layer at the end."""
    seed: int = 0
    """Draws weights, patches, views, positions and shuffles. Same seed, imagery, options and kind of machine: same bits."""
    max_pixels: int = 16_000_000
    """Pixels (of all dates) held in memory; of larger imagery, random windows, which are renewed as training goes on."""

    def __post_init__(self) -> None:
        for name, value, least in (("steps", self.steps, 1), ("batch_size", self.batch_size, 2), ("max_pixels", self.max_pixels, 1)):
            if value < least:
                raise InputError(f"{name} is {value}, expected a whole number >= {least}.")
        if self.objective.negatives >= self.batch_size:
            raise InputError(f"negatives is {self.objective.negatives}, expected fewer than the {self.batch_size} pairs of a batch.")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate}, expected a number > 0.")
        if self.schedule not in ("constant", "one-cycle"):
            raise InputError(f"schedule is {self.schedule!r}, expected 'constant' or 'one-cycle'.")


PRESETS = {
    "paper": TrainingOptions(steps=4000, batch_size=512, learning_rate=1e-4, schedule="constant", objective=ObjectiveOptions()),
    "fast": TrainingOptions(
        steps=600,
        batch_size=256,
        learning_rate=1e-3,
        schedule="one-cycle",
        # At the paper's gamma of 0.1 the sum over positions drowns the L1 term; docs/research.md has the figures.
        objective=ObjectiveOptions(gamma=10.0, negatives=4, positions=12),
        unit_spread=True,
    ),
}


def resolve(preset: str | TrainingOptions, steps: int | None, seed: int | None) -> TrainingOptions:
    """The options that a preset, by name or in full, and the two most often changed come to.

    Raises:
        InputError: Unknown preset, or steps or seed beside options that have their own.
    """
    if isinstance(preset, TrainingOptions):
        given = {name: value for name, value in (("steps", steps), ("seed", seed)) if value is not None}
        for name, value in given.items():
            if value != getattr(preset, name):
                raise InputError(
                    f"{name} is {value}, the TrainingOptions given as preset have {getattr(preset, name)}, expected one of them. "
                    f"Give dataclasses.replace(options, {name}={value}) alone."
                )
        return preset
    if preset not in PRESETS:
        raise InputError(f"preset is {preset!r}, expected one of {sorted(PRESETS)} or TrainingOptions.")
    options = PRESETS[preset]
    return replace(options, steps=options.steps if steps is None else steps, seed=options.seed if seed is None else seed)


def preset_name(options: TrainingOptions) -> str:
    """The preset that options are, but for steps and seed; 'custom' if none."""
    for name, preset in PRESETS.items():
        if replace(options, steps=preset.steps, seed=preset.seed) == preset:
            return name
    return "custom"


def learning_rate(options: TrainingOptions, step: int) -> float:
    """Adam's rate at a step (0-based): a function of the step alone, so that resuming needs no state."""
    if options.schedule == "constant":
        return options.learning_rate
    warm = max(1, options.steps // 4)
    if step < warm:
        return options.learning_rate * (0.04 + 0.96 * step / warm)
    return options.learning_rate * max(1e-3, 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, options.steps - warm))))
