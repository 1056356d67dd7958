"""Options and habits that several commands share, declared once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..errors import InputError, RasterError
from ..scene import Scene, Series
from .words import Words

_Command = TypeVar("_Command", bound=Callable[..., Any])


backbone_option = click.option(
    "--backbone",
    metavar="NAME:FILE",
    help="Network of the pretrained features: one of timm with a file of weights, resnet18:weights.safetensors, or resnet18:cache for what timm has on this machine. Nothing is downloaded. Default: EfficientNet-Lite0, which comes along.",
)


def comma_separated(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    """The parts of a list with commas between."""
    return None if value is None else [part.strip() for part in value.split(",")]


class _NoData(click.ParamType[float | str]):
    """A number, or 'none' where every number is data."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if str(value).lower() == "none":
            return "none"
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is no number, expected one such as -9999, or none where every number is data.", param, ctx)


def image_options(command: _Command) -> _Command:
    """How to read an image; `reading` picks their values."""
    for option in (
        click.option(
            "--kind",
            type=click.Choice(["auto", "image", "alphaearth", "tessera", "generic"]),
            default="auto",
            show_default=True,
            help="Imagery, or ready-made embeddings of a product, or of any (generic); auto knows them by their layout.",
        ),
        click.option(
            "--missing",
            type=click.Choice(["drop", "fill"]),
            default="drop",
            show_default=True,
            help="A pixel that lacks some bands: no data, or mapped with the medians of these bands.",
        ),
        click.option(
            "--scale/--no-scale",
            default=True,
            show_default=True,
            help="Apply the scale and offset that files declare, or take numbers as they are stored.",
        ),
        click.option("--nodata", type=_NoData(), help="No-data value, instead of the file's own; none where every number is data."),
        click.option(
            "--bands",
            callback=comma_separated,
            metavar="LIST",
            help="Bands to use, names or numbers from 1 (a name that is a number counts first), e.g. red,green,blue,nir.",
        ),
    ):
        command = option(command)
    return command


