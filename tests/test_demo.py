"""The demo's own marks lie where they should, on the real scene."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from pixelkin.errors import MissingExtraError
from pixelkin.labels import read_labels
from pixelkin.raster import open_scene


@pytest.fixture(scope="module")
def scene():
    pytest.importorskip("localtileserver", reason="the demo's scene comes with the package localtileserver")
    from pixelkin.demo import landsat

    return open_scene(landsat())


def test_about_ten_marks_in_each_of_five_classes(scene):
    import json

    features = json.loads((files("pixelkin") / "data" / "great_salt_lake.geojson").read_text())["features"]
    names = [feature["properties"]["class"] for feature in features]
    assert set(names) == {"deep water", "turquoise water", "salt flat", "evaporation pond", "mountain and scrub"}
    assert all(8 <= names.count(name) <= 14 for name in set(names))


def test_marks_look_like_what_they_say(scene):
    """Deep water is the darkest class in the near infrared, salt flat the brightest in the red but for the ponds."""
    labels = read_labels(files("pixelkin") / "data" / "great_salt_lake.geojson", scene)
    bands = scene.read().data[:, labels.rows, labels.cols].astype(float)
    mean = {entry.name: bands[:, labels.classes == entry.id].mean(1) for entry in labels.legend}
    infrared, red = scene.bands.index("B4"), scene.bands.index("B3")
    assert min(mean, key=lambda name: mean[name][infrared]) == "deep water"
    assert mean["salt flat"][red] > 2 * mean["mountain and scrub"][red]
    assert np.all(mean["turquoise water"][:3] > mean["deep water"][:3])


def test_without_the_extra_the_command_is_named(monkeypatch):
    import pixelkin.demo as demo

    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtraError,
        match=r"pixelkin demo needs localtileserver, which is not installed\. Install the extra 'demo': in the checkout, pip install '\.\[demo\]'",
    ):
        demo.landsat()
