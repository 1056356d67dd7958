"""`pixelkin report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import InputError
from .evaluate import level_of, sample_points
from .options import label_arguments, label_options, level_options, overwrite_option, print_notes


@click.command("report")
@click.argument("map_file", metavar="MAP")
@click.option("--out", "-o", type=click.Path(dir_okay=False), help="Page to write. Default: MAP with the suffix .html.")
@click.option("--truth", "-t", type=click.Path(), help="Points of `pixelkin sample` with their true class.")
@click.option("--labels", "-l", "label_file", type=click.Path(), help="The marks that the map was made from, to be counted.")
@click.option("--title", help="Heading. Default: the map's name.")
@label_options
@level_options
@overwrite_option
def report_command(
    map_file: str, out: str | None, truth: str | None, label_file: str | None, title: str | None, overwrite: bool, **options: Any
) -> None:
    """Write one HTML page: map, legend, marks, sample design, accuracy, areas, provenance and method.

    It needs no other file and no network; a browser prints it to PDF.
    """
    from ..assessment import evaluate, read_reference
    from ..assessment.report import report_target, write_report
    from ..files import require_outputs
    from ..labels import load_labels
    from ..labels.classes import rename_classes
    from ..labels.files import named
    from ..maps.accuracy import with_undecided
    from ..raster import read_map
    from ..raster.inputs import files_of

    target = report_target(out or Path(map_file).with_suffix(".html"))
    inputs = {"map": files_of(map_file), "truth": files_of(truth), "labels": files_of(label_file)}
    require_outputs([target], inputs=inputs, overwrite=overwrite)
    segmentation, notes = with_undecided(read_map(map_file))
    segmentation, renamed, said = level_of(map_file, segmentation, options)
    print_notes([*notes, *said])
    evaluation, design = None, ""
    if truth is not None:
        layer = sample_points(truth, options)
        if layer is None:
            raise InputError(
                f"--truth {truth} holds no points of `pixelkin sample`, expected such, as others give no intervals. Draw some."
            )
        with named(Path(truth)):
            reference = read_reference(layer, segmentation.grid, class_property=options["class_property"])
        evaluation = evaluate(segmentation, replace(reference, classes=tuple(renamed.get(name, name) for name in reference.classes)))
        design = str(layer.features[0].properties["design"])
    marks = None
    if label_file is not None:
        loaded = load_labels(label_file, segmentation.grid, **label_arguments(options))
        print_notes(loaded.notes)
        marks = rename_classes(loaded.labels, renamed)
    title = title or Path(map_file).stem
    click.echo(write_report(segmentation, target, title=title, evaluation=evaluation, design=design, labels=marks, overwrite=overwrite))
