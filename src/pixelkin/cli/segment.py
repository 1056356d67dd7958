"""`pixelkin segment`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import InputError, MissingExtraError
from .mapping import beside_the_map, cluster, require
from .options import (
    backbone_option,
    device_option,
    image_options,
    json_option,
    label_options,
    level_options,
    overwrite_option,
    print_json,
    progress_bar,
    run_options,
    stack_options,
    training_options,
)
from .segment_inputs import backbone_files, features_of, in_levels, model_of, open_image, read_marks, require_backbone
from .train import model_target

if TYPE_CHECKING:
    from ..scene import Scene, Series
    from ..segmenter import Segmenter

# Blocks of each image that are compared with what the labelled image shows: enough for a share, little beside the map.
_LOOKED_AT = 4
_LAYERS = ("confidence", "probabilities", "entropy", "margin")
_STAC = ("collections", "bbox", "datetime", "mask_asset")
_OF_PROJECTS = ("out", "confidence", "polygons", "areas", "overwrite", "legend_file", "level")


@click.command("segment")
@click.argument("image", metavar="[IMAGE]", required=False)
@click.option("--stac", metavar="URL", help="STAC API or catalog to take the images from, instead of IMAGE.")
@click.option("--collections", metavar="LIST", help="STAC collections, separated by commas.")
@click.option("--bbox", metavar="W,S,E,N", help="Box in degrees: what to search, and to map.")
@click.option("--datetime", metavar="FROM/TO", help="Dates to search, such as 2020-06-01/2020-08-31.")
@click.option("--mask-asset", metavar="NAME", help="Asset that says which pixels are usable, such as scl: cloud and shadow are no data.")
@click.option("--mosaic", is_flag=True, help="IMAGE is a folder of images of different sites: join them into one, or one a day.")
@click.option("--crs", help="CRS to map in, where the images of --stac or --mosaic lie in several.")
@click.option("--resolution", type=float, help="Pixel size in units of the CRS. Default: the images' own.")
@click.option("--labels", "-l", "label_file", type=click.Path(), help="Marked pixels: GeoJSON, GeoPackage, Shapefile, CSV, label raster.")
@click.option("--out", "-o", required=True, type=click.Path(), help="Map to write, .tif; for a series or a project, a folder.")
@click.option(
    "--model",
    "-m",
    "model_file",
    type=click.Path(),
    help="Model of `pixelkin train`. Default: none where pretrained features decide, which is on single images; else train one on IMAGE and keep it beside OUT.",
)
@click.option("--raw", is_flag=True, help="Decide by the bands as they are, with no model and nothing pretrained.")
@click.option(
    "--features",
    metavar="NAME,...",
    help="What is known of a pixel: some of encoder, bands, pretrained. Default: bands, pretrained where the image has the bands of a photograph, and the encoder where there is a model.",
)
@backbone_option
@click.option(
    "--method",
    type=click.Choice(["auto", "nearest", "vote", "logistic"]),
    help="How labels decide. Default: auto; nearest where a measure is named.",
)
@click.option(
    "--measure", type=click.Choice(["local", "global", "l1"]), help="How the nearest label is found. Default: local; l1 with --raw."
)
@click.option("--abstain", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Pixels of less confidence get class 0.")
@click.option(
    "--label-transfer/--no-label-transfer",
    default=True,
    show_default=True,
    help="Map other dates of a site from the features of its marked pixels on those dates, unless they changed.",
)
@click.option(
    "--priors",
    type=click.Choice(["image", "equal"]),
    default="image",
    show_default=True,
    help="How common classes are taken to be: as the image shows, or all alike, for images that are to fit together at their edges.",
)
@click.option("--labels-date", metavar="YYYY-MM-DD", help="The date of a series that the labels were drawn on. Default: its first.")
@click.option("--references", "reference_file", type=click.Path(), help="References saved elsewhere, instead of or besides --labels.")
@click.option("--save-references", type=click.Path(dir_okay=False), help="Keep what was learned of the labels, for other dates and images.")
@click.option("--confidence", is_flag=True, help="Also write OUT's confidence, OUT_confidence.tif.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="Also write how likely each class is, a band a class of whole numbers from 0 to 250, OUT_probabilities.tif.",
)
@click.option("--entropy", is_flag=True, help="Also write the entropy of the probabilities, from 0 (sure) to 1, OUT_entropy.tif.")
@click.option("--margin", is_flag=True, help="Also write by how much the likeliest class is likelier than the next, OUT_margin.tif.")
@click.option(
    "--polygons",
    type=click.Path(dir_okay=False),
    help="Also outline the classes, .gpkg or .geojson; of a series a file a date, of a project one an image.",
)
@click.option(
    "--areas",
    type=click.Path(dir_okay=False),
    help="Also write the area of each class, .csv or .json; of a series one table of all dates, of a project one an image.",
)
@click.option(
    "--picture", type=click.Path(dir_okay=False), help="Also draw image, marks, map and confidence, .png; of a series a file a date."
)
@click.option("--chart", type=click.Path(dir_okay=False), help="Also draw the areas of a series over time, .png.")
@run_options
@training_options
@label_options
@level_options
@image_options
@stack_options
@device_option
@overwrite_option
@json_option
def segment_command(image: str | None, out: str, as_json: bool, **options: Any) -> None:
    """Map an image or a series from a few labels.

    IMAGE is a raster, a folder of dates, a folder of tiles with --mosaic, an archive of `pixelkin embed`, or a project of the labelling page; or the images come from
    STAC. Marks on one date map all dates. A run that was stopped goes on when the same command is given again, and ends with
    the same bits.
    """
    from ..session.project import is_project

    if (image is None) == (options["stac"] is None):
        raise InputError("expected either IMAGE or --stac URL, got " + ("neither." if image is None else "both."))
    if image is not None and not options["mosaic"] and (options["crs"] or options["resolution"]):
        raise InputError(
            "--crs and --resolution are for --stac or --mosaic, one image was given. Warp it with gdalwarp, or leave them out."
        )
    if image is None and (options["with_files"] or options["terrain"]):
        raise InputError("--with and --terrain put files beside IMAGE, and --stac gives a series. Leave them out.")
    context = click.get_current_context()
    given = [name for name in options if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    lost = [name for name in given if name in _STAC]
    if image is not None and lost:
        raise InputError(f"{_option(context, lost[0])} is for --stac, and an image was given. Leave it out.")
    if image is not None and is_project(image):
        lost = [name for name in given if name not in _OF_PROJECTS]
        if lost:
            raise InputError(
                f"{_option(context, lost[0])} is for an image, and {image} is a project with labels and settings of its own. Leave it out."
            )
        written = _segment_project(image, out, options)
    elif image is not None:
        written = _segment(open_image(image, options), out, options)
    else:
        written = _segment_stac(out, options)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(path)


def _option(context: click.Context, name: str) -> str:
    """What the user calls a parameter."""
    return next(str(parameter.opts[0]) for parameter in context.command.params if parameter.name == name)


def _segment(source: Scene | Series, out: str, options: dict[str, Any]) -> list[Path]:
    from ..coverage import with_limit
    from ..scale import segment
    from ..scale.run import outputs_of
    from ..segmenter import Segmenter

    overwrite = options["overwrite"]
    if options["label_file"] is None and options["reference_file"] is None:
        raise InputError(
            "there is nothing to map from, expected --labels FILE or --references FILE. Mark some pixels: pixelkin serve IMAGE"
        )
    inputs = _inputs(source, options)
    files = {kind: options[kind] for kind in ("polygons", "areas", "picture", "chart")}
    files["layers"] = [name for name in _LAYERS if options[name]]
    outputs = outputs_of(source, out, **files)
    beside = [model_target(options["save_references"])] if options["save_references"] else []
    require(source, outputs, options, inputs, beside)
    labels, labelled = read_marks(source, options)
    require_backbone(labelled, options)
    labels = None if labels is None else dataclasses.replace(labels, legend=in_levels(labels.legend, options))
    references = None
    if options["reference_file"]:
        from ..features import References

        references = References.load(options["reference_file"])
        references = dataclasses.replace(references, legend=in_levels(references.legend, options))
    model = model_of(source, out, options, inputs, references)
    segmenter = Segmenter(
        model(),
        method=options["method"],
        measure=options["measure"],
        features=features_of(options),
        backbone=options["backbone"],
        abstain=options["abstain"],
        label_transfer=options["label_transfer"],
        priors=options["priors"],
        workers=options["threads"],
    )
    if references is not None:
        segmenter.references = references
    if labels is not None:
        segmenter.add(labelled, labels)
    with progress_bar() as bar, cluster(options) as client:
        task = bar.add_task("mapping", total=None)
        path = segment(
            source, segmenter, out, **files, labels={} if labels is None else {labelled.fingerprint: labels},
            level=options["level"], memory=options["memory"], tile=options["tile"], workers=options["threads"], client=client, overwrite=overwrite, resume=not options["restart"],
            progress=lambda told: bar.update(task, total=told.tiles, completed=told.tiles_done, note=told.name),
        )  # fmt: skip
    written = []
    if options["save_references"]:
        kept = segmenter.references if labels is None else with_limit(segmenter, labelled, blocks=_LOOKED_AT)
        written.append(kept.save(options["save_references"], overwrite=overwrite))
    written.append(path)
    _warn_of_foreign_ground(segmenter, labelled if labels is not None else None, source)
    return [*written, *beside_the_map(source, outputs)]


def _inputs(source: Scene | Series, options: dict[str, Any]) -> dict[str, list[str]]:
    """Files that are read, by the word for them."""
    from ..raster.inputs import files_of

    named = {"labels": "label_file", "legend": "legend_file", "model": "model_file", "references": "reference_file"}
    return {
        "image": files_of(source),
        **{word: files_of(options[name]) for word, name in named.items()},
        "backbone": backbone_files(options),
    }


def _warn_of_foreign_ground(segmenter: Segmenter, labelled: Scene | None, source: Scene | Series) -> None:
    """Say which images lie outside of what the references cover; see `pixelkin.coverage`."""
    from ..coverage import measure_coverage
    from ..scene import as_scenes

    others = [scene for scene in as_scenes(source) if labelled is None or scene.fingerprint != labelled.fingerprint]
    if not others or (segmenter.needs_limit and labelled is None and segmenter.references.limit is None):
        return
    for found in measure_coverage(segmenter, labelled, others, blocks=_LOOKED_AT):
        if found.warning:
            click.echo(f"pixelkin: {found.warning}", err=True)


def _segment_stac(out: str, options: dict[str, Any]) -> list[Path]:
    try:
        from ..products import map_names
        from ..raster.stac import open_stac, require_collection, search, write_collection
    except ImportError as exc:
        raise MissingExtraError(exc.name or "pystac-client", extra="stac", purpose="--stac") from exc

    names = [name.strip() for name in (options["collections"] or "").split(",") if name.strip()] or None
    items = search(options["stac"], collections=names, bbox=_box(options["bbox"]), datetime=options["datetime"])
    series = open_stac(
        items, bbox=_box(options["bbox"]), bands=options["bands"], mask=options["mask_asset"], crs=options["crs"],
        resolution=options["resolution"], nodata=options["nodata"], scale=options["scale"],
    )  # fmt: skip
    if Path(out).is_dir():
        require_collection(Path(out) / "stac", overwrite=options["overwrite"])
    written = _segment(series, out, options)
    maps = dict(zip(map_names(series, Path(out)), series.dates, strict=True))
    sources = {path: [item.self_href for item in items if item.datetime and item.datetime.date() == date] for path, date in maps.items()}
    catalog = write_collection(maps, Path(out) / "stac", collection=Path(out).name, sources=sources, overwrite=options["overwrite"])
    return [*written, catalog]


def _segment_project(image: str, out: str, options: dict[str, Any]) -> list[Path]:
    from ..labels import read_class_table
    from ..products import Outputs
    from ..session.jobs import Format
    from ..session.mapping import segment_project

    formats: list[Format] = ["cog", "confidence"] if options["confidence"] else ["cog"]
    polygons, areas = (Path(options[name]) if options[name] else None for name in ("polygons", "areas"))
    with progress_bar() as bar:
        task = bar.add_task("mapping", total=1)
        return segment_project(
            image,
            out,
            formats=formats,
            overwrite=options["overwrite"],
            progress=lambda done, note: bar.update(task, completed=done, note=note),
            warn=_warn,
            beside=Outputs(polygons=polygons, areas=areas),
            table=read_class_table(options["legend_file"]) if options["legend_file"] else None,
            level=options["level"],
        )


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(f"pixelkin: {warning}", err=True)


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as exc:
        raise InputError(f"--bbox is {text!r}, expected four numbers: west,south,east,north in degrees.") from exc
    return west, south, east, north
