"""`pixelkin evaluate`."""

from __future__ import annotations

from typing import Any

import click

from .options import json_option, label_options, overwrite_option, print_json


@click.command("evaluate")
@click.argument("map_file", metavar="MAP")
@click.option(
    "--truth", "-t", required=True, type=click.Path(), help="Labels kept back: vectors, CSV, or a raster of class ids (0 = unlabelled)."
)
@click.option("--ignore", type=int, multiple=True, help="Class id of the truth to leave out; may be given several times.")
@click.option("--figure", type=click.Path(dir_okay=False), help="Also draw the confusion matrix, .png.")
@click.option(
    "--areas",
    type=click.Path(dir_okay=False),
    help="Also estimate each class's area with a 95 % interval, .csv or .json; the truth must be a random sample.",
)
@label_options
@overwrite_option
@json_option
def evaluate_command(
    map_file: str,
    truth: str,
    ignore: tuple[int, ...],
    figure: str | None,
    areas: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score a map against labels that were kept back.

    Prints accuracy, mean IoU, each class's IoU, and the confusion matrix: rows are the truth, columns the map.
    """
    from ..files import require_outputs
    from ..labels import read_labels
    from ..maps import confusion_figure, estimate_areas, score, write_area_table
    from ..maps.areas import table_target
    from ..maps.figure import picture_target
    from ..raster import open_scene, read_map
    from ..raster.inputs import files_of
    from ..scene import Series

    outputs = [*([picture_target(figure)] if figure else []), *([table_target(areas)] if areas else [])]
    require_outputs(outputs, inputs={"map": files_of(map_file), "truth": files_of(truth)}, overwrite=overwrite)
    segmentation = read_map(map_file)
    scene = open_scene(map_file)
    assert not isinstance(scene, Series)
    labels = read_labels(
        truth,
        scene,
        class_property=options["class_property"],
        brush_px=options["brush"],
        overlap=options["overlap"],
        crs=options["labels_crs"],
    )
    result = score(segmentation, labels, ignore=ignore)
    if figure:
        confusion_figure(result, figure, overwrite=overwrite)
    if areas:
        write_area_table(estimate_areas(segmentation, result), areas, overwrite=overwrite)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(result.to_table())
