"""A search on the page: the bytes that it sends, what it becomes, and what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import rasterio

from pixelkin.errors import InputError, LabelError, OutputError
from pixelkin.finding import finder_of
from pixelkin.session.errors import StaleError
from pixelkin.session.exports import Exports
from pixelkin.types import LabelledPixels

POINT = {"type": "Point", "coordinates": [100.5, 150.5]}


def whole(session, number, scene):
    """The bytes of an image, put together from its tiles."""
    height, width = scene.grid.shape
    out = np.zeros((512, 512), np.uint8)
    for y in (0, 1):
        for x in (0, 1):
            tile, complete = session.finding.index("field", number, 0, x, y)
            assert complete == 1
            out[256 * y : 256 * y + 256, 256 * x : 256 * x + 256] = tile
    return out[:height, :width]


def test_a_search_shows_counts_exports_and_marks_what_the_library_finds(project, start):
    session = start(project.folder)
    scene = session.project.scene("field")
    found = session.finding.start("field", "point", POINT, 1.0)
    expected = finder_of(None).fit(scene, LabelledPixels.from_arrays([150], [100], [1])).predict(scene)
    sent = whole(session, found.number, scene)
    assert (sent == np.where(expected.valid, 1 + np.rint(254 * expected.confidence), 0)).all()
    told = session.finding.so_far(found.number, "field")
    assert (told.done, told.total) == (4, 4)
    assert told.counts == np.bincount(sent.ravel(), minlength=256).tolist()
    assert not session.state.marks
    threshold = (200 - 1.5) / 254
    over = threading.Event()
    session.events.subscribe(lambda kind, data: over.set() if kind == "job" and data["finished"] else None)
    job = session.finding.start_export(found.number, "field", threshold, name="pond", replace=False)
    assert over.wait(30)
    assert session.jobs.get(job.id).state == "done"
    with rasterio.open(session.exports.find("pond_field_similarity.tif")) as file:
        assert (file.read(1)[expected.valid] == expected.confidence[expected.valid]).all()
    with rasterio.open(session.exports.find("pond_field.tif")) as file:
        assert ((file.read(1) != 0) == (sent >= 200)).all()
    with pytest.raises(OutputError, match="expected a new name"):
        session.finding.start_export(found.number, "field", threshold, name="pond", replace=False)
    # What stands under that name of other images stays.
    exports = Exports(session.project.folder / "exports")
    with exports.run("pond", ["pond_other"], replace=True, fix="") as aside:
        (aside / "pond_other.tif").write_bytes(b"a map")
    over.clear()
    session.finding.start_export(found.number, "field", threshold, name="pond", replace=True)
    assert over.wait(30)
    assert session.exports.find("pond_other.tif").read_bytes() == b"a map"
    session.edit(session.finding.edits(found.number, "field", threshold, 7, "pond"))
    marked = session.state.labelled_pixels("field")
    assert set(zip(marked.rows.tolist(), marked.cols.tolist(), strict=True)) == set(map(tuple, np.argwhere(sent >= 200).tolist()))
    assert marked.legend.names == ("pond",)
    session.undo()
    assert not session.state.marks
    assert not session.state.classes


def test_what_cannot_be_is_refused_and_a_new_search_takes_the_place_of_the_last(project, start):
    session = start(project.folder)
    with pytest.raises(LabelError, match="no pixel of"):
        session.finding.start("field", "point", {"type": "Point", "coordinates": [-5, -5]}, 1.0)
    first = session.finding.start("field", "point", POINT, 1.0)
    whole(session, first.number, session.project.scene("field"))
    with pytest.raises(InputError, match=r"threshold is 1\.5"):
        session.finding.edits(first.number, "field", 1.5, 1, None)
    second = session.finding.start("field", "point", POINT, 1.0)
    with pytest.raises(StaleError):
        session.finding.index("field", first.number, 0, 0, 0)
    assert session.finding.index("field", second.number, 0, 0, 0)[1] == 1
