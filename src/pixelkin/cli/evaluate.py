"""`pixelkin evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..errors import InputError, LabelError
from .options import in_options, json_option, label_arguments, label_options, level_options, overwrite_option, print_json

if TYPE_CHECKING:
    from ..assessment.samplefile import Reference
    from ..labels import LoadedLabels
    from ..labels.layers import RawLayer
    from ..segmentation import Segmentation
    from ..types import LabelledPixels


_TOO_FEW_BLOCKS = "the truth lies in fewer than 5 blocks that are large enough, and far enough from the marks, to differ by themselves."


@click.command("evaluate")
@click.argument("map_files", metavar="MAP...", nargs=-1, required=True)
@click.option(
    "--truth",
    "-t",
    required=True,
    type=click.Path(),
    help="Labels kept back: points of `pixelkin sample` with their true class, other vectors, CSV, or a raster of class ids.",
)
@click.option("--ignore", multiple=True, metavar="CLASS", help="Class of the truth to leave out, name or id; may be given several times.")
@click.option("--figure", type=click.Path(dir_okay=False), help="Also draw the confusion matrix, .png.")
@click.option(
    "--areas",
    type=click.Path(dir_okay=False),
    help="Also estimate each class's area with a 95 % interval, .csv or .json; the truth must be a random sample.",
)
@click.option(
    "--marks",
    "marks_file",
    type=click.Path(),
    help="The marks that the map was made from: truth at or near them is no independent evidence, is counted and left out.",
)
@label_options
@level_options
@overwrite_option
@json_option
def evaluate_command(
    map_files: tuple[str, ...],
    truth: str,
    ignore: tuple[str, ...],
    figure: str | None,
    areas: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Score a map against labels that were kept back.

    Points of `pixelkin sample` give accuracies and areas of the whole map with 95 % intervals, by their design; several maps of one place
    are then compared at the same points. Other labels give the figures of their own pixels: accuracy, mean IoU, each class's IoU, and the
    confusion matrix; where that truth is polygons, lines or a raster, or --marks are given, also spatially blocked ones, with intervals in which
    a block of pixels is one observation. Pixels that a map leaves undecided count as wrong; those without data are left out and counted.
    """
    from ..files import require_outputs
    from ..maps.figure import picture_target
    from ..maps.tables import table_target
    from ..raster.inputs import files_of

    outputs = [*([picture_target(figure)] if figure else []), *([table_target(areas)] if areas else [])]
    inputs = {
        "map": files_of(map_files),
        "truth": files_of(truth),
        "legend": files_of(options["legend_file"]),
        "marks": files_of(options["marks_file"]),
    }
    require_outputs(outputs, inputs=inputs, overwrite=overwrite)
    sample = sample_points(truth, options)
    if sample is not None:
        printed = _by_design(map_files, sample, truth, figure, areas, overwrite, options)
    elif len(map_files) > 1:
        raise InputError(f"{len(map_files)} maps were given, expected one: several are compared at the points of `pixelkin sample` only.")
    else:
        printed = _by_count(map_files[0], truth, ignore, figure, areas, overwrite, options)
    if as_json:
        print_json(printed[0])
    else:
        click.echo(printed[1])


