"""Sample points in files. Every point carries its design, so that no program on the way can part the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LabelError
from ..files import require_suffix
from ..labels import Annotation, Annotations, write_annotations
from ..labels.annotations import class_text
from ..labels.layers import RawFeature, RawLayer
from ..labels.rasterize import shapes_in_pixels
from ..types import AnyArray, Grid, IntArray, LabelledPixels, Legend, LegendClass
from .design import SampleDesign
from .estimators import Sample

COLUMNS = ("inclusion", "stratum", "cluster", "unit_area", "drawn", "units", "stratum_area", "design")
_SUFFIXES = (".gpkg", ".geojson", ".json", ".csv")
UNLABELLED = "?"
"""The class of a point that nobody has labelled yet: no file format here has points without a class."""
UNSURE = "unsure"
"""The class of a point that somebody looked at and could not tell."""
_BY_CLASSES = "stratified by map class"
"""How the design of a sample begins whose strata are the classes of the map that it was drawn for."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Sample points whose true class is known."""

    sample: Sample
    classes: tuple[str, ...]
    """True class of each point."""
    rows: IntArray
    """Of each point on the map's grid."""
    cols: IntArray
    area: float
    """Of the whole population, in the units of `Sample.areas`."""
    strata_names: tuple[str, ...]
    clustered: bool
    notes: tuple[str, ...]

    @classmethod
    def from_design(cls, design: SampleDesign, classes: Sequence[str]) -> Reference:
        """The points of a design whose true classes the program knows, as in a simulation."""
        clustered = design.kind == "clusters"
        drawn = np.array([stratum.drawn for stratum in design.strata])
        units = np.array([stratum.units for stratum in design.strata])
        seen = np.zeros(len(units)) if clustered else drawn / units
        sample = Sample(1 / design.inclusion, design.stratum, design.cluster, design.unit_area, seen)
        area = math.fsum(stratum.area for stratum in design.strata)
        return cls(sample, tuple(classes), design.rows, design.cols, area, tuple(s.name for s in design.strata), clustered, ())


