"""Several sources of features side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch

from ..errors import InputError, ModelError
from ..model import Model
from ..scene import HeldScene, Scene, read_padded
from ..types import Window
from .backbone import BackboneFeatures, PhotographFeatures, is_installed
from .bands import RAW, BandFeatures, band_values
from .embeddings import EmbeddingFeatures, embedding_bands
from .encoder import EncoderFeatures
from .source import Columns, FeatureSource, Fields, grown
from .timm_backbone import TimmFeatures, load_backbone


def _encoder(model: Model | None) -> FeatureSource:
    if model is None:
        raise InputError("features name 'encoder' and there is no model, expected one. Give the model, or leave 'encoder' out.")
    return EncoderFeatures(model)


SOURCES: dict[str, Callable[[Model | None], FeatureSource]] = {
    "encoder": _encoder,
    "bands": BandFeatures,
    "pretrained": BackboneFeatures,
    "embedding": lambda _: EmbeddingFeatures(),
}
"""What makes each source, by the name that users give it."""


def vector_sources(scene: Scene) -> list[str]:
    """The sources that suit an image that holds ready-made vectors, and no encoder; none where it holds no such."""
    vectors = embedding_bands(scene)
    return ["embedding", *(["bands"] if len(vectors) < len(scene.bands) else [])] if vectors else []


def stack_of(
    model: Model | None, features: Sequence[str | FeatureSource] | None = None, *, pretrained: bool = True, backbone: str | None = None
) -> FeatureStack:
    """The sources that a user asks for.

    Args:
        model: The encoder, None without one.
        features: Names out of `SOURCES`, or sources; default 'encoder', where there is a model, 'bands', and 'pretrained', where it is wanted and its
            network is installed.
        pretrained: Whether the default has them: what decides may have no use for them.
        backbone: The network of the pretrained features; None for the packaged one. See `timm_backbone.load_backbone`, whose errors this raises.

    Raises:
        InputError: A name that is not known, or one that comes twice; a backbone where there are no pretrained features.
    """
    wanted = list(features) if features is not None else ["bands"] if model is None else ["encoder", "bands"]
    if features is None and pretrained and (backbone is not None or is_installed()):
        wanted.append("pretrained")
    unknown = [name for name in wanted if isinstance(name, str) and name not in SOURCES]
    if unknown or not wanted:
        found = repr(unknown[0]) if unknown else "empty"
        raise InputError(f"features is {found}, expected some of {', '.join(map(repr, SOURCES))}.")
    made = dict(SOURCES)
    if backbone is not None:
        if "pretrained" not in wanted:
            raise InputError(
                f"backbone is {backbone!r}, and the map would stand on {', '.join(map(str, wanted))} alone, expected pretrained features, which are for method='auto' "
                "and for finding what is similar. Leave it out, or name 'pretrained' among the features."
            )
        network = load_backbone(backbone)
        made["pretrained"] = lambda model: TimmFeatures(model, network)
    return FeatureStack([made[source](model) if isinstance(source, str) else source for source in wanted], model)


class FeatureStack:
    """Some sources as one: their columns side by side, those of the bands last."""

    def __init__(self, sources: Sequence[FeatureSource], model: Model | None = None) -> None:
        """Put sources together.

        Args:
            sources: At least one.
            model: By whose statistics the bands that guide the smoothing are standardised; None leaves them as they are.

        Raises:
            InputError: A source comes twice.
        """
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise InputError(f"features are {names}, expected each once.")
        self.sources = tuple(sorted(sources, key=lambda source: {"bands": 1, "pretrained": 2}.get(source.name, 0)))
        self.model = model

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, in the order of their columns."""
        return tuple(source.name for source in self.sources)

    @property
    def hash(self) -> str:
        """Of what decides the numbers that every image gets: the model's hash, or 'raw', where no other source has a say.

        Pretrained features, which not every image gets, are told by their columns.
        """
        asked = [source for source in self.sources if source.name != "pretrained"] or self.sources
        if [source.name for source in asked] in (["encoder", "bands"], ["bands"]) and (len(asked) == 2 or asked[0].hash == RAW):
            return asked[0].hash
        return hashlib.sha256(repr([(source.name, source.hash) for source in asked]).encode()).hexdigest()

    def key(self, scene: Scene) -> str:
        """Of everything that decides the numbers of an image, beside the image."""
        return repr([(source.name, source.hash) for source in self._suiting(scene)])

    @property
    def halo(self) -> int:
        """Pixels around a pixel that have a say in its features."""
        return max(source.halo for source in self.sources)

    @property
    def device(self) -> torch.device:
        """Where features are."""
        return self.sources[0].device

    @property
    def pretrained(self) -> PhotographFeatures | None:
        """The source that a network trained on other images is behind; None without one."""
        return next((source for source in self.sources if isinstance(source, PhotographFeatures)), None)

    def bands(self, scene: Scene) -> tuple[str, ...]:
        """The model's bands, or all of the image; ModelError where the image lacks them."""
        if self.model is None:
            return scene.bands
        self.model.band_index(scene)
        return self.model.bands

    def columns(self, scene: Scene) -> Columns:
        """What the columns are for such an image; ModelError where it has not got the bands that a source needs."""
        return Columns(tuple(source.group(scene) for source in self._suiting(scene)))

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """Features of a window, which may reach past the image, valid where all sources are; see `FeatureSource.fields`."""
        sources = self._suiting(scene)
        held = scene if len(sources) == 1 else _held(scene, grown(window, max(source.halo for source in sources)))
        parts = [source.fields(held, window, step) for source in sources]
        bands = next((part.bands for part in reversed(parts) if part.bands is not None), None)
        if bands is None:
            bands = band_values(self.model, scene, read_padded(scene, window))
        guide = None
        if self.model is None:
            vectors = embedding_bands(scene)
            measured = [i for i, band in enumerate(scene.bands) if band not in vectors] if vectors else []
            # Beside ready-made vectors, what a sensor measured has the edges.
            guide = bands[measured] if measured else None
            if guide is None and "bands" not in self.names:
                guide = next((part.guide for part in parts if part.guide is not None), None)
        return Fields(
            torch.cat([part.features.to(self.device) for part in parts]) if len(parts) > 1 else parts[0].features,
            reduce(np.logical_and, [part.valid for part in parts]),
            bands,
            guide,
            next((part.embedding for part in parts if part.embedding is not None), None),
        )

    def _suiting(self, scene: Scene) -> tuple[FeatureSource, ...]:
        """The sources that an image gets: the packaged network is left out where it has not got its bands, unless there are no others; one that was asked for is not."""
        left = tuple(source for source in self.sources if not isinstance(source, BackboneFeatures) or source.suits(scene))
        return left or self.sources

    def require_same(self, expected: str, what: str) -> None:
        """Refuse what was made with other features.

        Raises:
            ModelError: With both hashes.
        """
        if expected == self.hash:
            return
        if self.hash == RAW:
            raise ModelError(f"{what} was made with model {expected[:12]}, this Segmenter has none. Give it that model.")
        raise ModelError(f"{what} was made with model {expected[:12]}, this is model {self.hash[:12]}. Load the model it was made with.")


def _held(scene: Scene, window: Window) -> Scene:
    """An image with the part of a window that is on it, and what its reflection needs, at hand."""
    grid = scene.grid
    top, left = max(0, window.row), max(0, window.col)
    bottom, right = min(grid.height, window.row + window.height), min(grid.width, window.col + window.width)
    if top >= bottom or left >= right:
        return scene
    inner = Window(top, left, bottom - top, right - left)
    return HeldScene(scene, inner, scene.read(inner))
