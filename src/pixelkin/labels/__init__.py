"""Labels: what a user drew, in files and on pixels.

`Annotations` hold shapes without loss; `rasterize` says which pixels of a grid they mark. `read_labels` does both.
"""

from .annotations import Annotation, Annotations
from .classes import match_classes
from .files import LoadedLabels, load_labels, read_annotations, read_labels
from .levels import TableClass, read_class_table, with_levels
from .rasterize import LabelOverlap, find_overlaps, rasterize, to_annotations
from .writing import convert, write_annotations, write_labels

__all__ = [
    "Annotation",
    "Annotations",
    "LabelOverlap",
    "LoadedLabels",
    "TableClass",
    "convert",
    "find_overlaps",
    "load_labels",
    "match_classes",
    "rasterize",
    "read_annotations",
    "read_class_table",
    "read_labels",
    "to_annotations",
    "with_levels",
    "write_annotations",
    "write_labels",
]
