"""What `pixelkin segment` maps, and from what: imagery, labels, features, a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from ..errors import InputError, LabelError
from .kept import TRAINING, KeptModel
from .options import label_arguments, open_one, reading

if TYPE_CHECKING:
    from ..features import References
    from ..model import Model
    from ..scene import Scene, Series
    from ..types import LabelledPixels, Legend


def open_image(image: str, options: dict[str, Any]) -> Scene | Series:
    """What IMAGE names: an image, a series, a mosaic or an archive of embeddings."""
    if options["with_files"] or options["terrain"]:
        return _open_stack(image, options)
    if options["mosaic"]:
        from ..raster import open_mosaic

        how = reading(options)
        if how.pop("kind") not in ("auto", "image"):
            raise InputError("--mosaic joins imagery, --kind names embeddings. Map one tile of them at a time.")
        return open_mosaic(image, crs=options["crs"], resolution=options["resolution"], **how)
    if not any(
        (Path(image) / name).is_file() for name in ("zarr.json", *(f"{path.name}/zarr.json" for path in Path(image).glob("*.zarr")))
    ):
        return open_one(image, options)
    from ..scale.embedded import archives_in, is_archive, open_embedded_series, open_embeddings

    if not is_archive(image) and not archives_in(image):
        return open_one(image, options)
    if not options["model_file"]:
        raise InputError(f"{image} is an archive of embeddings, expected the model that made it. Give it as --model FILE.")
    from ..model import load_model

    opened = open_embeddings if is_archive(image) else open_embedded_series
    return opened(image, load_model(options["model_file"]))


def _open_stack(image: str, options: dict[str, Any]) -> Scene:
    """IMAGE with what --with and --terrain put beside it."""
    from ..raster import open_scene, open_stack

    if options["mosaic"]:
        raise InputError("--with and --terrain put files beside one image, --mosaic joins many. Join them into a file first.")
    beside = [*options["with_files"], *([options["terrain"]] if options["terrain"] else [])]
    sources = [open_one(image, options), *(open_scene(path) for path in beside)]
    stack = open_stack(
        sources, missing=options["missing"], radar=options["radar"], terrain=len(sources) - 1 if options["terrain"] else None
    )
    # Each source has told its own.
    told = {note for source in sources for note in getattr(source, "notes", ())}
    for note in stack.notes:
        if note in told:
            continue
        click.echo(f"pixelkin: {note}", err=True)
    return stack


def labelled_scene(source: Scene | Series, options: dict[str, Any]) -> Scene:
    """The image that labels were drawn on."""
    from ..scene import Series

    scene = source
    if isinstance(source, Series):
        scene = source.at(options["labels_date"]) if options["labels_date"] else source.scenes[0]
        if options["label_file"] and not options["labels_date"]:
            click.echo(
                f"pixelkin: the labels are taken to be of {scene.date}, the first of {len(source)} dates. Name another with --labels-date.",
                err=True,
            )
    elif options["labels_date"]:
        raise InputError(f"--labels-date {options['labels_date']} is for a series, one image was given. Leave it out.")
    assert not isinstance(scene, Series)
    return scene


def read_marks(source: Scene | Series, options: dict[str, Any]) -> tuple[LabelledPixels | None, Scene]:
    """The pixels that --labels marks, None without it, and the image that they are on."""
    from ..labels import read_labels
    from ..raster import require_valid

    scene = labelled_scene(source, options)
    if options["label_file"] is None:
        return None, scene
    require_valid(scene)
    labels = read_labels(options["label_file"], scene, **label_arguments(options))
    if len(labels.legend) < 2 and not options["reference_file"]:
        raise LabelError(
            f"{options['label_file']} has one class only ({labels.legend.names[0]!r}), expected at least two. Mark some pixels of another class."
        )
    return labels, scene


def in_levels(legend: Legend, options: dict[str, Any]) -> Legend:
    """The legend with what --legend says of it; refused here where --level asks for one and its classes belong to nothing."""
    from ..labels import read_class_table, with_levels

    if options["legend_file"]:
        legend = with_levels(legend, read_class_table(options["legend_file"]), options["legend_file"])
    if options["level"] and not any(entry.parents for entry in legend):
        raise InputError(f"--level is {options['level']}, and the classes belong to nothing. Say what they belong to with --legend FILE.")
    return legend


def features_of(options: dict[str, Any]) -> list[str] | None:
    """What --features and --raw ask for; None for the default."""
    if options["features"] is None:
        return ["bands"] if options["raw"] else None
    if options["raw"]:
        raise InputError(f"--raw compares the bands alone, --features is {options['features']!r}. Leave one of them out.")
    names = [name.strip() for name in options["features"].split(",")]
    unknown = [name for name in names if name not in ("encoder", "bands", "pretrained")]
    if unknown or len(set(names)) < len(names):
        raise InputError(
            f"--features is {options['features']!r}, expected some of encoder, bands and pretrained, each once, with commas between."
        )
    return names


def backbone_files(options: dict[str, Any]) -> list[str]:
    """The file of weights that --backbone names."""
    from ..features.timm_backbone import CACHE

    file = (options["backbone"] or "").partition(":")[2]
    return [file] if file not in ("", CACHE) else []


def require_backbone(labelled: Scene, options: dict[str, Any]) -> None:
    """Refuse a --backbone that cannot be had, or that has no say, before a model is trained."""
    from ..features import stack_of

    if options["backbone"] is None:
        return
    names = features_of(options)
    asked = None if names is None else [name for name in names if name != "encoder"] or ["bands"]
    decides = options["measure"] is None and options["method"] in (None, "auto")
    stack_of(None, asked, pretrained=decides, backbone=options["backbone"]).columns(labelled)


def _does_without_encoder(scenes: list[Scene], options: dict[str, Any]) -> bool:
    """Whether a map needs no encoder: of one image, by pretrained features, where nothing was asked of an encoder. On other dates it is far ahead."""
    from ..features import stack_of

    names = features_of(options)
    if names is not None:
        return "encoder" not in names
    context = click.get_current_context()
    asked = [name for name in TRAINING if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    if len(scenes) > 1 or asked or options["measure"] or options["method"] not in (None, "auto"):
        return False
    pretrained = stack_of(None, backbone=options["backbone"]).pretrained
    return pretrained is not None and pretrained.suits(scenes[0])


def given_model(source: Scene | Series, options: dict[str, Any]) -> Model | None:
    """The model of --model, checked against the imagery, or that of an archive of embeddings; None without either."""
    from ..model import load_model
    from ..scene import as_scenes
    from ..training import pick_device

    scenes = as_scenes(source)
    if hasattr(scenes[0], "model"):  # an archive of embeddings knows the half of the model that reads it
        return cast("Model", scenes[0].model)
    if not options["model_file"]:
        return None
    device = pick_device(options["device"])
    model = load_model(options["model_file"])
    for scene in scenes:
        model.band_index(scene)
    return model.to(device)


def model_of(
    source: Scene | Series, out: str, options: dict[str, Any], inputs: dict[str, list[str]], references: References | None = None
) -> Callable[[], Model | None]:
    """How the model is come by; what can be refused of it is refused now, the work is done by the call."""
    from ..features import embedding_bands, stack_of
    from ..scene import as_scenes
    from ..training import pick_device

    scenes = as_scenes(source)
    if options["raw"] and not hasattr(scenes[0], "model"):
        if options["model_file"] or options["measure"] in ("local", "global"):
            raise InputError("--raw compares raw bands without a model, --model or --measure needs one. Leave one of them out.")
        return lambda: None
    given = given_model(source, options)
    # Where there are embeddings, somebody has trained a network for these numbers already.
    if given is not None or embedding_bands(scenes[0]):
        return lambda: given
    device = pick_device(options["device"])
    if references is not None:
        names = features_of(options)
        if "encoder" not in (names or ()) and references.model_hash == stack_of(None, names or ["bands"]).hash:
            return lambda: None
        raise InputError("--references were made with a model, expected it as --model FILE too.")
    if _does_without_encoder(scenes, options):
        click.echo(
            "pixelkin: no --model, deciding by the bands and by pretrained features. --features encoder,bands,pretrained trains one first.",
            err=True,
        )
        return lambda: None
    kept = KeptModel(source, out, options, scenes=scenes)
    kept.require(inputs)
    return lambda: kept.get().to(device)
