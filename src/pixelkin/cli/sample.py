"""`pixelkin sample`."""

from __future__ import annotations

from typing import Any

import click

from ..errors import InputError
from .options import json_option, overwrite_option, print_json, print_notes


def _accuracies(_: click.Context, __: click.Parameter, value: str) -> float | dict[str, float]:
    """'0.8', or 'water=0.95,land=0.8'."""
    try:
        if "=" not in value:
            return float(value)
        pairs = [part.rpartition("=") for part in value.split(",")]
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError as exc:
        raise InputError(f"--expected is {value!r}, expected an accuracy such as 0.8, or one a stratum: water=0.95,land=0.8.") from exc


@click.command("sample")
@click.argument("map_file", metavar="MAP")
@click.option("--out", "-o", required=True, type=click.Path(dir_okay=False), help="Points to write, .gpkg, .geojson or .csv.")
@click.option("--n", type=click.IntRange(min=2), help="Points.")
@click.option("--target-se", type=float, help="Instead of --n: standard error of the overall accuracy to reach, such as 0.02.")
@click.option("--simple", is_flag=True, help="No strata: every pixel has the same chance.")
@click.option("--strata", type=click.Path(), help="Strata instead of the map's classes: a raster on its grid, or polygons with a class.")
@click.option(
    "--allocation",
    type=click.Choice(["proportional", "equal", "neyman"]),
    default="proportional",
    show_default=True,
    help="How points are shared out among strata.",
)
@click.option("--floor", type=click.IntRange(min=0), default=0, show_default=True, help="Points that each stratum gets at least.")
@click.option(
    "--expected",
    default="0.8",
    show_default=True,
    callback=_accuracies,
    metavar="ACCURACY",
    help="Accuracy expected, or one a stratum: water=0.95,land=0.8.",
)
@click.option("--cluster-px", type=click.IntRange(min=1), help="Draw clusters: blocks of this many pixels a side, then points in them.")
@click.option("--per-cluster", type=click.IntRange(min=1), default=10, show_default=True, help="Points in each block.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw.")
@overwrite_option
@json_option
def sample_command(map_file: str, out: str, overwrite: bool, as_json: bool, strata: str | None, **options: Any) -> None:
    """Draw the points at which to check a map.

    Every pixel has a known chance. Fill in the true class of each point without looking at the map; then `pixelkin evaluate MAP
    --truth POINTS` gives accuracy and areas with intervals. Each point carries how it was drawn.
    """
    from ..assessment import design_sample, write_sample
    from ..assessment.design import describe
    from ..assessment.samplefile import sample_target
    from ..files import require_outputs
    from ..labels import load_labels
    from ..maps.accuracy import with_undecided
    from ..raster import read_map
    from ..raster.inputs import files_of

    require_outputs([sample_target(out)], inputs={"map": files_of(map_file), "strata": files_of(strata)}, overwrite=overwrite)
    segmentation, notes = with_undecided(read_map(map_file))
    print_notes(notes)
    layer, names = None, None
    if strata is not None:
        loaded = load_labels(strata, segmentation.grid, overlap="last")
        layer = loaded.labels.to_mask(segmentation.grid.shape)
        names = {entry.id: entry.name for entry in loaded.labels.legend}
    design = design_sample(segmentation, strata=layer, names=names, **options)
    path = write_sample(design, out, overwrite=overwrite)
    if as_json:
        print_json(describe(design) | {"written": [str(path)]})
    else:
        click.echo(design.to_table())
        click.echo(path)
