"""Images from a STAC catalog or API, and maps as a STAC collection of their own.

Items of one day are mosaicked on one grid by odc-stac, across UTM zones where a CRS is given. A cloud mask comes from an asset of the items: Sentinel-2's
scene classification (SCL), or any raster in which some values mean usable.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import RasterioError

from pixelkin.errors import InputError, MissingExtraError, OutputError, RasterError
from pixelkin.files import require_writable
from pixelkin.scene import Scene, Series, as_scenes

from .layers import LAYERS, layer_path
from .mapfile import LEGEND_TAG, stored_tags
from .mosaic import require_one_crs
from .reader import crs_text, open_dataset
from .sentinel2 import Scaling
from .xarray import open_xarray

try:
    import odc.stac
    import pystac
    import pystac_client
    from pystac.extensions.classification import Classification, ClassificationExtension
    from pystac.extensions.projection import ProjectionExtension

    from .stac_scale import item_scalings
except ImportError as exc:
    raise MissingExtraError("pystac-client and odc-stac", extra="stac", purpose="a STAC catalog") from exc

SCL_USABLE = (4, 5, 6, 7, 11)
"""Sentinel-2 scene classes that show the ground: vegetation, bare soil, water, unclassified, snow. Others are cloud, shadow or no data."""

Bounds = tuple[float, float, float, float]


def search(
    catalog: str, *, collections: Sequence[str] | None = None, bbox: Bounds | None = None, datetime: str | None = None
) -> list[pystac.Item]:
    """Items of a STAC API, or of a static catalog, which is walked.

    Args:
        catalog: URL or path of the API's landing page or of catalog.json.
        collections: Their ids; default all.
        bbox: West, south, east, north in degrees.
        datetime: A day, or an interval such as '2020-01-01/2020-12-31'; '..' leaves an end open.

    Returns:
        Items in order of time.

    Raises:
        InputError: The interval cannot be read.
        RasterError: The catalog cannot be read, or has no item there.
    """
    interval = _interval(datetime)
    try:
        with warnings.catch_warnings():
            # That a static catalog has to be walked is what is asked here.
            warnings.simplefilter("ignore", pystac_client.warnings.PystacClientWarning)
            client = pystac_client.Client.open(catalog)
            if client.conforms_to("ITEM_SEARCH"):
                asked = client.search(collections=list(collections) if collections else None, bbox=bbox, datetime=datetime)
                found = list(asked.items())
            else:
                found = [item for item in client.get_items(recursive=True) if _matches(item, collections, bbox, interval)]
    except (pystac_client.exceptions.APIError, pystac.STACError, OSError, ValueError, KeyError) as exc:
        raise RasterError(f"{catalog} cannot be read as a STAC catalog or API ({exc}). Check the address.") from exc
    if not found:
        raise RasterError(
            f"{catalog} has no item of collections {list(collections or ['any'])} in {bbox or 'any place'} at {datetime or 'any time'}. "
            "Widen --collections, --bbox or --datetime."
        )
    return sorted(found, key=lambda item: (_when(item), item.id))


def open_stac(
    catalog: str | Sequence[pystac.Item],
    *,
    collections: Sequence[str] | None = None,
    bbox: Bounds | None = None,
    datetime: str | None = None,
    bands: Sequence[str] | None = None,
    mask: str | None = None,
    usable: Sequence[int] = SCL_USABLE,
    crs: str | None = None,
    resolution: float | None = None,
    nodata: float | str | None = None,
    scale: bool = True,
    chunk: int = 2048,
) -> Series:
    """Images from STAC as a lazy series, one a day; pixels are fetched window by window.

    Args:
        catalog: URL or path of a STAC API or static catalog, or items found before with `search`.
        collections: As in `search`.
        bbox: As in `search`; also cuts the images.
        datetime: As in `search`.
        bands: Names of assets or bands; default those that all items have, without the mask.
        mask: Asset that says which pixels are usable, such as 'scl'.
        usable: Values of the mask asset that mean usable.
        crs: CRS of the result; needed where items lie in several.
        resolution: Pixel size in units of the CRS; default the items' own.
        nodata: No-data value; default the items' own, else 0 outside their footprints; 'none' where every number is data.
        scale: Apply the scale and offset that items declare, and the offset of Sentinel-2 products since baseline 04.00 where it is still in the numbers.
        chunk: Side in pixels of what one read fetches at most.

    Raises:
        RasterError: Nothing was found, the items lie in several CRS and none was chosen, or items of one day are on different scales.
    """
    items = search(catalog, collections=collections, bbox=bbox, datetime=datetime) if isinstance(catalog, str) else list(catalog)
    systems = sorted({system for item in items if (system := _crs_of(item)) is not None})
    if crs is None:
        require_one_crs("the items", systems)
    if bands is None:
        bands = _image_assets(items, mask)
    wanted = [*bands, *([mask] if mask and mask not in bands else [])]
    if resolution is None and crs is not None and crs not in systems and systems:
        resolution = _resolution(items[0])
    options: dict[str, Any] = {} if nodata is None or isinstance(nodata, str) else {"nodata": nodata}
    load: Callable[..., Any] = partial(
        odc.stac.load, bands=wanted, chunks={"x": chunk, "y": chunk}, groupby="solar_day",
        resampling={mask: "nearest", "*": "bilinear"} if mask else "bilinear", fail_on_error=True, **options,
    )  # fmt: skip
    loaded = load(items, bbox=bbox, crs=crs, resolution=resolution)
    encodings: dict[tuple[Scaling, ...], list[pystac.Item]] = {}
    for item in items:
        encodings.setdefault(item_scalings(item, bands) if scale else ((1.0, 0.0),) * len(bands), []).append(item)
    scenes: list[Scene] = []
    for scalings, alike in encodings.items():
        # Numbers of several encodings must not be resampled together.
        part = loaded if len(encodings) == 1 else load(alike, geobox=loaded.odc.geobox)
        valid = part[mask].isin(list(usable)) if mask else None
        layers = part[list(bands)]
        for band, (factor, offset) in zip(bands, scalings, strict=True):
            layers[band].attrs |= {"scale_factor": factor, "add_offset": offset}
        fill = nodata if nodata is not None else _fill(part, bands)
        scenes += as_scenes(open_xarray(layers, nodata=fill, valid=valid, scale=scale))
    days = [scene.date for scene in scenes]
    if twice := [day for day in days if days.count(day) > 1]:
        raise RasterError(
            f"the items of {twice[0]} store their numbers in several ways ({', '.join(_encoding_names(encodings))}), expected one scale and offset a day. "
            "Leave some of them out, or take numbers as they are stored with scale=False."
        )
    return Series(tuple(scenes))


def _encoding_names(encodings: Mapping[tuple[Scaling, ...], Sequence[pystac.Item]]) -> list[str]:
    return [f"{items[0].id}: {scalings[0][0]:g} and {scalings[0][1]:g}" for scalings, items in encodings.items()]


def write_collection(
    maps: Mapping[Path, dt.date | None],
    folder: str | Path,
    *,
    collection: str,
    description: str = "Maps made by pixelkin from a few labelled pixels.",
    sources: Mapping[Path, Sequence[str]] | None = None,
    license: str = "other",
    overwrite: bool = False,
) -> Path:
    """Describe maps by a static STAC collection: one item a map, classes by the classification extension, links to what it was made of.

    Args:
        maps: Maps written by `write_map`, `MapWriter` or `scale.segment`, and their dates; they stay where they are.
        folder: Folder to make, for collection.json and the items.
        collection: Id of the collection.
        description: For readers.
        sources: Addresses of the items or files that each map was made from; linked as 'derived_from'.
        license: SPDX name of the maps' licence.
        overwrite: Replace a folder that is there.

    Returns:
        Path of collection.json.

    Raises:
        OutputError: The folder is there, or cannot be written.
        RasterError: A file is no map of ours.
    """
    folder = Path(folder)
    require_collection(folder, overwrite=overwrite)
    items = [_item(path, date, (sources or {}).get(path, ())) for path, date in maps.items()]
    if not items:
        raise InputError("there is no map to describe, expected at least one.")
    made = pystac.Collection(collection, description, _extent(items), license=license)
    made.add_items(items)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
            draft = Path(name) / folder.name
            made.normalize_hrefs(str(folder.absolute()))
            for asset_owner in items:
                asset_owner.make_asset_hrefs_relative()
            made.catalog_type = pystac.CatalogType.SELF_CONTAINED
            made.save(catalog_type=pystac.CatalogType.SELF_CONTAINED, dest_href=str(draft))
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
    except OSError as exc:
        raise OutputError(f"{folder} cannot be written: {exc.strerror or exc}. Free some space or choose another folder.") from exc
    return folder / "collection.json"


def require_collection(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that a collection cannot take; only a collection is ever replaced by one.

    Raises:
        OutputError: It is there and overwrite is False, or holds something else; the folder above is not there.
    """
    require_writable(folder, overwrite=overwrite, folder=True)
    if folder.exists() and not (folder / "collection.json").is_file():
        raise OutputError(f"{folder} is no STAC collection, and only such a one is replaced by one. Choose another folder.")


