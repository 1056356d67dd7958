"""A network of timm in the place of the packaged one: same numbers from any window, known by its weights, refused where they do not fit, and never downloaded."""

from __future__ import annotations

import pickle
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file, save_file
from tests.features.test_backbone import RGBN, marks, scene
from torch import nn

from pixelkin.cli import main
from pixelkin.errors import InputError, MissingExtraError, MissingFileError, ModelError
from pixelkin.features import References, load_backbone
from pixelkin.features.stack import stack_of
from pixelkin.finding import similar
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window


class Small(nn.Module):
    """Three stages, of which the second weighs its channels by their means over all of the image, as squeeze and excitation does."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, width, 4, 2, 1), nn.Conv2d(width, width, 4, 2, 1), nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.feature_info = SimpleNamespace(out_indices=(0, 1, 2), reduction=lambda: [2, 4, 8])
        self.kept = (0, 1, 2)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x).relu()
        y = self.one(x).relu()
        y = y * y.mean(dim=(2, 3), keepdim=True).sigmoid()
        return [[x, y, self.two(y)][i] for i in self.kept]


def create(name: str, pretrained: bool = False, features_only: bool = False, out_indices=None, pretrained_cfg_overlay=None) -> nn.Module:
    """As `timm.create_model` does: what a file lacks is passed over."""
    assert features_only
    module = Small(6 if name == "small" else 4)
    if pretrained:
        assert pretrained_cfg_overlay is not None, "a download"
        module.load_state_dict(pretrained_cfg_overlay["state_dict"], strict=False)
    module.kept = out_indices or module.kept
    widths = [6 if name == "small" else 4] * 2 + [12 if name == "small" else 8]
    module.feature_info.channels = lambda: [widths[i] for i in module.kept]
    return module


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for timm: the real one is large, and not installed everywhere."""
    found = ModuleType("timm")
    found.__dict__.update(
        __version__="1.0", is_model=lambda name: name in ("small", "smaller"), list_models=lambda: ["small", "smaller", "resnet18"], create_model=create,
        get_pretrained_cfg=lambda name: SimpleNamespace(fixed_input_size=False, hf_hub_id="", url=""),
        models=SimpleNamespace(load_state_dict=lambda path, weights_only: load_file(path)),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "timm", found)
    return found


@pytest.fixture
def backbone(timm, tmp_path):
    torch.manual_seed(1)
    save_file(Small().state_dict(), tmp_path / "small.safetensors")
    return f"small:{tmp_path / 'small.safetensors'}"


def test_a_pixel_gets_the_same_numbers_from_any_window_though_the_network_looks_at_all_it_is_given(backbone):
    image, (bands, source) = scene(RGBN, 300, 560), stack_of(None, backbone=backbone).sources
    assert (bands.name, source.group(image).parts) == ("bands", (12, 6, 12, 6, 12))
    whole = source.fields(image, image.grid.window).features
    # A small block, one across the border of two cells, every second pixel, and a block with what smoothing looks at around it.
    for window, step in ((Window(32, 64, 32, 32), 1), (Window(250, 500, 40, 47), 1), (Window(201, 3, 60, 555), 2)):
        rows, cols = window.slices
        torch.testing.assert_close(
            source.fields(image, window, step).features, whole[:, rows, cols][:, ::step, ::step], rtol=1e-4, atol=1e-4
        )
    around = source.fields(image, Window(-16, 240, 288, 288)).features[:, 16:-16, 16:-16]
    torch.testing.assert_close(around, whole[:, :256, 256:512], rtol=1e-4, atol=1e-4)


