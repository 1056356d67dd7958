"""`pixelkin report`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .evaluate import at_that_level, called, level_of, sample_points
from .options import label_arguments, label_options, level_options, overwrite_option, print_notes, progress_bar

if TYPE_CHECKING:
    from ..scene import Scene
    from ..types import LabelledPixels


@click.command("report")
@click.argument("source", metavar="PROJECT_OR_MAP")
@click.option(
    "--out",
    "-o",
    type=click.Path(dir_okay=False),
    help="Page to write, .html, or .pdf through a browser. Default: beside the map or project, .html.",
)
@click.option(
    "--truth", "-t", type=click.Path(), help="Points of `pixelkin sample` with their true class. Default: those answered in the project."
)
@click.option("--labels", "-l", "label_file", type=click.Path(), help="The marks that the map was made from.")
@click.option("--image", type=click.Path(), help="The image, to be drawn with marks, map and confidence.")
@click.option("--scene", "scene_id", metavar="NAME", help="Image of a project. Default: the one with most marks.")
@click.option("--title", help="Heading. Default: the map's name.")
@label_options
@level_options
@overwrite_option
def report_command(
    source: str,
    out: str | None,
    truth: str | None,
    label_file: str | None,
    image: str | None,
    scene_id: str | None,
    title: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Write one page: image, marks, map, legend, sample design, accuracy, areas, provenance and method.

    It needs no other file and no network. Of a project of the labelling page it maps one image, and takes the marks and the answered sample points of
    the project.
    """
    from ..assessment import evaluate, read_reference
    from ..assessment.report import report_target, write_report
    from ..files import require_outputs
    from ..labels import load_labels
    from ..labels.classes import rename_classes
    from ..labels.files import named
    from ..maps.accuracy import with_undecided
    from ..raster import open_scene, read_map
    from ..raster.inputs import files_of
    from ..scene import Series
    from ..session.project import is_project

    of_project = is_project(source)
    target = report_target(out or Path(source).with_suffix(".html"))
    inputs = {
        "truth": files_of(truth),
        "labels": files_of(label_file),
        "image": files_of(image),
        "legend": files_of(options["legend_file"]),
    }
    require_outputs([target], inputs=inputs | ({} if of_project else {"map": files_of(source)}), overwrite=overwrite)
    if of_project and (label_file or image):
        raise InputError(f"--{'labels' if label_file else 'image'} is for a map, and {source} is a project with its own. Leave it out.")
    if scene_id is not None and not of_project:
        raise InputError(f"--scene {scene_id} is for a project, and {source} is a map. Leave it out.")
    if options["legend_file"] and not options["level"]:
        raise InputError(f"--legend {options['legend_file']} says what classes belong to, expected --level too. Say which level.")
    with _from_project(source, scene_id, options) if of_project else _of_map(source) as found:
        segmentation, notes = with_undecided(read_map(found.map))
        segmentation, renamed, said = level_of(str(found.map), segmentation, options)
        print_notes([*notes, *said])
        evaluation, design = None, ""
        truth = truth or found.truth
        if truth is not None:
            layer = sample_points(truth, options)
            if layer is None:
                raise InputError(
                    f"--truth {truth} holds no points of `pixelkin sample`, expected such, as others give no intervals. Draw some."
                )
            with named(Path(truth)):
                reference = read_reference(layer, segmentation.grid, class_property=options["class_property"])
            evaluation = evaluate(segmentation, at_that_level(reference, renamed))
            design = str(layer.features[0].properties["design"])
        labels, scene = found.labels, found.scene
        if label_file is not None:
            loaded = load_labels(label_file, segmentation.grid, **label_arguments(options))
            print_notes(loaded.notes)
            labels = loaded.labels
        if image is not None:
            opened = open_scene(image)
            if isinstance(opened, Series):
                raise InputError(f"--image {image} is a series, expected the one image that was mapped. Name its file.")
            scene = opened
        labels = None if labels is None else rename_classes(labels, called(labels.legend.names, renamed))
        written = write_report(
            segmentation,
            target,
            title=title or found.name,
            evaluation=evaluation,
            design=design,
            labels=labels,
            scene=scene,
            overwrite=overwrite,
        )
    click.echo(written)


@dataclass(frozen=True)
class _Found:
    """What a report is of."""

    name: str
    map: Path
    scene: Scene | None = None
    labels: LabelledPixels | None = None
    truth: str | None = None


@contextmanager
def _of_map(source: str) -> Iterator[_Found]:
    yield _Found(Path(source).stem, Path(source))


@contextmanager
def _from_project(folder: str, scene_id: str | None, options: dict[str, Any]) -> Iterator[_Found]:
    """One image of a project: its map as the page shows it, its marks, and the sample that was answered last, if any."""
    from ..labels import read_class_table
    from ..session.labels import LabelState
    from ..session.mapping import segment_project
    from ..session.project import Project
    from ..session.validation import Validation

    project = Project.open(folder)
    validation = None
    try:
        state = LabelState(project.scenes)
        state.absorb(project.store.read_all())
        chosen = scene_id or next(iter(state.labelled_scenes()), next(iter(project.scenes)))
        scene = project.scene(chosen)
        validation = Validation(project, state)
        with tempfile.TemporaryDirectory() as aside, progress_bar() as bar:
            task = bar.add_task("mapping", total=1)
            segment_project(
                folder,
                aside,
                scenes=[chosen],
                formats=["cog", "confidence"],
                progress=lambda done, note: bar.update(task, completed=done, note=note),
                table=read_class_table(options["legend_file"]) if options["legend_file"] else None,
                level=options["level"],
            )
            answered = [sample for sample in validation.samples() if validation.is_answered(sample.id, chosen)]
            truth = None if not answered else str(validation.export(answered[-1].id, Path(aside) / "points.gpkg"))
            yield _Found(f"{project.name}, {scene.name}", Path(aside) / f"{chosen}.tif", scene, state.labelled_pixels(chosen), truth)
    finally:
        if validation is not None:
            validation.close()
        project.close()
