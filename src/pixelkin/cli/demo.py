"""`pixelkin demo`."""

from __future__ import annotations

from pathlib import Path

import click

from .options import progress_bar
from .train import training_progress


@click.command("demo")
@click.option(
    "--out", "-o", type=click.Path(file_okay=False, path_type=Path), default="demo-out", show_default=True, help="Folder for what it makes."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the training.")
def demo_command(out: Path, seed: int) -> None:
    """Map the Great Salt Lake from some sixty marks: the two-minute tour.

    A Landsat 7 scene, an encoder trained on it without labels, five classes with about ten marks each; then a
    Cloud-Optimized GeoTIFF, polygons, an area table and a picture.
    """
    from ..demo import run_demo

    click.echo("Training on the scene, without labels (a minute or so on two cores) ...", err=True)
    with progress_bar() as bar:
        made = run_demo(out, seed=seed, progress=training_progress(bar))
    click.echo(made.areas.to_table())
    click.echo()
    for path in made.files:
        click.echo(path)
