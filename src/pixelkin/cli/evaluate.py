"""`pixelkin evaluate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..errors import LabelError
from .options import in_options, json_option, label_arguments, label_options, overwrite_option, print_json

if TYPE_CHECKING:
    from ..segmentation import Segmentation
    from ..types import LabelledPixels


@click.command("evaluate")
@click.argument("map_file", metavar="MAP")
@click.option("--truth", "-t", required=True, type=click.Path(), help="Labels kept back: vectors, CSV, or a raster of class ids.")
@click.option("--ignore", multiple=True, metavar="CLASS", help="Class of the truth to leave out, name or id; may be given several times.")
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
    ignore: tuple[str, ...],
    figure: str | None,
    areas: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score a map against labels that were kept back.

    Prints accuracy, mean IoU, each class's IoU, and the confusion matrix: rows are the truth, columns the map. Pixels that the map
    leaves undecided count as wrong; those without data are left out and counted.
    """
    from ..files import require_outputs
    from ..labels import load_labels
    from ..maps import confusion_figure, estimate_areas, score, write_area_table
    from ..maps.areas import table_target
    from ..maps.figure import picture_target
    from ..raster import read_map
    from ..raster.inputs import files_of

    outputs = [*([picture_target(figure)] if figure else []), *([table_target(areas)] if areas else [])]
    require_outputs(outputs, inputs={"map": files_of(map_file), "truth": files_of(truth)}, overwrite=overwrite)
    segmentation, note = _with_undecided(read_map(map_file))
    # On the grid alone: where the map has no data is for `score` to judge, which knows an undecided pixel from one without data.
    loaded = load_labels(truth, segmentation.grid, **label_arguments(options))
    result = score(segmentation, loaded.labels, ignore=_ids(loaded.labels, ignore))
    result = replace(result, notes=tuple(map(in_options, (*note, *loaded.notes, *result.notes))))
    if figure:
        confusion_figure(result, figure, overwrite=overwrite)
    if areas:
        write_area_table(estimate_areas(segmentation, result), areas, overwrite=overwrite)
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(result.to_table())


def _with_undecided(segmentation: Segmentation) -> tuple[Segmentation, tuple[str, ...]]:
    """A map whose undecided pixels are valid. Without a confidence file these look like pixels without data."""
    if not segmentation.provenance.get("abstain") or segmentation.valid[segmentation.classes == 0].any():
        return segmentation, ()
    note = (
        "the map was made with --abstain and without --confidence, so its pixels of class 0 may be undecided or without data: "
        "all are taken as undecided."
    )
    return replace(segmentation, valid=np.ones_like(segmentation.valid)), (note,)


def _ids(labels: LabelledPixels, ignored: tuple[str, ...]) -> list[int]:
    """Ids of the classes of the truth that are named, by name or, where names are words, by id."""
    from ..labels.annotations import class_number

    found = []
    for text in ignored:
        number = class_number(text)
        entries = [entry for entry in labels.legend if entry.name == text or (number is not None and class_number(entry.name) == number)]
        if not entries and number is not None:
            entries = [entry for entry in labels.legend if entry.id == number and class_number(entry.name) is None]
        if not entries:
            raise LabelError(f"--ignore {text} is no class of the truth, expected one of {', '.join(map(repr, labels.legend.names))}.")
        found += [entry.id for entry in entries]
    return found
