"""Algorithm 1: learn, without labels, how alike two pixels are."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from .encoding import common_encoding
from .errors import InputError, ModelError, TrainingError
from .model import Model, ModelConfig, Network, ObjectiveOptions, Standardisation, objective
from .model.checkpoint import read_file, write_file
from .model.views import ViewOptions, ViewPool
from .parallel import Group, joined
from .sampling import Sampler
from .scene import Scene, Series, as_scenes

Device = Literal["auto", "cpu", "cuda", "mps"]


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
    """Draws weights, patches, views, positions and shuffles. Same seed, imagery, options and machine: same bits."""
    max_pixels: int = 16_000_000
    """Pixels (of all dates) held in memory; of larger imagery, random windows, which are renewed as training goes on."""


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


class TrainingProgress(NamedTuple):
    """What a progress callback is told after each step."""

    step: int
    """Steps done, 1..steps."""
    steps: int
    loss: float
    """Negative of Eq. 7, nats; lower is better."""
    global_mi: float
    local_mi: float
    l1: float
    pairs_per_s: float
    seconds_left: float


def train(
    sources: Scene | Series | Sequence[Scene | Series],
    *,
    patch_size: int = 13,
    z_dim: int = 10,
    preset: str = "fast",
    steps: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    critic: Literal["separable", "concatenated"] = "separable",
    options: TrainingOptions | None = None,
    config: ModelConfig | None = None,
    checkpoint: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Model:
    """Learn a model from imagery alone.

    Under `torchrun` several processes share each batch; the first alone writes checkpoint and log, and all return the same model.

    Args:
        sources: Scenes and series to learn from; dates of a series are views of one another.
        patch_size: Side s of a patch in pixels, odd, >= 7.
        z_dim: Width of the shared representation.
        preset: 'fast' or 'paper'.
        steps: Batches, instead of the preset's.
        seed: Seed of everything random.
        device: 'auto' takes CUDA, then MPS, then the CPU.
        critic: Form of the statistics networks.
        options: All training options, instead of preset, steps and seed.
        config: All network options, instead of patch_size, z_dim and critic; its bands must be the sources'.
        checkpoint: File that holds the state every 50 steps and at Ctrl-C; training goes on from it if it is there.
        log: CSV file, a line a step.
        progress: Called after each step.

    Returns:
        The model, on the CPU.

    Raises:
        TrainingError: Too little valid imagery, a constant band, or a loss that is not finite.
        ModelError: The checkpoint is of another run.
    """
    scenes = as_scenes(sources)
    if not scenes:
        raise TrainingError("no imagery to train on, expected at least one scene. Give a raster or a folder of rasters.")
    if options is None:
        if preset not in PRESETS:
            raise InputError(f"preset is {preset!r}, expected one of {sorted(PRESETS)}.")
        options = replace(PRESETS[preset], seed=seed, steps=PRESETS[preset].steps if steps is None else steps)
    if config is None:
        config = ModelConfig(bands=scenes[0].bands, patch_size=patch_size, z_dim=z_dim, critic=critic)
    for scene in scenes:
        if scene.bands != config.bands:
            raise TrainingError(
                f"{scene.name} has bands {list(scene.bands)}, expected {list(config.bands)} as in {scenes[0].name}. Choose common bands."
            )
    encoding = common_encoding(scenes)
    sampler = _sampler(sources, config, options)
    places = len(sampler.pool(0).centres)
    if places < options.batch_size:
        raise TrainingError(
            f"too little valid imagery: {places} places for {config.patch_size} x {config.patch_size} patches, "
            f"expected at least {options.batch_size}. Give more imagery or a smaller patch size."
        )
    chosen = pick_device(device)
    with joined(chosen) as processes:
        network = _optimise(
            Network(config, seed=options.seed),
            sampler,
            options,
            chosen,
            _identity(config, options, scenes),
            checkpoint,
            log if processes.main else None,
            progress if processes.main else None,
            processes,
        )
    info = {
        "preset": preset,
        "options": asdict(options),
        "scenes": [scene.name for scene in scenes],
        "encoding": encoding,
        "versions": {name: version(name) for name in ("pixelkin", "torch", "numpy")},
    }
    return Model(network.cpu(), sampler.standardisation, info)


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


def _optimise(
    network: Network,
    sampler: Sampler,
    options: TrainingOptions,
    device: torch.device,
    identity: dict[str, Any],
    checkpoint: str | Path | None,
    log: str | Path | None,
    progress: Callable[[TrainingProgress], None] | None,
    processes: Group,
) -> Network:
    if options.unit_spread:
        network.encoder.normalise_shared()
    network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    adam = torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.999))
    done = 0
    if checkpoint is not None and Path(checkpoint).exists():
        done = _resume(Path(checkpoint), network, adam, identity)
    if not processes.main:
        checkpoint = None
    shared = processes.share(network, options.batch_size)
    started, first = time.monotonic(), done
    with _Log(log, first) as write_log:
        try:
            for step in range(done, options.steps):
                for group in adam.param_groups:
                    group["lr"] = learning_rate(options, step)
                # Each step has its own generator, so a resumed run draws what an uninterrupted one would.
                generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
                x, y = sampler.pool(step).draw(options.batch_size, options.views, generator)
                terms = objective(shared, x.to(device), y.to(device), options.objective, generator)
                loss = float(terms.loss.detach())
                if not math.isfinite(loss):
                    raise TrainingError(
                        f"the loss is {loss} at step {step + 1}, expected a finite number. "
                        f"Lower the learning rate (it is {learning_rate(options, step):g}) or look for extreme values in the imagery."
                    )
                adam.zero_grad()
                processes.backward(terms.loss, network)
                adam.step()
                done = step + 1
                rate = (done - first) * options.batch_size / max(time.monotonic() - started, 1e-9)
                told = TrainingProgress(
                    done, options.steps, loss, float(terms.global_mi.detach()), float(terms.local_mi.detach()), float(terms.l1.detach()), rate,
                    (options.steps - done) * options.batch_size / rate,
                )  # fmt: skip
                write_log(told)
                if checkpoint is not None and done % 50 == 0 and done < options.steps:
                    _save_state(Path(checkpoint), network, adam, done, identity)
                if progress is not None:
                    progress(told)
        except KeyboardInterrupt:
            if checkpoint is not None:
                _save_state(Path(checkpoint), network, adam, done, identity)
            raise
    if checkpoint is not None:
        _save_state(Path(checkpoint), network, adam, done, identity)
    processes.leave(network)
    if options.unit_spread:
        network.encoder.fold()
    return network.eval()


def learning_rate(options: TrainingOptions, step: int) -> float:
    """Adam's rate at a step (0-based): a function of the step alone, so that resuming needs no state."""
    if options.schedule == "constant":
        return options.learning_rate
    warm = max(1, options.steps // 4)
    if step < warm:
        return options.learning_rate * (0.04 + 0.96 * step / warm)
    return options.learning_rate * max(1e-3, 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, options.steps - warm))))


