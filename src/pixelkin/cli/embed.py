"""`pixelkin embed`."""

from __future__ import annotations

from typing import Any

import click

from .options import beside_reading, image_options, json_option, open_one, overwrite_option, print_json, progress_bar


@click.command("embed")
@click.argument("image", metavar="IMAGE")
@click.option("--model", "-m", "model_file", required=True, type=click.Path(), help="Model of `pixelkin train`.")
@click.option("--out", "-o", required=True, type=click.Path(), help="Archive to make, .zarr; for a series, a folder of them.")
@click.option("--dtype", type=click.Choice(["int8", "float16"]), default="int8", show_default=True, help="How numbers are kept.")
@click.option("--memory", default="2GiB", show_default=True, help="Memory to stay within.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads. Default: two.")
@click.option("--restart", is_flag=True, help="Start anew instead of going on with a run that was stopped.")
@image_options
@overwrite_option
@json_option
def embed_command(image: str, model_file: str, out: str, restart: bool, as_json: bool, **options: Any) -> None:
    """Keep an image's embeddings in Zarr, to map it from labels again and again without the imagery. A series gives a folder, an archive a date."""
    from ..files import require_outputs
    from ..model import load_model
    from ..scale.archive import embed

    require_outputs([], folders=[out], inputs={"model": [model_file]}, overwrite=True)
    with progress_bar() as bar:
        task = bar.add_task("embedding", total=None)
        path = embed(
            open_one(image, options), load_model(model_file), out, resume=not restart,
            progress=lambda told: bar.update(task, total=told.tiles, completed=told.tiles_done, note=told.name), **beside_reading(options),
        )  # fmt: skip
    if as_json:
        print_json({"written": [str(path)]})
    else:
        click.echo(path)