def _item(path: Path, date: dt.date | None, sources: Sequence[str]) -> pystac.Item:
    from rasterio.warp import transform_bounds

    with open_dataset(str(path)) as dataset:
        tags = dataset.tags()
        if LEGEND_TAG not in tags:
            raise RasterError(f"{path} is not a map that pixelkin wrote, expected the tag {LEGEND_TAG}. Describe maps of ours only.")
        if dataset.crs is None:
            raise RasterError(f"{path} has no CRS, so STAC cannot say where it lies. Set one with: rio edit-info --crs EPSG:n FILE")
        try:
            west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        except RasterioError as exc:
            raise RasterError(
                f"{path} is in a CRS from which no transformation leads to WGS 84, as STAC asks ({exc}). Warp it first."
            ) from exc
        crs, shape, transform = crs_text(dataset.crs), [dataset.height, dataset.width], list(dataset.transform)[:6]
    legend, provenance = stored_tags(path, tags)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    when = dt.datetime.combine(date, dt.time(), dt.UTC) if date is not None else dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    item = pystac.Item(
        path.stem,
        {"type": "Polygon", "coordinates": [ring]},
        [west, south, east, north],
        when,
        {"processing:software": {}, "pixelkin": provenance},
    )
    item.properties["processing:software"] = {key: provenance[key] for key in ("pixelkin", "torch") if key in provenance}
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.apply(code=crs if crs and crs.startswith("EPSG:") else None, shape=shape, transform=transform)
    if crs and not crs.startswith("EPSG:"):
        projection.wkt2 = crs
    cog = "image/tiff; application=geotiff; profile=cloud-optimized"
    item.add_asset("classes", pystac.Asset(str(path.absolute()), title="Class of each pixel", media_type=cog, roles=["data"]))
    ClassificationExtension.ext(item.assets["classes"], add_if_missing=True).classes = [
        Classification.create(0, name="no_data", title="No data", description="No data, or undecided", nodata=True),
        *(
            Classification.create(
                e.id, name=_machine(e.name), title=e.name, description=e.name, color_hint="{:02X}{:02X}{:02X}".format(*e.color)
            )
            for e in legend
        ),
    ]
    for name, layer in LAYERS.items():
        if layer_path(path, name).exists():
            title = f"{layer.text[0].upper()}{layer.text[1:]}"
            item.add_asset(name, pystac.Asset(str(layer_path(path, name).absolute()), title=title, media_type=cog, roles=["data"]))
    for source in sources:
        item.add_link(pystac.Link("derived_from", source))
    return item