def write_sample(design: SampleDesign, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the points of a design: GeoPackage, GeoJSON or CSV.

    Each point has an empty class ('?') to be filled in, and columns that say how it was drawn.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    path = sample_target(path)
    legend = Legend((LegendClass(1, UNLABELLED, (128, 128, 128)),))
    features = []
    for i, point in enumerate(design.points):
        stratum = design.strata[int(design.stratum[i])]
        properties = {
            "point": i + 1,
            "inclusion": float(design.inclusion[i]),
            "stratum": stratum.name,
            "cluster": int(design.cluster[i]) + 1,
            "unit_area": float(design.unit_area[i]),
            "drawn": stratum.drawn,
            "units": stratum.units,
            "stratum_area": stratum.area,
            "design": f"{_BY_CLASSES if design.by_classes else design.kind}; seed {design.seed}; {len(design)} points; {design.assumptions}",
        }
        features.append(Annotation(point, UNLABELLED, properties=properties))
    return write_annotations(Annotations(tuple(features), design.grid.crs, legend), path, overwrite=overwrite)


def sample_target(path: str | Path) -> Path:
    """The path, where sample points can be written to it; OutputError where its suffix says otherwise."""
    return require_suffix(Path(path), _SUFFIXES, "sample points")


def is_sample(layer: RawLayer) -> bool:
    """True where the features of a label file are points of a design."""
    return bool(layer.features) and all(name in layer.features[0].properties for name in COLUMNS)


def read_reference(layer: RawLayer, grid: Grid, *, class_property: str = "class") -> Reference:
    """Labelled points of a design, on the grid of a map.

    Points that nobody labelled, or that are 'unsure', are left out with a word: their stratum is then known by the others.

    Args:
        layer: As `pixelkin.labels.files.read_layer` gives it.
        grid: Of the map.
        class_property: Property that holds the true class.

    Raises:
        LabelError: No labelled point, a stratum without one, points of several designs, or a point outside the map.
    """
    features = layer.features
    designs = {str(feature.properties["design"]) for feature in features}
    if len(designs) > 1:
        raise LabelError(
            f"its points come from {len(designs)} designs ({'; '.join(sorted(designs)[:2])}), expected one. Evaluate them one by one."
        )
    texts = [class_text(feature.properties.get(class_property)) for feature in features]
    answered = [text is not None and text.strip().lower() not in (UNLABELLED, UNSURE) for text in texts]
    if not any(answered):
        raise LabelError(f"none of its {len(features)} sample points has a {class_property}, expected true classes. Label them first.")
    names = list(dict.fromkeys(str(feature.properties["stratum"]) for feature in features))
    stratum = np.array([names.index(str(feature.properties["stratum"])) for feature in features])
    kept = np.flatnonzero(answered)
    lost = sorted(set(range(len(names))) - set(stratum[kept].tolist()))
    if lost:
        raise LabelError(f"stratum {names[lost[0]]!r} has no labelled point, expected at least 2. Label some of its points.")
    drawn, found, sample = sample_of(features, stratum, kept)
    notes = list(layer.notes)
    if len(kept) < len(features):
        notes.append(
            f"{len(features) - len(kept):,} of {len(features):,} sample points have no class and are left out: their strata are taken to be like the others."
        )
    if found < drawn:
        notes.append(f"{drawn} points or clusters were drawn and {found} are used.")
    rows, cols = _pixels(layer, grid, kept)
    area = math.fsum(_of_strata(features, "stratum_area", stratum))
    clustered = len(np.unique(sample.clusters)) < len(kept)
    return Reference(
        sample, tuple(str(texts[i]) for i in kept), rows, cols, area, tuple(names), clustered, tuple(notes),
    )  # fmt: skip


def is_by_classes(feature: RawFeature) -> bool:
    """True for a point whose stratum is a class of the map that the sample was drawn for."""
    return str(feature.properties["design"]).startswith(_BY_CLASSES)


def sample_of(features: Sequence[RawFeature], stratum: IntArray, kept: IntArray) -> tuple[int, int, Sample]:
    """Units (points or clusters) drawn and left of a design, and the sample that is left.

    Args:
        features: All its points.
        stratum: Of each, 0, 1, ...; strata of the design may be joined.
        kept: Index of the points that are left, at least one in each stratum.
    """

    def column(name: str) -> AnyArray:
        return np.array([float(feature.properties[name]) for feature in features])

    drawn, units = _of_strata(features, "drawn", stratum), _of_strata(features, "units", stratum)
    clusters = column("cluster").astype(np.int64)
    found = np.array([len(np.unique(clusters[kept][stratum[kept] == index])) for index in range(len(drawn))])
    # Points that are left out hand their weight to the others of their stratum.
    weights = (1 / column("inclusion") * (drawn / found)[stratum])[kept]
    # Of a cluster only a part was seen, so that the share of clusters says too much.
    seen = np.zeros(len(drawn)) if len(np.unique(clusters[kept])) < len(kept) else found / units
    return int(drawn.sum()), int(found.sum()), Sample(weights, stratum[kept], clusters[kept], column("unit_area")[kept], seen)


def _of_strata(features: Sequence[RawFeature], name: str, stratum: IntArray) -> AnyArray:
    """A number of each stratum of the design, summed up where strata are joined, shape (stratum,)."""
    totals = np.zeros(int(stratum.max()) + 1)
    _, first = np.unique([str(feature.properties["stratum"]) for feature in features], return_index=True)
    for i in first.tolist():
        totals[stratum[i]] += float(features[i].properties[name])
    return totals


def _pixels(layer: RawLayer, grid: Grid, kept: IntArray) -> tuple[IntArray, IntArray]:
    marks = _as_marks([layer.features[i] for i in kept.tolist()], layer.crs)
    rows, cols = _places(marks, grid)
    if (rows < 0).any():
        raise LabelError(
            f"{marks.describe(int(np.argmax(rows < 0)))} is no point of this map. Evaluate the map that the sample was drawn for."
        )
    return rows, cols


def pixels_of(features: Sequence[RawFeature], crs: str | None, grid: Grid) -> tuple[IntArray, IntArray]:
    """Row and column of each point on a grid, -1 for those outside; LabelError where its CRS cannot be reached."""
    return _places(_as_marks(features, crs), grid)


def without_marked(layer: RawLayer, grid: Grid, marks: LabelledPixels, class_property: str = "class") -> tuple[RawLayer, int]:
    """The points with those on marked pixels unlabelled, and how many these are."""
    rows, cols = pixels_of(layer.features, layer.crs, grid)
    marked = np.isin(rows * grid.width + cols, marks.rows * grid.width + marks.cols) & (rows >= 0)
    features = [
        replace(feature, properties={**feature.properties, class_property: UNLABELLED}) if lost else feature
        for feature, lost in zip(layer.features, marked.tolist(), strict=True)
    ]
    return replace(layer, features=features), int(marked.sum())


def _as_marks(features: Sequence[RawFeature], crs: str | None) -> Annotations:
    legend = Legend((LegendClass(1, UNLABELLED, (128, 128, 128)),))
    return Annotations(tuple(Annotation(feature.geometry, UNLABELLED) for feature in features), crs, legend)


def _places(marks: Annotations, grid: Grid) -> tuple[IntArray, IntArray]:
    shapes: Any = shapes_in_pixels(marks, grid)
    rows, cols = np.full(len(marks), -1), np.full(len(marks), -1)
    for i, shape in enumerate(shapes):
        if shape is not None and shape.geom_type == "Point":
            rows[i], cols[i] = int(np.floor(shape.y + 1e-6)), int(np.floor(shape.x + 1e-6))
    outside = (rows < 0) | (cols < 0) | (rows >= grid.height) | (cols >= grid.width)
    return np.where(outside, -1, rows), np.where(outside, -1, cols)
