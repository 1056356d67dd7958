"""The encoders that the tables compare: ours, its ablations, Deep InfoMax and the variational autoencoder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import TrainingError
from ..model import Model, ModelConfig, Network, load_model
from ..model.baselines import NO_AUGMENTATION, VariationalAutoencoder, deep_infomax
from ..model.config import CriticForm
from ..scene import Scene, Series, as_scenes
from ..training import PRESETS, Device, TrainingOptions, learning_rate, load_pool, pick_device, train
from ..training.parallel import Part, joined, take_gradients


@dataclass(frozen=True)
class Encoder:
    """An encoder as a row of a table names it: what differs from ours."""

    name: str
    kind: Literal["ours", "deep-infomax", "vae"] = "ours"
    objective: tuple[tuple[str, Any], ...] = ()
    """Fields of `ObjectiveOptions` to change."""
    views: tuple[tuple[str, Any], ...] = ()
    """Fields of `ViewOptions` to change."""
    unit_spread: bool | None = None
    """Give S unit spread in training; None = as the budget's training does."""
    z_dim: int = 10
    critic: CriticForm = "separable"
    random_critic: bool = False
    """Give T_phi random weights after training."""

    def resolve(self, base: TrainingOptions, bands: tuple[str, ...], patch_size: int) -> tuple[TrainingOptions, ModelConfig]:
        """All options of its training."""
        options = replace(base, objective=replace(base.objective, **dict(self.objective)), views=replace(base.views, **dict(self.views)))
        if self.unit_spread is not None:
            options = replace(options, unit_spread=self.unit_spread)
        if self.kind == "deep-infomax":
            objective, views = deep_infomax(options.objective)
            options = replace(options, objective=objective, views=views, unit_spread=False)
        if self.kind == "vae":
            options = replace(options, views=NO_AUGMENTATION)
        return options, ModelConfig(bands=bands, patch_size=patch_size, z_dim=self.z_dim, critic=self.critic)


OURS = Encoder("ours")
DEEP_INFOMAX = Encoder("deep infomax", kind="deep-infomax")
VAE = Encoder("vae", kind="vae")


def _ablation(name: str, objective: dict[str, Any] | None = None, **changes: Any) -> Encoder:
    """A row that changes the paper's objective, whatever the budget trains with: its weights, one shuffle, all positions."""
    weights = {**asdict(PRESETS["paper"].objective), **(objective or {})}
    return Encoder(name, objective=tuple(weights.items()), unit_spread=False, **changes)


ABLATIONS = (
    _ablation("baseline"),
    _ablation("alpha = 0", {"alpha": 0.0}),
    _ablation("gamma = 0", {"gamma": 0.0}),
    _ablation("no jitter", views=(("jitter", False),)),
    _ablation("no flip", views=(("flip", False),)),
    _ablation("no rotation", views=(("rotate", False),)),
    _ablation("no shift", views=(("shift", False),)),
    _ablation("no SSR", {"swap": False}),
    _ablation("no SSR, no DA", {"swap": False}, views=tuple((k, v) for k, v in asdict(NO_AUGMENTATION).items() if v is False)),
    _ablation("random phi", random_critic=True),
    _ablation("z_dim = 32", z_dim=32),
)
"""Rows of Table 3, and the wider representation."""

VARIANTS = (
    _ablation("baseline"),
    _ablation("concatenated critics", critic="concatenated"),
    _ablation("shift of 6 pixels", views=(("reach", 6),)),
    _ablation("shift of 13 pixels", views=(("reach", 13),)),
    _ablation("unpaired from the same image", {"partners": "same image"}),
    _ablation("unpaired from other images", {"partners": "other images"}),
    _ablation("no shift", views=(("shift", False),)),
    _ablation("no shift, unpaired from the same image", {"partners": "same image"}, views=(("shift", False),)),
    _ablation("no shift, concatenated critics", views=(("shift", False),), critic="concatenated"),
)
"""What the paper leaves open: the form of the critics, the longest shift (3 pixels unless named), and where unpaired samples come from."""

NO_DATE_PAIRS = _ablation("no date pairs", views=(("dates", False),))
"""One more row for a series: the second view is never another date."""

DEFAULT_WEIGHTS = Encoder("our default")
"""One more row: the weight of the L1 term that `pixelkin.train` uses."""


