"""The half of a Segmenter that is about labels: they come, go, and are held to what they may be."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import numpy as np

from .decision import Decision, Similar, SuspectLabel, TrainingSet, make_decision, require_classes
from .encoding import common_encoding, require_encoding
from .engine import BlockEngine
from .errors import ModelError, NotFittedError
from .features import FeatureStack, PhotographFeatures, References, stack_of, vector_sources
from .features.teaching import teaching
from .inputs import Image, Labels, as_labels, as_scene, pairs_of
from .model import Model
from .scene import Scene
from .types import BoolArray, LabelledPixels, UInt8Array


class Labelled:
    """Labels, added and removed, and the engine that asks them."""

    model: Model | None
    method: str
    abstain: float
    check_labels: bool
    _choices: dict[str, Any]
    """Arguments of `make_decision` but the features."""
    _has_default_features: bool
    _engine: BlockEngine
    _training: TrainingSet | None

    @property
    def features(self) -> FeatureStack:
        """What learners know of a pixel."""
        return self._engine.stack

    @property
    def engine(self) -> BlockEngine:
        """What runs the decision over images."""
        return self._engine

    @property
    def training(self) -> TrainingSet:
        """The labelled pixels as decisions get them; NotFittedError before labels."""
        return self._require_fitted()

    @property
    def workers(self) -> int:
        """Threads."""
        return self._engine.workers

    @workers.setter
    def workers(self, workers: int) -> None:
        self._engine.workers = workers

    def fit(self, scene: Image | Sequence[Image], labels: Labels | Sequence[Labels]) -> Self:
        """Collect references from labelled pixels, instead of those there were.

        Of a class with more than 32,768 labelled pixels on an image that many teach and keep their class, spread over it; the others are mapped like any pixel.

        Args:
            scene: The image that was labelled: a scene, an array (band, row, col) or a DataArray; or several, such as dates of a series.
            labels: At least one pixel of each of at least two classes (of one, for 'similar'), as labelled pixels or a mask of class ids (row, col) with 0 = not labelled; where there are
                several images, labels for each.

        Raises:
            LabelError: Labels outside the image, on no-data, or of fewer than two classes.
            ModelError: The scene's bands are not the model's.
        """
        scenes, parts = pairs_of(scene, labels)
        require_classes(parts, self._engine.decision.least_classes)
        common_encoding(scenes)
        self._look_at_vectors(vector_sources(scenes[0]))
        references = self._collect(scenes[0], parts[0])
        for other, more in zip(scenes[1:], parts[1:], strict=True):
            references = references.merge(self._collect(other, more))
        self._set(TrainingSet.of(references, self._training))
        return self

    def add(self, scene: Image, labels: Labels) -> Self:
        """More labelled pixels, of this scene or another. A pixel labelled before takes its new class."""
        if self._training is None:
            return self.fit(scene, labels)
        scene = as_scene(scene)
        self._set(self._training.with_more(self._collect(scene, as_labels(labels, scene))))
        return self

    def remove(self, scene: Image, rows: Iterable[int], cols: Iterable[int]) -> Self:
        """Forget labelled pixels of a scene.

        Raises:
            LabelError: A pixel was not labelled, or fewer classes would be left than the method needs.
        """
        least = self._engine.decision.least_classes
        self._set(self._require_fitted().without(as_scene(scene), rows, cols, least))
        return self

    @property
    def suspect_labels(self) -> tuple[SuspectLabel, ...]:
        """Labels that contradict others, as far as the labels let it be seen; always empty for the nearest reference and for 'similar'."""
        return self._engine.decision.suspects(self._require_fitted())

    def held_out(self, scenes: Sequence[Scene], held: BoolArray) -> UInt8Array:
        """What some labelled pixels would be taken for without them: by all that maps their image, but for smoothing.

        Args:
            scenes: The images that were labelled.
            held: (L,) which of the references are held out; the others must have all classes.

        Returns:
            Class id of each that is held out, in the order of `references`; 0 where its image is not among the scenes.

        Raises:
            InputError: The method is 'nearest', which keeps no features of them, or 'similar', which knows one class.
        """
        return self._engine.held_out(scenes, self._require_fitted().references, held)

    @property
    def classes_(self) -> UInt8Array:
        """Ids of the classes that are labelled, in legend order: those of `predict_proba`."""
        return np.array(self._require_fitted().ids, np.uint8)

    @property
    def pretrained(self) -> PhotographFeatures | None:
        """The source of pretrained features; None without them."""
        return self._engine.stack.pretrained

    @property
    def references(self) -> References:
        """What was learned of the labelled pixels; NotFittedError before labels."""
        return self._require_fitted().references

    @references.setter
    def references(self, references: References) -> None:
        """Use references saved from another image.

        Raises:
            ModelError: They were made with another model or other features.
        """
        names = [group.name for group in references.columns.groups]
        self._look_at_vectors(names if "embedding" in names else [])
        self._engine.stack.require_same(references.model_hash, "the references file")
        self._set(TrainingSet.of(self._suited(references), self._training))

    def finder(self, threshold: float | None = None) -> Self:
        """A Segmenter without labels that finds what is like those that it will get, by the same blocks in memory: what is embedded here is embedded there.

        Args:
            threshold: From which similarity on a pixel is of the class; None for the image's own, see `pixelkin.decision.likeness`.
        """
        twin = copy.copy(self)
        decision = cast(Any, self._engine.decision)
        similar = cast(Decision[Any, Any], Similar(getattr(decision, "inner", decision), threshold))
        twin.method, twin.abstain, twin._training = similar.options["method"], threshold or 0.0, None
        twin._choices = {**self._choices, "method": "similar", "threshold": threshold}
        twin._engine = self._engine.beside(similar)
        return twin

    def call_off(self, off: bool = True) -> None:
        """End what is being found out of these labels by cross-validation, on whatever thread, before others take their place: it gets SupersededError.

        Args:
            off: False where they stand after all.
        """
        if self._training is not None:
            self._training.called_off = off

    def _look_at_vectors(self, names: Sequence[str]) -> None:
        """Go by these sources of an image of ready-made vectors, where the user named none and there is no encoder."""
        if names and self._has_default_features and self.model is None and set(names) != set(self._engine.stack.names):
            stack = stack_of(None, names)
            self._engine = self._engine.rebuilt(make_decision(stack, **self._choices), stack)

    def _suited(self, references: References) -> References:
        """References without pretrained features where the Segmenter has none; where references have none, as those of an older version, it goes on without."""
        stack = self._engine.stack
        if bool(references.columns.parts) == ("pretrained" in stack.names):
            self._require_backbone(references)
            return references
        if references.columns.pretrained.start and references.columns.parts:
            return references.without_pretrained()
        if references.columns.parts:
            raise ModelError(
                f"the references have pretrained features alone, this Segmenter has {', '.join(stack.names)}. Ask for 'pretrained'."
            )
        if not self._has_default_features:
            asked = "backbone=..." if stack.pretrained is not None and stack.pretrained.network_name else "'pretrained'"
            raise ModelError(f"the references have no pretrained features, this Segmenter has {', '.join(stack.names)}. Leave {asked} out.")
        without = stack_of(self.model, pretrained=False)
        self._engine = self._engine.rebuilt(make_decision(without, **self._choices), without)
        return references

    def _require_backbone(self, references: References) -> None:
        """Refuse references whose pretrained features are of another network than those here."""
        weights = next((group.weights for group in references.columns.groups if group.weights), None)
        ours = self._engine.stack.pretrained
        if weights is None or ours is None or weights == ours.hash:
            return
        theirs, here = references.columns.backbone, f"{ours.network_name or 'EfficientNet-Lite0'}, weights {ours.hash[:12]}"
        name = theirs.partition(",")[0]
        if not name and not ours.network_name:
            raise ModelError(
                "the references have pretrained features of another version of pixelkin, which saw images in other views. Make them anew from the labels."
            )
        raise ModelError(
            f"the references have pretrained features of {theirs or 'EfficientNet-Lite0, weights ' + weights[:12]}, this map would have those of {here}. "
            + (f"Give that network with its file, backbone='{name}:FILE'." if name else "Leave out backbone=...")
        )

    def _collect(self, scene: Scene, labels: LabelledPixels) -> References:
        self._require_bands(scene)
        return self._engine.collect(scene, teaching(labels))

    def _require_bands(self, scene: Scene) -> None:
        bands = self._engine.stack.bands(scene)
        if self._training is not None and len(self._training.references.band_names) != len(bands):
            raise ModelError(
                f"{scene.name} has bands {list(bands)}, the labelled image had {list(self._training.references.band_names)}. Choose the same bands."
            )
        if self._training is not None:
            require_encoding(scene, self._training.references.encoding, "the labelled image")
            if self._engine.stack.columns(scene) != self._training.references.columns:
                raise ModelError(
                    f"{scene.name} has bands {list(scene.bands)}, of which pretrained features see others than on the labelled image. "
                    "Name its bands as there, or leave 'pretrained' out of the features."
                )

    def _set(self, training: TrainingSet) -> None:
        self._engine.decision.prepare(training)
        before, self._training = self._training, training
        if not self.check_labels:
            return
        suspects = self._engine.decision.suspects
        known = suspects(before) if before is not None else ()
        fresh = {str(suspect): None for suspect in suspects(training) if suspect not in known}
        if fresh:
            warnings.warn(
                f"labels contradict each other: {'; '.join(list(fresh)[:3])}{'; ...' if len(fresh) > 3 else ''}. "
                "Correct them, or merge classes that are the same; segmenter.suspect_labels has them all.",
                stacklevel=3,
            )

    def _require_fitted(self) -> TrainingSet:
        if self._training is None:
            raise NotFittedError("the Segmenter has no labels yet, expected fit() or references before this. Call fit(scene, labels).")
        return self._training