def _machine(name: str) -> str:
    """The classification extension allows letters, digits, hyphens and underscores in names."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_") or "class"


def _extent(items: list[pystac.Item]) -> pystac.Extent:
    boxes = np.array([item.bbox for item in items])
    box = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    times = [item.datetime for item in items if item.datetime is not None]
    return pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[min(times), max(times)]]))


def _matches(
    item: pystac.Item, collections: Sequence[str] | None, bbox: Bounds | None, interval: tuple[dt.datetime | None, dt.datetime | None]
) -> bool:
    if collections and item.collection_id not in collections:
        return False
    if bbox is not None and item.bbox is not None:
        west, south, east, north = (
            item.bbox[0],
            item.bbox[1],
            item.bbox[-2 if len(item.bbox) == 4 else 3],
            item.bbox[-1 if len(item.bbox) == 4 else 4],
        )
        if west > bbox[2] or east < bbox[0] or south > bbox[3] or north < bbox[1]:
            return False
    start, end = interval
    when = _when(item)
    return (start is None or when >= start) and (end is None or when <= end)


def _when(item: pystac.Item) -> dt.datetime:
    when = item.datetime or item.common_metadata.start_datetime
    if when is None:
        raise RasterError(f"STAC item {item.id} has no date, expected datetime or start_datetime. Leave the item out.")
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


def _interval(text: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    if text is None:
        return None, None
    first, _, last = text.partition("/")
    try:
        start = None if first == ".." else _moment(first)
        end = (None if last == ".." else _moment(last)) if last else start
    except ValueError as exc:
        raise InputError(f"datetime is {text!r}, expected a day or an interval such as '2020-01-01/2020-12-31'. Correct it.") from exc
    # An end that is a day means all of it.
    if end is not None and len(last or first) == 10:
        end += dt.timedelta(days=1, microseconds=-1)
    return start, end


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _crs_of(item: pystac.Item) -> str | None:
    if item.properties.get("proj:code"):
        return str(item.properties["proj:code"])
    return f"EPSG:{item.properties['proj:epsg']}" if item.properties.get("proj:epsg") else None


def _resolution(item: pystac.Item) -> float | None:
    for place in (item.properties, *(asset.extra_fields for asset in item.assets.values())):
        if place.get("proj:transform"):
            return abs(float(place["proj:transform"][0]))
    return None


def _image_assets(items: list[pystac.Item], mask: str | None) -> list[str]:
    """Assets that all items have and that hold data, in the first one's order."""

    def holds_data(asset: pystac.Asset) -> bool:
        return "tiff" in (asset.media_type or "") and not {"thumbnail", "overview", "metadata"} & set(asset.roles or [])

    names = [name for name, asset in items[0].assets.items() if name != mask and holds_data(asset)]
    common = [name for name in names if all(name in item.assets for item in items)]
    if not common:
        raise RasterError(f"the items have no image asset in common, {items[0].id} has {list(items[0].assets)}. Name assets with bands=.")
    return common


def _fill(loaded: Any, bands: Sequence[str]) -> float | None:
    """What odc-stac puts where no item has data: the assets' no-data value, else NaN for floats and 0 for the rest."""
    layer = loaded[bands[0]]
    if layer.dtype.kind == "f":
        return None
    return float(layer.attrs.get("nodata", 0) or 0)