def test_what_a_map_says_of_a_dot_lies_on_the_dot(backbone):
    rng = np.random.default_rng(0)
    noise = rng.integers(90, 110, (3, 256, 256)).astype(np.uint8)
    noise[:, 0, 0], noise[:, 0, 1] = 0, 255
    source = stack_of(None, backbone=backbone).pretrained
    window = Window(60, 60, 96, 96)
    before = source.fields(ArrayScene(noise, bands=("red", "green", "blue")), window).features[9:]
    rows, cols = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    off = []
    for k in range(8):
        dotted = noise.copy()
        dotted[:, 100 + k : 102 + k, 103 + k : 105 + k] = 140
        change = (source.fields(ArrayScene(dotted, bands=("red", "green", "blue")), window).features[9:] - before).abs()
        change = change * (change > change.amax() / 50)  # what every pixel learns of it through the mean of all
        off.append(
            [
                [float((w * axis).sum() / w.sum()) - at - k for axis, at in ((rows, 40.5), (cols, 43.5))]
                for w in torch.stack([part.sum(dim=0) for part in change.split((6, 12))])
            ]
        )
    assert np.abs(np.mean(off, axis=0)).max() < 0.6


def test_tiles_and_threads_do_not_change_a_bit_of_the_map(backbone):
    image = scene(height=300, width=530)
    labels = LabelledPixels.from_arrays([20, 40, 250, 280], [20, 30, 500, 510], [1, 1, 2, 2], Legend.from_names(["left", "right"]))
    one, other = (Segmenter(backbone=backbone, workers=n).fit(image, labels) for n in (1, 3))
    whole, window = one.predict(image), Window(200, 130, 90, 300)
    np.testing.assert_array_equal(other.predict(image, window).confidence, whole.confidence[window.slices])
    again = pickle.loads(pickle.dumps(stack_of(None, backbone=backbone).pretrained))
    torch.testing.assert_close(again.fields(image, window).features, other.pretrained.fields(image, window).features, rtol=0, atol=0)


def test_a_map_and_its_references_name_the_network_and_ask_for_it(backbone, timm, tmp_path):
    image = scene()
    made = Segmenter(backbone=backbone).fit(image, marks(image))
    weights = made.pretrained.hash[:12]
    assert made.predict(image).provenance["backbone"] == f"small, weights {weights}"
    made.references.save(tmp_path / "references.safetensors")
    kept = References.load(tmp_path / "references.safetensors")
    again = Segmenter(backbone=backbone)
    again.references = kept
    np.testing.assert_array_equal(again.predict(image).confidence, made.predict(image).confidence)
    with pytest.raises(
        ModelError, match=rf"features of small, weights {weights}, .* of EfficientNet-Lite0, weights .* backbone='small:FILE'"
    ):
        Segmenter().references = kept
    torch.manual_seed(2)
    save_file(Small().state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=f"of small, weights {weights}, this map would have those of small, weights (?!{weights})"):
        Segmenter(backbone=f"small:{tmp_path / 'other.safetensors'}").references = kept
    with pytest.raises(ModelError, match=r"of EfficientNet-Lite0, .* of small, .* Leave out backbone="):
        again.references = Segmenter().fit(image, marks(image)).references
    with pytest.raises(ModelError, match=r"have no pretrained features, .* Leave backbone=\.\.\. out"):
        again.references = Segmenter(features=["bands"]).fit(image, marks(image)).references
    found = similar(image, None, marks(image).take(np.arange(1)), backbone=backbone)
    assert found.provenance["backbone"] == f"small, weights {weights}"


def test_what_cannot_be_had_is_said(backbone, timm, tmp_path, monkeypatch):
    file = backbone.partition(":")[2]
    with pytest.raises(
        InputError, match=r"backbone is 'small', expected a network of timm and its weights, such as 'resnet18:weights.safetensors'"
    ):
        Segmenter(backbone="small")
    with pytest.raises(InputError, match=r"has no network 'smal'. It has small, smaller\."):
        Segmenter(backbone=f"smal:{file}")
    with pytest.raises(MissingFileError, match=r"there is no file .*nowhere\.pth"):
        Segmenter(backbone="small:nowhere.pth")
    with pytest.raises(ModelError, match="does not fit smaller: size mismatch"):
        Segmenter(backbone=f"smaller:{file}")
    save_file({name: value for name, value in Small().state_dict().items() if "two" not in name}, tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match=r"does not fit small: it lacks two\.weight"):
        Segmenter(backbone=f"small:{tmp_path / 'part.safetensors'}")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(ModelError, match="does not hold weights of a network"):
        Segmenter(backbone=f"small:{tmp_path / 'text.safetensors'}")
    with pytest.raises(InputError, match="the map would stand on bands alone"):
        Segmenter(backbone=backbone, features=["bands"])
    with pytest.raises(InputError, match="the map would stand on bands alone"):
        Segmenter(backbone=backbone, method="vote")
    with pytest.raises(ModelError, match=r"has bands \['vv', 'vh'\], expected red, green and blue"):
        Segmenter(backbone=backbone).fit(scene(("vv", "vh")), marks(scene(("vv", "vh"))))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"a backbone needs timm, which is not installed\. .*pip install '\.\[timm\]'"):
        load_backbone(backbone)


