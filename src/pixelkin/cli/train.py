"""`pixelkin train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError, PkError
from .options import (
    beside_reading,
    device_option,
    image_options,
    json_option,
    open_all,
    overwrite_option,
    print_json,
    progress_bar,
    training_options,
)

if TYPE_CHECKING:
    from ..model import Model
    from ..training import TrainingProgress


@click.command("train")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--out", "-o", required=True, type=click.Path(dir_okay=False), help="Model to write, .safetensors.")
@training_options
@click.option("--z-dim", type=int, default=10, show_default=True, help="Width of the shared representation.")
@click.option(
    "--critic",
    type=click.Choice(["separable", "concatenated"]),
    default="separable",
    show_default=True,
    help="Form of the statistics networks.",
)
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="State to go on from. Default: OUT.checkpoint, removed at the end.")
@click.option("--log", type=click.Path(dir_okay=False), help="CSV, a line a step.")
@image_options
@device_option
@overwrite_option
@json_option
def train_command(
    images: Sequence[str],
    out: str,
    checkpoint: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn a model from imagery, without labels.

    IMAGE is a raster, or a folder of them; dated images of one place are a series, whose dates teach what does not matter.
    More imagery is better: give all of it. A run that was stopped goes on when the same command is given again.
    Several processes or GPUs: torchrun --nproc-per-node N -m pixelkin train ...
    """
    from ..files import require_outputs
    from ..raster import require_valid
    from ..raster.inputs import files_of
    from ..scene import as_scenes
    from ..training import writes_files

    state = checkpoint or f"{out}.checkpoint"
    sources = open_all(images, options)
    for scene in as_scenes(sources):
        require_valid(scene)
    read = {"image": files_of(sources)}
    require_outputs([model_target(out)], inputs=read, overwrite=overwrite)
    # A state is there where a run goes on, and its log with it.
    require_outputs([state, *([options["log"]] if options["log"] else [])], inputs=read, overwrite=overwrite or Path(state).exists())
    model = train_with_bar(sources, checkpoint=state, **beside_reading(options))
    if not writes_files():
        return
    model.save(out, overwrite=overwrite)
    if checkpoint is None:
        Path(state).unlink(missing_ok=True)
    if as_json:
        print_json({"model": out, "hash": model.hash, **model.info})
    else:
        click.echo(f"{out}: model {model.hash[:12]} for bands {', '.join(model.bands)}")


def train_with_bar(sources: Any, **options: Any) -> Model:
    """Train with a progress bar on stderr. What is refused leaves no state that would stand in the way of the same with better inputs."""
    from ..training import train

    state = Path(options["checkpoint"])
    resumed = state.exists()
    try:
        with progress_bar() as bar:
            return train(sources, progress=training_progress(bar), **options)
    except PkError:
        if not resumed:
            state.unlink(missing_ok=True)
        raise


def model_target(path: str) -> Path:
    """The path, where it has the suffix by which models are known; else OutputError."""
    if Path(path).suffix.lower() != ".safetensors":
        raise OutputError(
            f"{path} does not end in .safetensors, as models and references do. Name it {Path(path).stem or 'model'}.safetensors."
        )
    return Path(path)


def training_progress(bar: Any) -> Callable[[TrainingProgress], None]:
    """A callback for `train` that moves a bar."""
    task = bar.add_task("training", total=None)

    def tell(told: TrainingProgress) -> None:
        bar.update(task, total=told.steps, completed=told.step, note=f"loss {told.loss:.2f}, {told.pairs_per_s:,.0f} pairs/s")

    return tell
