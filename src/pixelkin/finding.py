"""Find all like this: from one marked pixel or polygon to a similarity layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .decision.likeness import require_threshold
from .errors import InputError, LabelError
from .features import FeatureSource
from .inputs import Image, Labels, as_labels, as_scene
from .model import Model
from .scene import Series
from .segmentation import Segmentation
from .segmenter import Measure, Segmenter
from .types import LabelledPixels, Legend


def similar(
    scene: Image | Series,
    model: Model | None,
    labels: Labels,
    *,
    threshold: float | None = None,
    class_name: str | None = None,
    features: Sequence[str | FeatureSource] | None = None,
    backbone: str | None = None,
    measure: Measure | None = None,
) -> Segmentation | list[Segmentation]:
    """How like some marked pixels every pixel of an image, or of every date of a series, is.

    The similarity of a pixel is the share of the pairs of pixels of the image that are less alike than it and the mark nearest to it; see `pixelkin.decision.likeness`.

    Args:
        scene: The image that was marked, or a series of which the first date was.
        model: Encoder and critics; None goes by the bands, by pretrained features, or by the image's ready-made embedding.
        labels: Marked pixels of one class, one is enough.
        threshold: As for `finder_of`.
        class_name: The class whose marks count; needed where there are several.
        features: As for `finder_of`.
        backbone: As for a Segmenter.
        measure: As for `finder_of`.

    Returns:
        A Segmentation, or a list of one a date: its confidence is the similarity in [0, 1], its class is that of the marks where this reaches the threshold, else 0.

    Raises:
        LabelError: There is no label, or there are several classes and none is named.
        InputError: The threshold is no similarity.
    """
    finder = finder_of(model, threshold=threshold, features=features, backbone=backbone, measure=measure)
    marked = scene.scenes[0] if isinstance(scene, Series) else as_scene(scene)
    finder.fit(marked, of_class(as_labels(labels, marked), class_name))
    return finder.predict(scene)


def finder_of(
    model: Model | None,
    *,
    threshold: float | None = None,
    features: Sequence[str | FeatureSource] | None = None,
    backbone: str | None = None,
    measure: Measure | None = None,
    workers: int | None = None,
) -> Segmenter:
    """A Segmenter that finds what is like the marks of one class, for other images and large ones: `pixelkin.scale.segment` takes it as any other.

    Args:
        model: Encoder and critics, or None.
        threshold: Similarity in (0, 1] from which on a pixel is of the class; default the image's own, see `pixelkin.decision.likeness`.
        features: What is compared: names out of `pixelkin.features.SOURCES`; default the measure where there is a model, else as for a Segmenter.
        backbone: As for a Segmenter.
        measure: 'local' (the default with a model) or 'global' mutual information, or 'l1'.
        workers: Threads; default one a core.
    """
    if threshold is not None:
        require_threshold(threshold)
    if features is not None and measure is not None:
        raise InputError(f"measure={measure!r} compares without features, expected one of the two. Leave out features=... or measure=...")
    return Segmenter(
        model, method="similar", measure=measure, features=features, backbone=backbone, abstain=threshold or 0.0, workers=workers
    )


def of_class(labels: LabelledPixels, class_name: str | None) -> LabelledPixels:
    """Labels of one class: the one that is named, or the only one.

    Raises:
        LabelError: There are several and none is named, or none of that name.
    """
    present = [entry for entry in labels.legend if (labels.classes == entry.id).any()]
    names = [entry.name for entry in present]
    if class_name is None and len(names) > 1:
        raise LabelError(
            f"the labels are of {len(names)} classes, {', '.join(map(repr, names))}, expected one. Choose it with class_name={names[0]!r}."
        )
    if class_name is not None and class_name not in names:
        raise LabelError(
            f"class_name is {class_name!r}, expected one that is labelled: {', '.join(map(repr, names)) or 'there are no labels'}."
        )
    kept = [entry for entry in present if class_name in (None, entry.name)]
    if not kept:
        return labels
    return replace(labels.take(labels.classes == kept[0].id), legend=Legend((kept[0],)))
