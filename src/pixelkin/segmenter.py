"""The facade: a model and labels in, maps out. What is known of a pixel is in `features`, how labels decide in `decision`, the work in `engine`."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, overload

import numpy as np

from .blockcache import BlockStore
from .decision import Coverage, Method, Priors, Suggestion, TrainingSet, make_decision
from .engine import BlockEngine
from .errors import InputError
from .estimator import Estimator
from .features import FeatureSource, blocks_of, stack_of
from .inputs import Image, Labels, as_labels, as_scene
from .labelled import Labelled
from .model import Model
from .scene import Scene, Series, inside
from .segmentation import Segmentation
from .similarity import Measure, similarity_of
from .types import BoolArray, FloatArray, IntArray, UInt8Array, Window

__all__ = ["Measure", "Method", "Priors", "Segmenter"]


class Segmenter(Labelled, Estimator):
    """Maps images from a few labelled pixels; a label never retrains anything.

    Work is done and kept block by block, so that an image is embedded once. The nearest reference is found by evaluating
    new labels only; a learner learns anew from all labels, in milliseconds. Either way the map after additions and
    removals is the one a fresh fit would give, bit for bit.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        method: Method | None = None,
        measure: Measure | None = None,
        features: Sequence[str | FeatureSource] | None = None,
        backbone: str | None = None,
        abstain: float = 0.0,
        label_transfer: bool = True,
        priors: Priors = "image",
        check_labels: bool = True,
        cache_bytes: int = 1 << 30,
        workers: int | None = None,
        store: BlockStore | None = None,
    ) -> None:
        """Choose how pixels are compared.

        Args:
            model: Encoder and critics; None compares raw bands.
            method: How labels decide: 'nearest' (the paper's Algorithm 2), or a learner on features with smoothing: 'vote',
                'logistic', or 'auto' for both together; see `pixelkin.decision.fitting`. Default 'auto', or 'nearest' where a
                measure is named. 'similar' finds what is like the marks of one class, see `pixelkin.similar`.
            measure: For the nearest: 'local' (the default with a model) or 'global' mutual information, or 'l1': the L1 distance of
                representations, or of raw bands without a model.
            features: What learners know of a pixel: names out of `pixelkin.features.SOURCES`, or sources, side by side. Default 'encoder', where
                there is a model, 'bands', and, for 'auto' and 'similar' and images with the bands of a photograph, 'pretrained'.
            backbone: The network of the pretrained features, 'resnet18:weights.safetensors', see `pixelkin.features.load_backbone`; default the packaged one.
            abstain: Pixels of less confidence, 0..1, get class 0. For 'similar' those of less similarity, and 0 stands for the image's own threshold.
            label_transfer: Map other dates of a labelled image from the features of its labelled sites on those dates, unless they plainly changed
                (see `pixelkin.decision.label_transfer`); otherwise from those on the date on which they were labelled. Images are of
                one ground if they have the same grid with a CRS. Learners only.
            priors: 'image' takes classes for as common as they are found to be in an even sample of an image that was not labelled itself, the more so
                the more spatial groups are labelled (see `Scorer.proportioned`); 'equal' for all alike, so that what an image shows beyond `halo` has no say: for
                many images that are to fit together at their edges. Learners only.
            check_labels: Look for labels that contradict others as they come, and warn of them; otherwise only once `suspect_labels` or a
                confidence is asked for, so that classes come sooner.
            cache_bytes: Memory for what is known of blocks (9 to 34 MiB each, and 0.08 MiB a label where there is room); the least recently used go first; 0 keeps nothing.
            workers: Threads; default one a core. The result does not depend on it.
            store: Where what is known of blocks is kept over restarts; without one, in memory only.
        """
        if not 0 <= abstain <= 1:
            raise InputError(f"abstain is {abstain!r}, expected a confidence from 0 (label every pixel) to 1.")
        self._params = {
            "model": model, "method": method, "measure": measure, "features": features, "backbone": backbone, "abstain": abstain, "label_transfer": label_transfer, "priors": priors,
            "check_labels": check_labels, "cache_bytes": cache_bytes, "workers": workers, "store": store,
        }  # fmt: skip
        self.model, self.abstain, self.check_labels = model, abstain, check_labels
        if method == "similar" and measure is None and features is None and model is not None:
            measure = "local"
        self.measure: Measure = similarity_of(model, measure).name
        self._choices: dict[str, Any] = {
            "method": method, "measure": measure, "label_transfer": label_transfer, "priors": priors, "threshold": abstain or None,
        }  # fmt: skip
        self._has_default_features = features is None and backbone is None
        # What goes by a measure has no use for pretrained features, and two of the learners are not made for them.
        stack = stack_of(model, features, pretrained=measure is None and method in (None, "auto", "similar"), backbone=backbone)
        decision = make_decision(stack, **self._choices)
        self.method: str = decision.options["method"]
        self._engine = BlockEngine(decision, stack, cache_bytes=cache_bytes, workers=workers or os.cpu_count() or 1, store=store)
        self._training: TrainingSet | None = None

    @property
    def halo(self) -> int:
        """Pixels around a block that its map depends on, beside labelled pixels and, with priors='image', the sample of an image without labels."""
        return self._engine.decision.halo

    def replica(self, *, cache_bytes: int, workers: int | None = None) -> Segmenter:
        """A Segmenter that decides the same, with a cache and threads of its own and no store; labels given to one stay unknown to the other.

        Args:
            cache_bytes: As for a new Segmenter.
            workers: Threads; default as many as here.
        """
        twin = copy.copy(self)
        twin._engine = self._engine.replica(cache_bytes=cache_bytes, workers=workers)
        return twin

    @overload
    def predict(self, scene: Image, window: Window | None = None) -> Segmentation: ...

    @overload
    def predict(self, scene: Series, window: Window | None = None) -> list[Segmentation]: ...

    def predict(self, scene: Image | Series, window: Window | None = None) -> Segmentation | list[Segmentation]:
        """The map of an image, of a window of it, or of every date of a series.

        Args:
            scene: Any image with the bands of the labelled one.
            window: Window inside the image; default all of it.

        Returns:
            A Segmentation, or one a date. Labelled pixels of the image that teach (see `fit`) keep their class, with confidence 1. With a learner, confidence
            is the calibrated probability that the class is right (see `pixelkin.decision.calibration`). With the nearest reference it is 1 - exp(-(D_2 - D_1) / J) for mutual
            information and 1 - D_1 / D_2 for L1, D_1 and D_2 being the distances to the nearest reference of the best and of the second
            class, J the local positions (1 for global): 0 where two classes are equally near, 1 where no other comes close. Of 'similar' it is the
            similarity (see `pixelkin.decision.likeness`), and pixels below the threshold have class 0.

        Raises:
            NotFittedError: No labels yet.
            ModelError: The scene's bands are not the model's.
            RasterError: The window is not inside the image.
        """
        if isinstance(scene, Series):
            return [self.predict(date, window) for date in scene]
        training, scene, window = self._asked(scene, window)
        classes, confidence, valid = self._engine.decide(scene, window, self._engine.ask(scene, training))
        if self.abstain:
            classes[confidence < self.abstain] = 0
        provenance = _provenance(scene, training, self._engine.decision.options, self.abstain)
        return Segmentation(classes, confidence, valid, training.references.legend, scene.grid.crop(window), provenance)

    def classify(self, scene: Image, window: Window | None = None) -> tuple[UInt8Array, BoolArray]:
        """The classes of `predict` alone, sooner: a learner need not find out how sure it may be.

        Args:
            scene: Any image with the bands of the labelled one.
            window: Window inside the image; default all of it.

        Returns:
            Class ids, 0 = no data or undecided, and where there is data: (row, col) each.

        Raises:
            As `predict`.
        """
        if self.abstain:
            result = self.predict(scene, window)
            return result.classes, result.valid
        training, scene, window = self._asked(scene, window)
        return self._engine.classify(scene, window, self._engine.ask(scene, training))

    def predict_proba(self, scene: Image, window: Window | None = None) -> FloatArray:
        """How likely each class is, for every pixel.

        Args:
            scene: Any image with the bands of the labelled one.
            window: Window inside the image; default all of it.

        Returns:
            (class, row, col) in the order of `classes_`: each pixel's add up to 1, and are 0 where there is no data. Calibrated with a learner: the largest is
            the confidence of `predict`. The nearest reference has no probabilities; they are then a softmax of minus its distances. For 'similar' it is the
            similarity alone.

        Raises:
            As `predict`.
        """
        training, scene, window = self._asked(scene, window)
        return self._engine.probabilities(scene, window, self._engine.ask(scene, training))[0]

    def score(self, scene: Image, labels: Labels) -> float:
        """Share of labelled pixels whose class the map has, in [0, 1]; undecided ones are wrong. See `pixelkin.score` for more than that.

        Args:
            scene: Any image with the bands of the labelled one.
            labels: Pixels with their true class, known by its name: others than it was fitted to, which keep their class and are always right.
        """
        training, scene, window = self._asked(scene, None)
        truth = as_labels(labels, scene)
        ids = {entry.name: entry.id for entry in training.references.legend}
        expected = np.array([ids.get(truth.legend.by_id(i).name, -1) for i in truth.classes.tolist()])
        found = (
            self.predict(scene).classes if self.abstain else self._engine.classify(scene, window, self._engine.ask(scene, training))[0]
        )[truth.rows, truth.cols]
        return float((found == expected).mean())

    def transform(self, scene: Image, window: Window | None = None) -> FloatArray:
        """The features of every pixel, for whoever wants to learn from them in another way.

        Args:
            scene: An image with the bands that the features need; labels are not.
            window: Window inside the image; default all of it.

        Returns:
            (K, row, col) float32; `features.columns(scene)` says what the K are. Held whole in memory.
        """
        scene = as_scene(scene)
        return self._engine.transform(scene, inside(window, scene.grid, scene.name))

    def embedded(self, scene: Image) -> list[Window]:
        """The blocks of an image that are in memory: they need not be embedded again."""
        return self._engine.known(as_scene(scene))

    def suggest(
        self,
        scene: Image,
        k: int = 10,
        *,
        blocks: Iterable[Window] | None = None,
        free: Callable[[IntArray, IntArray], BoolArray] | None = None,
    ) -> list[Suggestion]:
        """Pixels whose labels would help most: in doubt, common, and different from one another.

        Args:
            scene: The image to label further.
            k: How many pixels, >= 1.
            blocks: Where to look: some of the image's `blocks_of`, such as those of `embedded`; default all of it.
            free: Told rows and columns (n,), says which pixels may be asked for (n,); default all that are not labelled.

        Returns:
            At most k valid pixels, first those that stand for most doubt. The same labels and blocks give the same suggestions.

        Raises:
            NotFittedError: No labels yet.
        """
        if k < 1:
            raise InputError(f"k is {k}, expected at least one pixel to suggest.")
        training, scene, window = self._asked(scene, None)
        where = list(blocks_of(scene.grid, window) if blocks is None else blocks)
        return self._engine.suggest(scene, k, self._engine.ask(scene, training), where, free)

    @property
    def needs_limit(self) -> bool:
        """True where references have to say what their image shows before `coverage` can be told: the nearest reference's; see `pixelkin.coverage.with_limit`."""
        return self._engine.decision.needs_limit

    def coverage(self, scene: Image) -> Coverage:
        """How much of an image is like nothing that was labelled, by what this Segmenter decides by; found once an image.

        On an image without labels a learner draws confidence towards that of a guess by the share that is foreign (not with
        priors='equal', where an image as a whole has no say).

        Args:
            scene: Any image with the bands of the labelled one; a sample spread over all of it is read.

        Raises:
            NotFittedError: No labels yet.
            InputError: `needs_limit`, and the references have none.
        """
        training, scene, _ = self._asked(scene, None)
        return self._engine.coverage(scene, training)

    def provenance(self, scene: Scene) -> dict[str, str]:
        """What it takes to make this scene's map again, as a Segmentation will carry it; errors are those of `predict`."""
        self._require_bands(scene)
        return _provenance(scene, self._require_fitted(), self._engine.decision.options, self.abstain)

    def _asked(self, image: Image, window: Window | None) -> tuple[TrainingSet, Scene, Window]:
        """The labels, the image and the window to map, checked, and so are the bands."""
        training, scene = self._require_fitted(), as_scene(image)
        window = inside(window, scene.grid, scene.name)
        self._require_bands(scene)
        return training, scene, window


def _provenance(scene: Scene, training: TrainingSet, options: dict[str, str], abstain: float) -> dict[str, str]:
    columns = training.references.columns
    names = [group.name for group in columns.groups]
    return {
        "model": training.references.model_hash,
        "references": training.references.hash,
        **options,
        **({} if set(names) <= {"encoder", "bands"} else {"features": ",".join(names)}),
        **({"backbone": columns.backbone} if columns.backbone else {}),
        **({"abstain": f"{abstain:g}"} if abstain else {}),
        "scene": scene.name,
        "pixelkin": _version("pixelkin"),
        "torch": _version("torch"),
    }


@cache
def _version(package: str) -> str:
    return version(package)