class ModelStore:
    """Trained models by the content of what made them; an interrupted training goes on where it stopped."""

    def __init__(self, folder: Path, imagery: str, device: Device = "cpu") -> None:
        """Keep models in a folder.

        Args:
            folder: Made when first needed.
            imagery: Fingerprint of the training imagery.
            device: Where to train. No part of a model's key: another device gives other bits, not another model.
        """
        self._folder, self._imagery, self._device = folder, imagery, device
        self._loaded: dict[str, Model] = {}

    def key(self, encoder: Encoder, options: TrainingOptions, config: ModelConfig) -> str:
        """Changes when the model would: imagery, objective, options, shape or program version."""
        kind = "vae" if encoder.kind == "vae" else "ours"
        identity = [kind, self._imagery, asdict(options), config.to_json(), version("pixelkin"), version("torch")]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]

    def has(self, key: str) -> bool:
        """True where the model is trained already."""
        return key in self._loaded or self._path(key).exists()

    def get(
        self,
        encoder: Encoder,
        options: TrainingOptions,
        config: ModelConfig,
        imagery: Sequence[Scene | Series],
        progress: Callable[[int, int], None] | None = None,
    ) -> Model:
        """The model of an encoder, trained if need be."""
        key = self.key(encoder, options, config)
        if key not in self._loaded:
            path = self._path(key)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                if encoder.kind == "vae":
                    model = train_vae(imagery, config, options, progress, device=self._device)
                else:
                    checkpoint = path.with_suffix(".part")
                    model = train(
                        imagery, config=config, preset=options, checkpoint=checkpoint, device=self._device,
                        progress=None if progress is None else lambda told: progress(told.step, told.steps),
                    )  # fmt: skip
                    checkpoint.unlink(missing_ok=True)
                model.save(path)
            self._loaded[key] = load_model(path)
        model = self._loaded[key]
        return with_random_critic(model, options.seed) if encoder.random_critic else model

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"


def train_vae(
    imagery: Sequence[Scene | Series],
    config: ModelConfig,
    options: TrainingOptions,
    progress: Callable[[int, int], None] | None = None,
    *,
    device: Device = "cpu",
) -> Model:
    """A model whose S is the mean of a variational autoencoder; its critics are untrained, so it is for the L1 measure.

    Args:
        imagery: Scenes and series to learn from.
        config: Shape of the encoder.
        options: Steps, batch, rate and seed; the objective is not used.
        progress: Called with (steps done, steps).
        device: Where to train.

    Raises:
        TrainingError: Too little valid imagery, or a loss that is not finite.
    """
    chosen = pick_device(device)
    pool, standardisation = load_pool(list(imagery), config, options)
    pool.to(chosen)
    vae = VariationalAutoencoder(config, seed=options.seed).to(chosen).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    adam = torch.optim.Adam(vae.parameters(), lr=options.learning_rate)
    with joined(chosen, options.batch_size) as team:
        team.share(vae)
        for step in range(options.steps):
            for group in adam.param_groups:
                group["lr"] = learning_rate(options, step)
            generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
            x = pool.draw(options.batch_size, options.views, generator).x
            noise = torch.randn(len(x), config.z_dim, 1, 1, generator=generator)

            def loss(part: Part, x: Tensor = x, noise: Tensor = noise) -> tuple[Tensor, ...]:
                return (vae.loss(x[part.rows], noise[part.rows].to(chosen)),)

            (value,) = take_gradients(team, vae, loss)
            if not math.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {step + 1}, expected a finite number. Lower the learning rate.")
            team.alone(adam.step)
            team.update_norms()
            if progress is not None:
                progress(step + 1, options.steps)
        team.leave(vae)
    info = {"preset": "vae", "options": asdict(options), "scenes": [scene.name for scene in as_scenes(imagery)]}
    return Model(vae.network.cpu().eval(), standardisation, info)


def with_random_critic(model: Model, seed: int) -> Model:
    """The same encoder with a T_phi of random weights."""
    network = Network(model.config, seed=seed + 1)
    trained = model.network.state_dict()
    fresh = network.state_dict()
    network.load_state_dict({name: fresh[name] if name.startswith("local_critic.") else tensor for name, tensor in trained.items()})
    return Model(network, model.standardisation, model.info)
