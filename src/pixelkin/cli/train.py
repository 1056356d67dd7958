"""`pixelkin train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    bands_option,
    device_option,
    json_option,
    nodata_option,
    open_all,
    overwrite_option,
    print_json,
    progress_bar,
    require_absent,
    require_folder,
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
@bands_option
@nodata_option
@device_option
@overwrite_option
@json_option
def train_command(
    images: Sequence[str],
    out: str,
    checkpoint: str | None,
    bands: Any,
    nodata: float | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Learn a model from imagery, without labels.

    IMAGE is a raster, or a folder of them; dated images of one place are a series, whose dates teach what does not matter.
    More imagery is better: give all of it. A run that was stopped goes on when the same command is given again.
    Several processes or GPUs: torchrun --nproc-per-node N -m pixelkin train ...
    """
    from ..training import writes_files

    require_absent(out, overwrite=overwrite)
    require_folder(out)
    state = checkpoint or f"{out}.checkpoint"
    model = train_with_bar(open_all(images, bands, nodata), checkpoint=state, **options)
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
    """Train with a progress bar on stderr."""
    from ..training import train

    with progress_bar() as bar:
        return train(sources, progress=training_progress(bar), **options)


def training_progress(bar: Any) -> Callable[[TrainingProgress], None]:
    """A callback for `train` that moves a bar."""
    task = bar.add_task("training", total=None)

    def tell(told: TrainingProgress) -> None:
        bar.update(task, total=told.steps, completed=told.step, note=f"loss {told.loss:.2f}, {told.pairs_per_s:,.0f} pairs/s")

    return tell