def _by_count(
    map_file: str, truth: str, ignore: tuple[str, ...], figure: str | None, areas: str | None, overwrite: bool, options: dict[str, Any]
) -> tuple[Any, str]:
    from ..assessment import score_blocked
    from ..labels import load_labels
    from ..labels.classes import rename_classes
    from ..maps import confusion_figure, estimate_areas, score, write_area_table
    from ..maps.accuracy import with_undecided
    from ..raster import read_map

    segmentation, note = with_undecided(read_map(map_file))
    segmentation, renamed, said = level_of(map_file, segmentation, options)
    # On the grid alone: where the map has no data is for `score` to judge, which knows an undecided pixel from one without data.
    loaded = load_labels(truth, segmentation.grid, **label_arguments(options))
    labels = rename_classes(loaded.labels, called(loaded.labels.legend.names, renamed))
    result = score(segmentation, labels, ignore=_ids(labels, ignore))
    marks = _marks(options, segmentation)
    dependent = _dependent(loaded, marks, segmentation)
    result = replace(result, notes=tuple(map(in_options, (*note, *said, *loaded.notes, *dependent, *result.notes))))
    document, text = result.to_json(), result.to_table()
    if dependent:
        blocked = score_blocked(segmentation, labels, ignore=_ids(labels, ignore), marks=marks)
        document["blocked"] = None if blocked is None else blocked.to_json()
        text += "\n\n" + (f"no spatially blocked figures: {_TOO_FEW_BLOCKS}" if blocked is None else blocked.to_table())
    if figure:
        confusion_figure(result, figure, overwrite=overwrite)
    if areas:
        write_area_table(estimate_areas(segmentation, result), areas, overwrite=overwrite)
    return document, text


def _marks(options: dict[str, Any], segmentation: Segmentation) -> LabelledPixels | None:
    """The marks that the map was made from."""
    from ..labels import load_labels

    file = options["marks_file"]
    return None if file is None else load_labels(file, segmentation.grid, overlap="last", outside="skip", brush_px=options["brush"]).labels


def level_of(map_file: str, segmentation: Segmentation, options: dict[str, Any]) -> tuple[Segmentation, dict[str, str], list[str]]:
    """The map at the level that is asked for, what classes of the truth are called there (see `called`), and what to say of it."""
    from ..labels import read_class_table, with_levels
    from ..labels.classes import plain_name
    from ..maps import at_level, names_at_level
    from ..maps.change import read_probabilities

    level, file = options["level"], options["legend_file"]
    if level is None:
        if file is not None:
            raise InputError(f"--legend {file} says what classes belong to, expected --level too. Say which level.")
        return segmentation, {}, []
    # In any spelling.
    renamed = {plain_name(entry.name): entry.name for entry in segmentation.legend}
    table = None if file is None else read_class_table(file)
    # The truth may have classes that the map has not.
    for row in table or ():
        group = row.parents[level - 1].name if len(row.parents) >= level else row.name
        renamed |= dict.fromkeys(map(plain_name, (row.name, *row.codes)), group)
    if segmentation.provenance.get("level") == str(level):
        return segmentation, renamed, []
    if table is not None:
        segmentation = replace(segmentation, legend=with_levels(segmentation.legend, table, file))
        if not any(entry.parents for entry in segmentation.legend):
            return segmentation, renamed, []  # a map of the highest level
    elif not any(entry.parents for entry in segmentation.legend):
        raise InputError(
            f"--level is {level}, and the classes of {Path(map_file).name} belong to nothing. Say what they belong to with --legend FILE."
        )
    probabilities = read_probabilities(Path(map_file), segmentation)
    said = []
    if probabilities is None:
        said.append(
            f"{Path(map_file).name} has no probabilities beside it, so each pixel counts as what its class belongs to; "
            "map with --probabilities, or with --level, so that they are summed."
        )
    abstain = float(segmentation.provenance.get("abstain", 0))
    renamed |= {plain_name(name): group for name, group in names_at_level(segmentation.legend, level).items()}
    return at_level(segmentation, level, probabilities, abstain=abstain), renamed, said


