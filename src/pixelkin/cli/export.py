"""`pixelkin export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .options import image_options, json_option, open_one, overwrite_option, print_json

if TYPE_CHECKING:
    from ..scene import Scene


@click.command("export")
@click.argument("references", metavar="REFERENCES", type=click.Path())
@click.option(
    "--onnx", "out", required=True, metavar="FOLDER", type=click.Path(), help="Folder to write the map model to; made if it is not there."
)
@click.option(
    "--model", "-m", "model_file", type=click.Path(), help="The model that REFERENCES were made with; none for those made without."
)
@click.option("--image", metavar="IMAGE", help="The image to be mapped. Default: any image but those of labelled ground.")
@click.option("--method", type=click.Choice(["auto", "nearest", "vote", "logistic"]), help="How labels decide. Default: auto.")
@click.option(
    "--label-transfer/--no-label-transfer", default=True, show_default=True, help="As for `pixelkin segment`; counts with --image."
)
@click.option("--priors", type=click.Choice(["image", "equal"]), default="image", show_default=True, help="As for `pixelkin segment`.")
@image_options
@overwrite_option
@json_option
def export_command(references: str, out: str, as_json: bool, **options: Any) -> None:
    """Write a model and references as a map model that needs NumPy and onnxruntime alone.

    REFERENCES is a file of `pixelkin segment --save-references`. FOLDER gets map_model.onnx (bands to class probabilities), map_model.json (classes,
    bands, numbers) and map_model.py, which maps an array with both.
    """
    from ..features import RAW, References
    from ..files import require_outputs
    from ..model import load_model
    from ..portable import FILES, export_onnx
    from ..segmenter import Segmenter

    read = {"references": [references], "model": [options["model_file"] or ""], "image": [options["image"] or ""]}
    if Path(out).is_dir():
        inputs = {word: names for word, names in read.items() if names[0]}
        require_outputs([Path(out) / name for name in FILES], inputs=inputs, overwrite=options["overwrite"])
    known = References.load(references)
    if (known.model_hash == RAW) != (options["model_file"] is None):
        said = (
            "made without a model. Leave --model out." if known.model_hash == RAW else "made with a model, expected it as --model FILE too."
        )
        raise InputError(f"{references} was {said}")
    model = None if options["model_file"] is None else load_model(options["model_file"])
    segmenter = Segmenter(
        model, method=options["method"], label_transfer=options["label_transfer"], priors=options["priors"], check_labels=False
    )
    segmenter.references = known
    written = export_onnx(segmenter, out, _image(options), overwrite=options["overwrite"])
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)


def _image(options: dict[str, Any]) -> Scene | None:
    from ..scene import Series

    if options["image"] is None:
        return None
    scene = open_one(options["image"], options)
    if isinstance(scene, Series):
        raise InputError(f"--image {options['image']} is a series of {len(scene)} dates, expected one image. Name the file of a date.")
    return scene
