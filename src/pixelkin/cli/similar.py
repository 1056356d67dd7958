"""`pixelkin similar`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .mapping import beside_the_map, cluster, require
from .options import (
    backbone_option,
    comma_separated,
    device_option,
    image_options,
    json_option,
    label_arguments,
    label_options,
    overwrite_option,
    print_json,
    progress_bar,
    run_options,
    stack_options,
)
from .segment_inputs import backbone_files, given_model, labelled_scene, open_image


@click.command("similar")
@click.argument("image", metavar="IMAGE")
@click.option(
    "--labels",
    "-l",
    "label_file",
    required=True,
    type=click.Path(),
    help="Marked pixels of one class, one is enough; formats as for segment.",
)
@click.option("--class", "class_name", metavar="NAME", help="The class whose marks count, where the file holds several.")
@click.option(
    "--out", "-o", required=True, type=click.Path(), help="Map to write, .tif; OUT_similarity.tif stands beside it. For a series, a folder."
)
@click.option(
    "--threshold", type=float, help="Similarity from which on a pixel is of the class. Default: where the image itself would cut."
)
@click.option("--model", "-m", "model_file", type=click.Path(), help="Model of `pixelkin train`, to compare by its mutual information.")
@click.option(
    "--features",
    callback=comma_separated,
    metavar="NAME,...",
    help="What is compared: some of encoder, bands, pretrained, embedding. Default: the measure where there is a model.",
)
@backbone_option
@click.option("--measure", type=click.Choice(["local", "global", "l1"]), help="Compare without features. Default: local with a model.")
@click.option("--labels-date", metavar="YYYY-MM-DD", help="The date of a series that the labels were drawn on. Default: its first.")
@click.option(
    "--polygons", type=click.Path(dir_okay=False), help="Also outline what was found, .gpkg or .geojson; of a series a file a date."
)
@click.option("--areas", type=click.Path(dir_okay=False), help="Also write its area, .csv or .json; of a series one table of all dates.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False),
    help="Also draw image, marks, what was found and similarity, .png; of a series a file a date.",
)
@click.option("--chart", type=click.Path(dir_okay=False), help="Also draw the area on the dates of a series, .png.")
@run_options
@label_options
@image_options
@stack_options
@device_option
@overwrite_option
@json_option
def similar_command(image: str, out: str, as_json: bool, **options: Any) -> None:
    """Find all like this: how like some marked pixels of one class every pixel of an image or a series is.

    OUT_similarity.tif is from 0 to 1: the share of the pairs of pixels of the image that are less alike than a pixel and the mark nearest to it. OUT holds the class
    where that reaches the threshold. IMAGE is a raster, a folder of dates, or an archive of `pixelkin embed`.
    """
    from ..finding import finder_of, of_class
    from ..labels import read_labels
    from ..raster import require_valid
    from ..raster.inputs import files_of
    from ..scale import segment
    from ..scale.run import outputs_of

    source = open_image(image, {**options, "mosaic": False})
    inputs = {
        "image": files_of(source),
        "labels": files_of(options["label_file"]),
        "model": files_of(options["model_file"]),
        "backbone": backbone_files(options),
    }
    files = {kind: options[kind] for kind in ("polygons", "areas", "picture", "chart")} | {"layers": ["similarity"]}
    outputs = outputs_of(source, out, **files)
    require(source, outputs, options, inputs, [])
    marked = labelled_scene(source, options)
    require_valid(marked)
    labels = of_class(read_labels(options["label_file"], marked, **label_arguments(options)), options["class_name"])
    model = given_model(source, options)
    if model is None and options["measure"] in ("local", "global"):
        raise InputError(f"--measure {options['measure']} needs a model, expected one. Give --model FILE, or leave --measure out.")
    finder = finder_of(
        model,
        threshold=options["threshold"],
        features=options["features"],
        backbone=options["backbone"],
        measure=options["measure"],
        workers=options["threads"],
    )
    finder.fit(marked, labels)
    with progress_bar() as bar, cluster(options) as client:
        task = bar.add_task("finding", total=None)
        path = segment(
            source, finder, out, **files, labels={marked.fingerprint: labels},
            memory=options["memory"], tile=options["tile"], workers=options["threads"], client=client, overwrite=options["overwrite"],
            resume=not options["restart"], progress=lambda told: bar.update(task, total=told.tiles, completed=told.tiles_done, note=told.name),
        )  # fmt: skip
    written = [Path(path), *beside_the_map(source, outputs)]
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(path)