def stack_options(command: _Command) -> _Command:
    """What stands beside the image."""
    for option in (
        click.option(
            "--radar", type=click.Choice(["auto", "power", "db"]), default="auto", show_default=True,
            help="What radar of --with holds (bands vv, vh, hh, hv): linear power is read in decibels, which auto knows by its numbers.",
        ),
        click.option("--terrain", type=click.Path(), metavar="FILE", help="Elevation to put beside IMAGE, with its slope and aspect."),
        click.option(
            "--with", "with_files", multiple=True, type=click.Path(), metavar="FILE",
            help="Another source of the same place to put beside IMAGE, on its grid: radar, elevation, an embedding. May be given again. --missing says what becomes of pixels that one of them lacks.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


_READING = ("bands", "nodata", "scale", "missing", "kind")


def reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `image_options` as keyword arguments of `open_scene`."""
    return {name: options[name] for name in _READING}


def chosen_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `image_options` that are not left as they are."""
    usual = {"bands": None, "nodata": None, "scale": True, "missing": "drop", "kind": "auto"}
    return {name: value for name, value in reading(options).items() if value != usual[name]}


def beside_reading(options: Mapping[str, Any]) -> dict[str, Any]:
    """All other options."""
    return {name: value for name, value in options.items() if name not in _READING}


device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True, help="Where to compute."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def _pairs(_: click.Context, __: click.Parameter, value: str | None) -> dict[int, str] | None:
    """'0=land,1=water' as a dictionary."""
    if value is None:
        return None
    pairs = [part.partition("=") for part in value.split(",")]
    if not all(re.fullmatch(r"\s*-?\d+\s*", number) and name.strip() for number, _, name in pairs):
        raise InputError(f"--names is {value!r}, expected numbers with names, such as 0=land,1=water.")
    return {int(number): name.strip() for number, _, name in pairs}


def _two(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 2 or not all(parts):
        raise InputError(f"--xy is {value!r}, expected the names of two columns, such as EAST,NORTH.")
    return parts[0], parts[1]


def label_options(command: _Command) -> _Command:
    """How to read a label file; `label_arguments` hands them on."""
    for option in (
        click.option("--xy", callback=_two, metavar="X,Y", help="Columns of a CSV that hold the coordinates. Default: x,y or lon,lat."),
        click.option("--names", callback=_pairs, metavar="0=NAME,1=NAME", help="Class names for numbers; a 0 that is named is a class."),
        click.option("--layer", metavar="NAME", help="Layer of a file of several, as FILE|layername=NAME does too."),
        click.option(
            "--outside",
            type=click.Choice(["error", "skip"]),
            default="error",
            show_default=True,
            help="Labels outside the image or on no data: refuse, or skip and count them.",
        ),
        click.option(
            "--overlap",
            type=click.Choice(["error", "last"]),
            default="error",
            show_default=True,
            help="Where classes overlap: refuse, or last wins.",
        ),
        click.option("--labels-crs", help="CRS of the labels, e.g. EPSG:4326, whatever their file says."),
        click.option("--brush", type=float, default=1.0, show_default=True, help="Width in pixels of lines and points that carry none."),
        click.option("--class-property", default="class", show_default=True, help="Property that names the class."),
    ):
        command = option(command)
    return command


def level_options(command: _Command) -> _Command:
    """A level of the classes, and the table that says what each belongs to."""
    for option in (
        click.option("--level", type=click.IntRange(min=1), help="Level of the classes, 1 = the highest. Default: the classes themselves."),
        click.option(
            "--legend",
            "legend_file",
            type=click.Path(dir_okay=False),
            help="CSV of classes and what each belongs to: id,name,parent,colour, or a column a level (CORINE, UKHab), or codes (EUNIS).",
        ),
    ):
        command = option(command)
    return command


def label_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """What `read_labels`, `load_labels` and `convert` take of `label_options`."""
    names = {"class_property": "class_property", "brush": "brush_px", "overlap": "overlap", "labels_crs": "crs"}
    return {argument: options[name] for name, argument in (names | {name: name for name in ("layer", "outside", "names", "xy")}).items()}


def run_options(command: _Command) -> _Command:
    """How much memory and how many threads or processes a run may take, and whether it goes on with one that was stopped."""
    for option in (
        click.option("--restart", is_flag=True, help="Start anew instead of going on with a run that was stopped."),
        click.option(
            "--scheduler",
            metavar="tcp://HOST:PORT",
            help="Compute on the Dask cluster of this scheduler, which sees IMAGE under the same path.",
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Compute in so many processes of a local Dask cluster, --memory each."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads. Default: one a core. The map does not depend on it."),
        click.option("--tile", type=int, help="Side of a tile in pixels, a multiple of 256. The map does not depend on it."),
        click.option("--memory", default="2GiB", show_default=True, help="Memory to stay within, for an image of any size."),
    ):
        command = option(command)
    return command


def training_options(command: _Command) -> _Command:
    """How to train."""
    for option in (
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random."),
        click.option("--steps", type=click.IntRange(min=1), help="Batches to learn from, instead of the preset's."),
        click.option("--preset", type=click.Choice(["fast", "paper"]), default="fast", show_default=True, help="Training recipe."),
        click.option(
            "--patch-size", type=int, default=13, show_default=True, help="Side of a patch in pixels: 13 for detail, 9 for coarse pixels."
        ),
    ):
        command = option(command)
    return command


def open_one(path: str, options: Mapping[str, Any]) -> Scene | Series:
    """The image, or the series in a folder, read as a command's options say."""
    from ..raster import open_scene

    return open_scene(path, **reading(options))


def open_all(paths: Sequence[str], options: Mapping[str, Any]) -> list[Scene | Series]:
    """Every image of files and folders. A folder whose images are no series of one place gives them one by one, files that are dates of one place a series; both are said."""
    from ..raster import open_scene
    from ..raster.bandset import band_sets

    how = reading(options)
    if all(Path(path).is_file() for path in paths) and band_sets(paths):
        return [open_scene(list(paths), **how)]
    sources: list[Scene | Series] = []
    for path in paths:
        try:
            sources.append(open_scene(path, **how))
        except RasterError as exc:
            if not Path(path).is_dir():
                raise
            files = sorted(file for file in Path(path).iterdir() if file.suffix.lower() in {".tif", ".tiff", ".vrt", ".jp2", ".img"})
            scenes = [open_scene(file, **how) for file in files]
            most = max((len(scene.bands) for scene in scenes), default=0)
            kept = [scene for scene in scenes if len(scene.bands) == most]
            if not kept:
                raise
            click.echo(f"pixelkin: {path} is not one series ({exc}) Its {len(kept)} images are taken one by one.", err=True)
            sources.extend(kept)
    return _in_series(sources)


def _in_series(sources: Sequence[Scene | Series]) -> list[Scene | Series]:
    """Dates of one place that were named one by one as one series, as the labelling page has them."""
    from ..raster import open_scene
    from ..raster.series import of_one_site

    scenes = [source for source in sources if not isinstance(source, Series)]
    joined: list[Scene | Series] = [source for source in sources if isinstance(source, Series)]
    for group in of_one_site(scenes):
        first, *more = (scenes[number] for number in group)
        if more:
            click.echo(f"pixelkin: {first.name} and {len(more)} more are dates of one place, and taken as one series.", err=True)
        joined.append(open_scene([first, *more]) if more else first)
    return joined


def in_options(note: str) -> str:
    """A note on labels in the words of the command that runs."""
    return Words(click.get_current_context().command).say(note, of_labels=True)


def print_notes(notes: Sequence[str]) -> None:
    """Notes on labels on stderr, a line each."""
    for note in notes:
        click.echo(f"pixelkin: {in_options(note)}", err=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, default=str))


class _Rate(ProgressColumn):
    """What the task says of itself: loss, rate."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("note", "")))


class _Lines(Progress):
    """For programs that run the command line: `progress: 42 %` on stderr, each time a whole percent is reached."""

    _said = -1

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """As the bar's."""
        super().update(task_id, **fields)
        task = self._tasks[task_id]
        share = int(task.percentage) if task.total else 0
        if share != self._said:
            self._said = share
            click.echo(f"progress: {share} % {task.description} {task.fields.get('note', '')}".rstrip(), err=True)


def progress_bar() -> Progress:
    """A bar on stderr with the share done, a note and the time left; silent where stderr is no terminal, but for PIXELKIN_PROGRESS=lines."""
    if os.environ.get("PIXELKIN_PROGRESS") == "lines":
        return _Lines(disable=True)
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), _Rate(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
