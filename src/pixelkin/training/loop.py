"""Algorithm 1, line by line."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..encoding import common_encoding
from ..errors import InputError, ModelError, TrainingError
from ..model import Model, ModelConfig, Network, Objective, Standardisation, draw, objective
from ..model.config import CriticForm
from ..model.views import ViewPool
from ..scene import Scene, Series, as_scenes
from .devices import Device, pick_device
from .parallel import Part, Team, joined, take_gradients
from .presets import TrainingOptions, learning_rate, preset_name, resolve
from .sampling import Sampler
from .state import Log, TrainingProgress, identity, resume, save_state


class _Files(NamedTuple):
    """Where a training writes, and who is told."""

    checkpoint: Path | None
    log: str | Path | None
    progress: Callable[[TrainingProgress], None] | None
    whose: dict[str, Any]


def train(
    sources: Scene | Series | Sequence[Scene | Series],
    *,
    patch_size: int | None = None,
    z_dim: int | None = None,
    preset: str | TrainingOptions = "fast",
    steps: int | None = None,
    seed: int | None = None,
    device: Device = "auto",
    critic: CriticForm | None = None,
    config: ModelConfig | None = None,
    checkpoint: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Model:
    """Learn a model from imagery alone.

    Under `torchrun` several processes share each batch; the first alone writes checkpoint and log, and all return the same model.
    On a CPU the model has the same bits for any number of threads; for any number of processes too, where it divides four and four
    divides the batch.

    Args:
        sources: Scenes and series to learn from; dates of a series are views of one another.
        patch_size: Side s of a patch in pixels, odd, >= 7; default 13.
        z_dim: Width of the shared representation; default 10.
        preset: 'fast', 'paper' or all training options.
        steps: Batches, instead of a named preset's.
        seed: Seed of everything random, instead of a named preset's 0.
        device: 'auto' takes CUDA, then MPS, then the CPU.
        critic: Form of the statistics networks; default 'separable'.
        config: All network options, instead of patch_size, z_dim and critic; its bands must be the sources'.
        checkpoint: File that holds the state every 50 steps, at the end and at Ctrl-C; training goes on from it if it is there. A run of a
            constant rate may go on for more steps than it was first asked for.
        log: CSV file, a line a step.
        progress: Called after each step.

    Returns:
        The model, on the CPU. Its `info` says what ran: the preset ('custom' where options differ from both), all options, whether dates
        were paired, scenes, device and versions.

    Raises:
        InputError: Unknown preset or device, or arguments that contradict each other.
        TrainingError: Too little valid imagery, a constant band, or a loss that is not finite.
        ModelError: The checkpoint is of another run.
    """
    options = resolve(preset, steps, seed)
    scenes = as_scenes(sources)
    if not scenes:
        raise TrainingError("no imagery to train on, expected at least one scene. Give a raster or a folder of rasters.")
    config = _config(config, scenes[0].bands, {"patch_size": patch_size, "z_dim": z_dim, "critic": critic})
    for scene in scenes:
        if scene.bands != config.bands:
            raise TrainingError(
                f"{scene.name} has bands {list(scene.bands)}, expected {list(config.bands)} as in {scenes[0].name}. Choose common bands."
            )
    chosen = pick_device(device)
    encoding = common_encoding(scenes)
    sampler = _sampler(sources, config, options)
    pool = sampler.pool(0)
    if len(pool.centres) < options.batch_size:
        raise TrainingError(
            f"too little valid imagery: {len(pool.centres)} pixels for {config.patch_size} x {config.patch_size} patches, "
            f"expected at least {options.batch_size}. Give more imagery or a smaller patch size."
        )
    with joined(chosen, options.batch_size) as team:
        files = _Files(
            None if checkpoint is None else Path(checkpoint),
            log if team.main else None,
            progress if team.main else None,
            identity(config, options, scenes),
        )
        network = _optimise(Network(config, seed=options.seed), sampler, options, chosen, team, files)
    info = {
        "preset": preset_name(options),
        "options": asdict(options),
        "date_pairs": options.views.dates and pool.has_siblings,
        "device": chosen.type,
        "scenes": [scene.name for scene in scenes],
        "encoding": encoding,
        "versions": {name: version(name) for name in ("pixelkin", "torch", "numpy")},
    }
    return Model(network.cpu(), sampler.standardisation, info)


def _config(config: ModelConfig | None, bands: tuple[str, ...], asked: dict[str, Any]) -> ModelConfig:
    """All network options, from them or from the few that were given."""
    given = {name: value for name, value in asked.items() if value is not None}
    if config is None:
        return ModelConfig(bands=bands, **given)
    for name, value in given.items():
        if value != getattr(config, name):
            raise InputError(
                f"{name} is {value!r}, config has {getattr(config, name)!r}, expected one of them. "
                f"Give config=dataclasses.replace(config, {name}={value!r}) alone."
            )
    return config


def _optimise(network: Network, sampler: Sampler, options: TrainingOptions, device: torch.device, team: Team, files: _Files) -> Network:
    if options.unit_spread:
        network.encoder.normalise_shared()
    network.to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    adam = torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.999))
    done = 0
    if files.checkpoint is not None and files.checkpoint.exists():
        done = resume(files.checkpoint, network, adam, files.whose)
        if done > options.steps:
            raise ModelError(
                f"checkpoint {files.checkpoint} has {done} steps, expected at most the {options.steps} asked for. Ask for more, or name another file."
            )
    checkpoint = files.checkpoint if team.main else None
    team.share(network)
    started, first = time.monotonic(), done

    def advance() -> None:
        nonlocal done
        adam.step()
        team.update_norms()
        done += 1

    with Log(files.log, first) as write_log:
        try:
            for step in range(done, options.steps):
                for group in adam.param_groups:
                    group["lr"] = learning_rate(options, step)
                terms = _step(network, sampler, options, device, team, step)
                if not math.isfinite(terms.loss):
                    raise TrainingError(
                        f"the loss is {float(terms.loss)} at step {step + 1}, expected a finite number. "
                        f"Lower the learning rate (it is {learning_rate(options, step):g}) or look for extreme values in the imagery."
                    )
                team.alone(advance)
                rate = (done - first) * options.batch_size / max(time.monotonic() - started, 1e-9)
                left = (options.steps - done) * options.batch_size / rate
                loss, global_mi, local_mi, l1 = (float(term) for term in terms)
                told = TrainingProgress(done, options.steps, loss, global_mi, local_mi, l1, rate, left)
                write_log(told)
                if checkpoint is not None and done % 50 == 0 and done < options.steps:
                    save_state(checkpoint, network, adam, done, files.whose)
                if files.progress is not None:
                    files.progress(told)
        except KeyboardInterrupt:
            if checkpoint is not None:
                save_state(checkpoint, network, adam, done, files.whose)
            raise
    if checkpoint is not None:
        save_state(checkpoint, network, adam, done, files.whose)
    team.leave(network)
    if options.unit_spread:
        network.encoder.fold()
    return network.eval()


def _step(network: Network, sampler: Sampler, options: TrainingOptions, device: torch.device, team: Team, step: int) -> Objective:
    """Lines 3 to 7 of Algorithm 1: leaves the gradients with the parameters; returns the terms of Eq. 7."""
    # Each step has its own generator, so a resumed run draws what an uninterrupted one would.
    generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
    pool = sampler.pool(step).to(device)
    views = team.alone(lambda: pool.draw(options.batch_size, options.views, generator))
    drawn = draw(options.objective, views.site, network.config.positions, generator)

    def terms(part: Part) -> Objective:
        return objective(network, views.x[part.rows], views.y[part.rows], options.objective, drawn, part)

    return Objective(*take_gradients(team, network, terms))


def load_pool(
    sources: Scene | Series | Sequence[Scene | Series], config: ModelConfig, options: TrainingOptions
) -> tuple[ViewPool, Standardisation]:
    """Standardised imagery of the first step: all of it, or random windows of it (see `sampling.Sampler`)."""
    sampler = _sampler(sources, config, options)
    return sampler.pool(0), sampler.standardisation


def _sampler(sources: Scene | Series | Sequence[Scene | Series], config: ModelConfig, options: TrainingOptions) -> Sampler:
    return Sampler(sources, patch_size=config.patch_size, bands=config.bands, max_pixels=options.max_pixels, seed=options.seed)
