"""`pixelkin labels`."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from .groups import SuggestingGroup
from .options import image_options, json_option, label_arguments, label_options, open_one, overwrite_option, print_json, print_notes


@click.group("labels", cls=SuggestingGroup)
def labels_command() -> None:
    """Convert and check label files."""


@labels_command.command("convert")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--scene", type=click.Path(), help="Image that the labels belong to: writes the pixels they mark. Needed to make a raster of shapes."
)
@image_options
@label_options
@overwrite_option
def convert_command(source: str, target: str, scene: str | None, overwrite: bool, **options: Any) -> None:
    """Labels from one format to another, without losing a mark.

    Formats by suffix: .geojson, .gpkg, .shp, .csv (x, y, class), .tif (class ids).
    """
    from ..labels import convert
    from ..scene import Series

    image = None if scene is None else open_one(scene, options)
    if isinstance(image, Series):
        image = image.scenes[0]
    path = convert(source, target, scene=image, overwrite=overwrite, **label_arguments(options))
    click.echo(path)


@labels_command.command("check")
@click.argument("source", metavar="LABELS")
@click.option("--scene", required=True, type=click.Path(), help="Image that the labels belong to.")
@image_options
@label_options
@json_option
def check_command(source: str, scene: str, as_json: bool, **options: Any) -> None:
    """Say how many pixels of an image each class marks, or what is wrong."""
    from ..labels import load_labels
    from ..scene import Series

    image = open_one(scene, options)
    if isinstance(image, Series):
        image = image.scenes[0]
    loaded = load_labels(source, image, **label_arguments(options))
    labels = loaded.labels
    print_notes(loaded.notes)
    counts = {entry.name: int(np.count_nonzero(labels.classes == entry.id)) for entry in labels.legend}
    if as_json:
        print_json(counts)
        return
    width = max(map(len, counts))
    for name, count in counts.items():
        click.echo(f"{name:<{width}}  {count:>8,} pixels")