def load_pool(
    sources: Scene | Series | Sequence[Scene | Series], config: ModelConfig, options: TrainingOptions
) -> tuple[ViewPool, Standardisation]:
    """Standardised imagery of the first step: all of it, or random windows of it (see `sampling.Sampler`)."""
    sampler = _sampler(sources, config, options)
    return sampler.pool(0), sampler.standardisation


def _sampler(sources: Scene | Series | Sequence[Scene | Series], config: ModelConfig, options: TrainingOptions) -> Sampler:
    return Sampler(sources, patch_size=config.patch_size, bands=config.bands, max_pixels=options.max_pixels, seed=options.seed)


def _identity(config: ModelConfig, options: TrainingOptions, scenes: list[Scene]) -> dict[str, Any]:
    """What must be the same for a checkpoint to be continued."""
    return {"config": config.to_json(), "options": asdict(options), "scenes": [[scene.name, scene.fingerprint] for scene in scenes]}


def _save_state(path: Path, network: Network, adam: torch.optim.Adam, done: int, identity: dict[str, Any]) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, state in adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
    write_file(path, "checkpoint", tensors, {"identity": identity, "done": done}, overwrite=True)


def _resume(path: Path, network: Network, adam: torch.optim.Adam, identity: dict[str, Any]) -> int:
    tensors, header = read_file(path, "checkpoint")
    # Through JSON and back, tuples are lists; compare like with like.
    ours, theirs = _jsonable(identity), header["identity"]
    different = [key for key in ours if ours[key] != theirs.get(key)]
    if different:
        raise ModelError(
            f"checkpoint {path} is of another run (different {', '.join(different)}). Delete it to start anew, or name another file."
        )
    network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})
    return int(header["done"])


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, list | tuple) else value


class _Log:
    """CSV log, a line a step; appended to when a run is resumed."""

    def __init__(self, path: str | Path | None, done: int) -> None:
        self._path, self._done = path, done

    def __enter__(self) -> Callable[[TrainingProgress], None]:
        if self._path is None:
            return lambda _: None
        names = [name for name in TrainingProgress._fields if name not in ("steps", "seconds_left")]
        kept: list[list[str]] = []
        if self._done and Path(self._path).exists():
            # A killed run may have logged steps after its last checkpoint; they are about to be done again.
            with Path(self._path).open(newline="") as file:
                kept = [row for row in list(csv.reader(file))[1:] if row and int(row[0]) <= self._done]
        self._file = Path(self._path).open("w", newline="")
        writer = csv.writer(self._file)
        writer.writerow(names)
        writer.writerows(kept)

        def write(progress: TrainingProgress) -> None:
            writer.writerow([getattr(progress, name) for name in names])
            self._file.flush()

        return write

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()


__all__ = ["PRESETS", "TrainingOptions", "TrainingProgress", "learning_rate", "pick_device", "train"]