def called(names: Iterable[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """What classes of the truth are called at the level that `level_of` found."""
    from ..labels.classes import plain_name

    return {name: renamed.get(plain_name(name), name) for name in names}


def at_that_level(reference: Reference, renamed: Mapping[str, str]) -> Reference:
    """Sample points with the classes that `called` gives them."""
    names = called(reference.classes, renamed)
    return replace(reference, classes=tuple(names[name] for name in reference.classes))


def sample_points(truth: str, options: dict[str, Any]) -> RawLayer | None:
    """The points of a design, None where the truth is something else."""
    from ..assessment import is_sample
    from ..labels.files import named, read_layer
    from ..labels.label_raster import SUFFIXES
    from ..labels.project_labels import is_project_labels

    path = Path(truth.partition("|")[0])
    if path.suffix.lower() in SUFFIXES or is_project_labels(path):
        return None
    with named(path):
        layer = read_layer(truth, crs=options["labels_crs"], layer=options["layer"], xy=options["xy"])
    return layer if is_sample(layer) else None


def _by_design(
    map_files: tuple[str, ...], layer: RawLayer, truth: str, figure: str | None, areas: str | None, overwrite: bool, options: dict[str, Any]
) -> tuple[Any, str]:
    from ..assessment import compare, evaluate, read_reference
    from ..assessment.evaluation import write_areas
    from ..assessment.samplefile import without_marked
    from ..labels.files import named
    from ..maps import confusion_figure
    from ..maps.accuracy import with_undecided
    from ..raster import read_map

    found = []
    for map_file in map_files:
        segmentation, note = with_undecided(read_map(map_file))
        segmentation, renamed, said = level_of(map_file, segmentation, options)
        marks = _marks(options, segmentation)
        if marks is not None:
            layer, lost = without_marked(layer, segmentation.grid, marks, options["class_property"])
            said += (
                [f"{lost:,} sample points are marks that the map was made from, no independent evidence, and are left out."] if lost else []
            )
        with named(Path(truth)):
            reference = read_reference(layer, segmentation.grid, class_property=options["class_property"])
        reference = at_that_level(reference, renamed)
        result = evaluate(segmentation, reference)
        found.append((map_file, segmentation, reference, replace(result, notes=(*map(in_options, (*note, *said)), *result.notes))))
    document: dict[str, Any] = {name: result.to_json() for name, _, _, result in found}
    text = [result.to_table() if len(found) == 1 else f"{name}\n\n{result.to_table()}\n" for name, _, _, result in found]
    for name, segmentation, reference, result in found[1:]:
        first = found[0]
        gap, error = compare((first[1], first[3]), (segmentation, result), reference)["overall_accuracy"]
        gap_said = {"first": first[0], "second": name, "difference": gap, "standard_error": error, "half_95": 1.96 * error}
        document.setdefault("comparisons", []).append(gap_said)
        text.append(f"overall accuracy of {first[0]} less that of {name}, at the same points: {gap:+.3f} ± {1.96 * error:.3f}")
    if figure:
        confusion_figure(found[0][3].to_score(), figure, overwrite=overwrite)
    if areas:
        write_areas(found[0][3], areas, overwrite=overwrite)
    return (document[map_files[0]] if len(found) == 1 else document), "\n".join(text)


def _dependent(loaded: LoadedLabels, marks: LabelledPixels | None, segmentation: Segmentation) -> list[str]:
    """A word on truth whose pixels are no independent evidence."""
    said = []
    pixels = len(loaded.labels)
    if loaded.annotations is None:
        if pixels > 1:
            said.append(
                f"the truth is a raster of {pixels:,} pixels; neighbours are alike, so that they count for fewer: see the spatially blocked figures. "
                "Points of `pixelkin sample` say how sure a figure is."
            )
    elif any(feature.geometry.geom_type != "Point" for feature in loaded.annotations.features) and pixels > len(loaded.annotations):
        said.append(
            f"the {pixels:,} pixels come from {len(loaded.annotations):,} shapes; pixels of one shape are alike, so that they count for fewer: see the "
            "spatially blocked figures. Points of `pixelkin sample` say how sure a figure is."
        )
    if marks is not None:
        at = segmentation.grid.width * marks.rows + marks.cols
        shared = int(np.isin(segmentation.grid.width * loaded.labels.rows + loaded.labels.cols, at).sum())
        said.append(
            f"{shared:,} of {pixels:,} pixels of the truth are marks that the map was made from, and those near marks are alike: "
            "the spatially blocked figures leave both out."
        )
    return said


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