def test_weights_of_the_cache_are_found_there_and_not_fetched(timm, tmp_path, monkeypatch):
    timm.get_pretrained_cfg = lambda name: SimpleNamespace(fixed_input_size=False, hf_hub_id="", url="http://192.0.2.1/small-1.safetensors")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MissingFileError, match=r"timm has no weights of it in its cache\. Nothing is downloaded"):
        load_backbone("small:cache")
    (tmp_path / "checkpoints").mkdir()
    save_file(Small().state_dict(), tmp_path / "checkpoints" / "small-1.safetensors")
    assert load_backbone("small:cache").name == "small"


def test_the_command_line_maps_with_it_says_so_and_refuses_before_any_work(backbone, tmp_path, capsys):
    grid = {
        "driver": "GTiff",
        "height": 90,
        "width": 130,
        "dtype": "uint8",
        "transform": rasterio.Affine(10, 0, 500000, 0, -10, 4600000),
        "crs": "EPSG:32631",
    }
    with rasterio.open(tmp_path / "image.tif", "w", count=3, **grid) as file:
        file.write(scene().data)
        file.descriptions = ("red", "green", "blue")
    with rasterio.open(tmp_path / "marks.tif", "w", count=1, nodata=0, **grid) as file:
        drawn = np.zeros((1, 90, 130), np.uint8)
        drawn[0, 10:80:20, 10], drawn[0, 10:80:20, 120] = 1, 2
        file.write(drawn)

    def run(*args: object) -> str:
        with pytest.raises(SystemExit) if args[-1] == "refused" else nullcontext():
            main([str(arg) for arg in args if arg != "refused"])
        return "".join(capsys.readouterr())

    image, refs = tmp_path / "image.tif", tmp_path / "refs.safetensors"
    given = ("segment", image, "--labels", tmp_path / "marks.tif")
    said = run(*given, "--out", tmp_path / "bad.tif", "--backbone", backbone, "--method", "vote", "refused")
    assert "error: --backbone is 'small:" in said
    assert "for --method auto" in said
    assert run(*given, "--out", tmp_path / "bad.tif", "--backbone", "small", "refused").count("\n") == 1
    assert not list(tmp_path.glob("bad*"))
    run(*given, "--out", tmp_path / "map.tif", "--backbone", backbone, "--save-references", refs)
    assert "backbone  small, weights" in run("info", refs)
    assert "backbone small, weights" in run("info", tmp_path / "map.tif")
    assert "--backbone small:FILE" in run("segment", image, "--references", refs, "--out", tmp_path / "again.tif", "refused")
    run("segment", image, "--references", refs, "--out", tmp_path / "again.tif", "--backbone", backbone)
    assert (tmp_path / "again.tif").exists()


def test_timm_itself_gives_a_network(tmp_path):
    real = pytest.importorskip("timm", exc_type=(ImportError, RuntimeError))
    for name in ("test_efficientnet", "test_vit"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            torch.save(real.create_model(name, pretrained=False).state_dict(), tmp_path / f"{name}.pth")
        image = scene()
        made = Segmenter(backbone=f"{name}:{tmp_path / name}.pth").fit(image, marks(image))
        assert made.score(image, marks(image)) == 1
        assert made.predict(image).provenance["backbone"].startswith(f"{name}, weights")
    with pytest.raises(ModelError, match="does not fit test_vit"):
        load_backbone(f"test_vit:{tmp_path}/test_efficientnet.pth")
