"""Write a map model: an ONNX graph, the numbers beside it, and the module that runs both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..decision import Learner
from ..decision.smoothing import REACH
from ..errors import InputError, MissingExtraError, OutputError
from ..features import BackboneFeatures, BandFeatures, EncoderFeatures, TimmFeatures
from ..features.backbone import passes_of
from ..files import replacing, require_outputs
from ..inputs import Image, as_scene
from ..segmenter import Segmenter
from ..silence import silenced
from . import map_model
from .graph import MapGraph

FILES = ("map_model.onnx", "map_model.json", "map_model.py")
OUTPUTS = ("probabilities", "features")
VERSION = 1
OPSET = 18


def export_onnx(segmenter: Segmenter, folder: str | Path, image: Image | None = None, *, overwrite: bool = False) -> list[Path]:
    """Write what a Segmenter has learned as a map model that runs without pixelkin, torch and scikit-learn.

    Args:
        segmenter: With labels or references; a learner on the encoder, bands or pretrained features.
        folder: Made if it is not there. `map_model.onnx` takes bands to class probabilities, `map_model.json` has classes, bands and numbers, and
            `map_model.py` runs both with NumPy and onnxruntime.
        image: The image that is to be mapped, for the map that `predict` gives of it, before anything is abstained from: also from its own labels, those that are near, and those
            transferred from other dates. Default: any image that is not of labelled ground.
        overwrite: Replace files that are there.

    Returns:
        The three files.

    Raises:
        InputError: The nearest reference, which is asked again for every pixel, or features of another source.
        NotFittedError: No labels yet.
        OutputError: A file is there and overwrite is False, or the disk refuses it.
        MissingExtraError: `onnx` is not installed.
    """
    training, decision, folder = segmenter.training, segmenter.engine.decision, Path(folder)
    if not isinstance(decision, Learner):
        raise InputError(
            f"method is {segmenter.method!r}, expected 'auto', 'vote' or 'logistic': others cannot be exported. Leave out measure and method."
        )
    stack, references = segmenter.features, training.references
    names = [group.name for group in references.columns.groups]
    sources = tuple(source for source in stack.sources if source.name in names)
    odd = [source.name for source in sources if type(source) not in (BackboneFeatures, BandFeatures, EncoderFeatures)]
    if odd:
        what = next((source.network_name for source in sources if isinstance(source, TimmFeatures)), odd[0])
        raise InputError(
            f"features name {what!r}, expected some of 'encoder', 'bands', 'pretrained' of the packaged network: others cannot be exported."
        )
    targets = [folder / name for name in FILES]
    if folder.is_dir():
        require_outputs(targets, overwrite=overwrite)
    elif folder.exists():
        raise OutputError(f"{folder} is a file, expected a folder to write the map model to. Name a folder.")
    _require_exporter()
    bands = references.band_names if stack.model is None else stack.model.bands
    scene = None if image is None else as_scene(image)
    if scene is None:
        rule, marked = decision.elsewhere(training), None
    else:
        segmenter.provenance(scene)  # refuses other bands
        asked = segmenter.engine.ask(scene, training)
        rule, marked = asked.rule, asked.marked
    decision.calibrate(rule)
    scorer = rule.scorer.to(torch.device("cpu"))
    samples = scene is None and decision.priors == "image"
    own = references.columns.own if samples else np.zeros(len(references.columns), np.bool_)
    passes = passes_of(bands) if "pretrained" in names else []
    graph = MapGraph(sources, references.columns, scorer, None if stack.model is None else stack.model.to("cpu"), passes, own)
    cover = decision.cover(training)
    near = scorer.spatial
    facts: dict[str, Any] = {
        "format": VERSION,
        "bands": list(bands),
        "classes": [{"id": i, "name": (entry := references.legend.by_id(i)).name, "color": entry.color} for i in training.ids],
        "inputs": graph.inputs,
        "margin": graph.margin,
        "multiple": graph.multiple if "photo" in graph.inputs else 1,
        "halo": graph.margin + REACH,
        "standardise": None if stack.model is None else {
            "centre": stack.model.standardisation.center.tolist(), "scale": stack.model.standardisation.scale.tolist()
        },
        "inverse_temperature": rule.fitted.assessment.inverse_temperature,
        "priors": "image" if samples else "equal" if scorer.prior is None and not rule.doubt else [
            *torch.exp(torch.zeros(len(training.ids)) if scorer.prior is None else scorer.prior).tolist(), rule.doubt
        ],
        "trust": scorer.trust,
        "own": graph.own,
        "cover": {
            "centre": cover.centre.tolist(), "scale": cover.scale.tolist(), "points": cover.points.tolist(), "limit": cover.limit
        } if samples else None,
        "near": None if near is None else {
            "sites": near.sites[:, 1:].tolist(), "weights": near.weights.tolist(), "length_scale": float(near.lengths[0]) if len(near.lengths) else 1.0
        },
        "image": None if scene is None or marked is None else {
            "name": scene.name, "shape": list(scene.grid.shape), "marked": [part.tolist() for part in marked]
        },
        "provenance": {"model": references.model_hash, "references": references.hash, **decision.options},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(targets[0], overwrite=overwrite) as path:
        _write_graph(graph, path, len(bands), len(training.ids))
    with replacing(targets[1], overwrite=overwrite) as path:
        path.write_text(json.dumps(facts), encoding="utf-8")
    with replacing(targets[2], overwrite=overwrite) as path:
        shutil.copyfile(map_model.__file__, path)
    return targets


def _require_exporter() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as exc:
        raise MissingExtraError("onnx", extra="onnx", purpose="export to ONNX") from exc


def _write_graph(graph: MapGraph, path: Path, bands: int, classes: int) -> None:
    """Trace the graph, for windows of any size."""
    thinned = 32
    padded = 2 * thinned + 2 * graph.margin
    axes: dict[str, dict[int, str]] = {name: {1: "h", 2: "w"} for name in (*OUTPUTS, "near")}
    axes |= {name: {1: "row", 2: "col"} for name in ("bands", "photo")}
    example = [torch.zeros((classes, thinned, thinned) if name == "near" else (bands, padded, padded)) for name in graph.inputs]
    # The older exporter: the newer one takes half a minute for what this one does in two seconds, and another package.
    with silenced(Warning), torch.no_grad():
        torch.onnx.export(
            graph.eval(), tuple(example), str(path), input_names=graph.inputs, output_names=list(OUTPUTS),
            dynamic_axes={name: axes[name] for name in (*graph.inputs, *OUTPUTS)}, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
