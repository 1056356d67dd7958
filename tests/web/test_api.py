"""What the page can do through the API."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image

from pixelkin.segmenter import Segmenter
from pixelkin.session import Session
from pixelkin.types import LabelledPixels
from pixelkin.web.tiles import HEADER

from .conftest import CLASSES, HEIGHT, WIDTH, add_mark, key, write_image

LABELS = LabelledPixels.from_arrays([20, 200], [30, 350], [1, 2])


def edit(client: TestClient, *edits: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post("/api/edits", json={"key": key(), "edits": list(edits), **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def finished(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    for _ in range(600):
        state = client.get(f"/api/jobs/{job['id']}").json()
        if state["finished"]:
            return dict(state)
        time.sleep(0.05)
    raise AssertionError(job)


def rgba(answer: Any) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_a_page_learns_all_it_needs_from_the_project(client: TestClient) -> None:
    project = client.get("/api/project").json()
    (scene,) = project["scenes"]
    assert (scene["id"], scene["height"], scene["width"], scene["levels"]) == ("field", HEIGHT, WIDTH, 1)
    assert (scene["bands"], scene["dtype"], scene["crs"], scene["units"]) == (["row", "col", "noise"], "uint16", "EPSG:32631", "metre")
    assert scene["transform"] == [10, 0, 500_000, 0, -10, 5_000_000]
    np.testing.assert_allclose(scene["metres_per_pixel"], [10, 10], rtol=1e-3)
    assert np.shape(scene["lonlat"]["lon"]) == (9, 9)
    np.testing.assert_allclose(scene["lonlat"]["lon"][0][0], 3.0, atol=1e-6)  # the central meridian of UTM zone 31
    assert scene["lonlat"]["lat"][0][0] > scene["lonlat"]["lat"][-1][0]  # rows go south
    assert project["map"] == {"ready": False, "reason": "Mark at least two classes."}
    assert project["limits"]["tile_size"] == 256
    statistics = client.get("/api/scenes/field").json()["statistics"]
    assert [band["name"] for band in statistics] == ["row", "col", "noise"]
    assert statistics[1]["max"] == pytest.approx(WIDTH, abs=2)
    assert sum(statistics[0]["histogram"]) > 0


def test_marks_are_drawn_changed_undone_and_followed(client: TestClient) -> None:
    first = edit(client, *CLASSES)
    assert [entry["name"] for entry in first["changes"]["classes"]] == ["water", "land"]
    assert [entry["key"] for entry in first["changes"]["classes"]] == ["1", "2"]
    drawn = edit(client, add_mark(1, 20, 30, id="a", brush_px=3), add_mark(2, 200, 350, id="b"))
    assert drawn["map"]["ready"]
    assert {mark["id"]: mark["labels"] for mark in drawn["changes"]["marks"]} == {"a": 9, "b": 1}
    assert drawn["changes"]["classes"][0]["labelled_pixels"] == 9
    moved = edit(client, {"op": "update_mark", "id": "b", "class_id": 1}, {"op": "delete_mark", "id": "a"})
    assert (moved["changes"]["deleted"], moved["changes"]["marks"][0]["class_id"]) == (["a"], 1)
    undone = client.post("/api/undo", json={"key": key()}).json()
    assert (undone["title"], undone["can_redo"]) == ("Change a mark and 1 more", True)
    assert len(client.get("/api/scenes/field/marks").json()["marks"]) == 2
    assert client.post("/api/redo", json={"key": key()}).json()["revision"] == undone["revision"] + 1
    missed = client.get("/api/changes", params={"since": first["revision"]}).json()
    assert ([mark["id"] for mark in missed["marks"]], missed["deleted"]) == (["b"], ["a"])
    assert client.get("/api/changes", params={"since": 10_000}).json()["reset"]


def test_a_class_is_split_and_many_marks_are_changed_in_one_step(client: TestClient) -> None:
    edit(client, *CLASSES, *(add_mark(1, 20 + n, 30, id=f"m{n}") for n in range(4)))
    split = edit(client, {"op": "split_class", "id": 1, "name": "shallow water", "marks": ["m1", "m3"]})
    assert split["title"] == "Split class shallow water from water"
    assert [(one["name"], one["marks"]) for one in split["changes"]["classes"]] == [("water", 2), ("land", 0), ("shallow water", 2)]
    back = client.post("/api/undo", json={"key": key()}).json()
    assert [(one["name"], one["marks"]) for one in back["changes"]["classes"]] == [("water", 4), ("land", 0)]
    for marks, message in ((["m0", "m1", "m2", "m3"], "some and not all"), (["m9"], "there is no mark 'm9'")):
        refused = client.post("/api/edits", json={"key": key(), "edits": [{"op": "split_class", "id": 1, "name": "new", "marks": marks}]})
        assert refused.status_code in (404, 422)
        assert message in refused.json()["error"]["message"]
    assert len(client.get("/api/project").json()["classes"]) == 2
    changed = edit(client, *({"op": "update_mark", "id": f"m{n}", "class_id": 2} for n in (0, 1)), {"op": "delete_mark", "id": "m2"})
    assert [(one["name"], one["marks"]) for one in changed["changes"]["classes"]] == [("water", 1), ("land", 2)]
    back = client.post("/api/undo", json={"key": key()}).json()
    assert [(one["name"], one["marks"]) for one in back["changes"]["classes"]] == [("water", 4), ("land", 0)]


def test_the_same_request_twice_is_done_once(client: TestClient) -> None:
    edit(client, *CLASSES)
    body = {"key": "once", "edits": [add_mark(1, 20, 30, id="a")]}
    first, again = client.post("/api/edits", json=body).json(), client.post("/api/edits", json=body).json()
    assert (first["applied"], again["applied"]) == (True, False)
    assert first["revision"] == again["revision"]
    assert [mark["id"] for mark in again["changes"]["marks"]] == ["a"]


def test_a_class_loses_its_key_only_when_told(client: TestClient) -> None:
    edit(client, *CLASSES)
    renamed = edit(client, {"op": "update_class", "id": 1, "name": "lake"})
    assert (renamed["changes"]["classes"][0]["name"], renamed["changes"]["classes"][0]["key"]) == ("lake", "1")
    without = edit(client, {"op": "update_class", "id": 1, "key": None})
    assert (without["changes"]["classes"][0]["name"], without["changes"]["classes"][0]["key"]) == ("lake", None)


def records(answer: Any) -> dict[tuple[int, int], tuple[float, np.ndarray[Any, Any]]]:
    assert answer.status_code == 200, answer.text
    size = HEADER.size + 256 * 256
    assert len(answer.content) % size == 0
    found = {}
    for start in range(0, len(answer.content), size):
        x, y, complete = HEADER.unpack_from(answer.content, start)
        found[x, y] = complete, np.frombuffer(answer.content, np.uint8, 256 * 256, start + HEADER.size).reshape(256, 256)
    return found


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_view_is_one_answer_of_the_map_as_it_is_computed(client: TestClient, session: Session, encoding: str, level: int) -> None:
    edit(client, *CLASSES)
    revision = edit(client, add_mark(1, 20, 30), add_mark(2, 200, 350))["revision"]
    for layer in ("classes", "confidence"):
        url = f"/api/scenes/field/tiles/{layer}/{revision}/{level}?at=1,0;0,0;1,0;7,7"
        answer = client.get(url, headers={"Accept-Encoding": encoding})
        assert answer.headers.get("content-encoding", "identity") == encoding
        assert answer.headers["cache-control"] == "no-store"
        found = records(answer)
        assert set(found) == {(1, 0), (0, 0), (7, 7)}
        assert all(complete == 1 for complete, _ in found.values())
        assert not found[7, 7][1].any()
        map_of_it = Segmenter().fit(session.project.scene("field"), LABELS).predict(session.project.scene("field"))
        whole = map_of_it.classes if layer == "classes" else np.maximum(np.round(map_of_it.confidence * 255), 1) * map_of_it.valid
        middles = whole if level == 0 else whole[1::2, 1::2]
        np.testing.assert_array_equal(found[0, 0][1][: min(256, HEIGHT >> level), : min(256, WIDTH >> level)], middles[:256, :256])


def test_the_ramp_of_confidence_has_a_colour_for_each_byte(client: TestClient) -> None:
    ramp = client.get("/api/confidence-ramp").json()
    assert len(ramp) == 256
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in ramp)


def test_tiles_of_another_revision_are_none_and_of_another_place_refused(client: TestClient) -> None:
    known = edit(client, *CLASSES)["revision"]
    early = client.get(f"/api/scenes/field/tiles/classes/{known}/0?at=0,0")
    assert (early.status_code, early.json()["error"]["type"]) == (409, "NotReady")
    revision = edit(client, add_mark(1, 20, 30), add_mark(2, 200, 350))["revision"]
    # Superseded on its way, as for who marks fast: no error, and never an old picture.
    for encoding in ("gzip", "identity"):
        assert (
            records(client.get(f"/api/scenes/field/tiles/classes/{revision - 1}/0?at=0,0;1,0", headers={"Accept-Encoding": encoding})) == {}
        )
    for at in ("", "0", "0,0;", "-1,0", "0,0;x,1", ";".join(["0,0"] * 2000)):
        assert client.get(f"/api/scenes/field/tiles/classes/{revision}/0", params={"at": at}).status_code == 422
    assert client.get(f"/api/scenes/field/tiles/classes/{revision}/9?at=0,0").status_code == 422
    assert client.get(f"/api/scenes/field/tiles/colours/{revision}/0?at=0,0").status_code == 422


def test_image_tiles_show_pixels_as_asked(client: TestClient) -> None:
    fingerprint = client.get("/api/project").json()["scenes"][0]["fingerprint"]
    url = "/api/scenes/field/image/0/0/0.png"
    answer = client.get(url, params={"bands": "1,2,1", "range": "0,255;0,255;0,255", "v": fingerprint})
    tile = rgba(answer)
    np.testing.assert_array_equal(tile[10:250, :, 0], np.indices((256, 256))[0][10:250] + 1)
    np.testing.assert_array_equal(tile[10, :255, 1], np.arange(1, 256))
    assert not tile[:4].any()
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(url).headers["cache-control"] == "no-cache"
    grey = rgba(client.get(url, params={"bands": "3"}))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    thumbnail = rgba(client.get("/api/scenes/field/thumbnail.png", params={"size": 84}))
    assert thumbnail.shape == (60, 84, 4)
    for params, message in [({"bands": "9"}, "bands are"), ({"range": "1,2"}, "1 ranges"), ({"range": "x"}, "range is 'x'")]:
        bad = client.get(url, params=params)
        assert (bad.status_code, bad.json()["error"]["type"]) == (422, "InputError")
        assert message in bad.json()["error"]["message"]


def test_one_pixel_says_where_and_what_it_is(client: TestClient, session: Session) -> None:
    client.patch("/api/settings", json={"measure": "l1"})
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    session.tiles.compute_all()
    pixel = client.get("/api/scenes/field/pixel", params={"row": 20, "col": 30}).json()
    assert (pixel["x"], pixel["y"], pixel["values"][:2], pixel["label"]) == (500_305, 4_999_795, [21, 31], 1)
    assert (pixel["class"], pixel["confidence"]) == (1, 1.0)
    assert pixel["lon"] == pytest.approx(3.0038, abs=1e-3)
    empty = client.get("/api/scenes/field/pixel", params={"row": 0, "col": 0}).json()
    assert (empty["valid"], empty["values"], empty["class"]) == (False, None, 0)
    assert client.get("/api/scenes/field/pixel", params={"row": HEIGHT, "col": 0}).status_code == 422


def test_areas_overlaps_and_suggestions(client: TestClient, session: Session) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30, brush_px=3), add_mark(2, 20, 31), add_mark(2, 200, 350))
    overlaps = client.get("/api/scenes/field/overlaps").json()
    assert (overlaps["total"], overlaps["pixels"][0]["class_ids"], overlaps["pixels"][0]["winner"]) == (1, [1, 2], 2)
    assert (overlaps["pixels"][0]["row"], overlaps["pixels"][0]["col"]) == (20, 31)
    session.tiles.compute_all()
    areas = client.get("/api/scenes/field/areas").json()
    assert (areas["complete"], areas["unit"], areas["valid_pixels"]) == (1.0, "ha", (HEIGHT - 4) * WIDTH)
    assert sum(entry["area"] for entry in areas["classes"]) == pytest.approx((HEIGHT - 4) * WIDTH / 100)
    assert sum(entry["fraction"] for entry in areas["classes"]) == pytest.approx(1)
    assert len(client.get("/api/scenes/field/suggestions", params={"count": 4}).json()["suggestions"]) == 4


def test_an_export_is_downloaded_as_written(client: TestClient, session: Session) -> None:
    refused = client.post("/api/jobs/export", json={})
    assert refused.status_code == 409
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    job = finished(client, client.post("/api/jobs/export", json={"formats": ["cog", "areas"], "name": "first"}).json())
    assert job["state"] == "done"
    assert [file["name"] for file in job["files"]] == ["first_field.tif", "first_field_areas.csv"]
    file = client.get(job["files"][0]["url"])
    assert file.content == (session.project.folder / "exports" / "first_field.tif").read_bytes()
    assert client.get("/api/jobs").json()["jobs"][0]["id"] == job["id"]


def test_labels_go_in_and_out_as_files(client: TestClient, tmp_path: Path) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30, brush_px=5), add_mark(2, 200, 350))
    for suffix in ("geojson", "gpkg", "tif"):
        exported = client.get("/api/labels/export", params={"scene": "field", "format": suffix})
        assert exported.status_code == 200
        assert f"field_labels.{suffix}" in exported.headers["content-disposition"]
        edit(client, {"op": "clear_marks"})
        imported = client.post("/api/labels/import", params={"scene": "field"}, files={"file": (f"mine.{suffix}", exported.content)})
        assert imported.status_code == 200, imported.text
        assert [entry["labelled_pixels"] for entry in imported.json()["changes"]["classes"]] == [21, 1]
        client.post("/api/undo", json={"key": key()})
        client.post("/api/undo", json={"key": key()})


def test_a_label_file_that_cannot_be_used_says_why(client: TestClient) -> None:
    far = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {"class": "x"}, "geometry": {"type": "Point", "coordinates": [60, 10]}}],
    }
    for name, content, message in [
        ("a.geojson", json.dumps(far).encode(), "a.geojson: feature 1 of 1 ('x', at 60, 10) lies outside the image"),
        ("my marks.geojson", b"{", "my marks.geojson: not GeoJSON"),
        ("a.exe", b"MZ", "expected .geojson, .gpkg, .csv or .tif"),
    ]:
        answer = client.post("/api/labels/import", params={"scene": "field"}, files={"file": (name, content)})
        assert answer.status_code == 422
        assert message in answer.json()["error"]["message"]
    assert client.get("/api/project").json()["classes"] == []


def id_raster(path: Path, ids: np.ndarray[Any, Any]) -> bytes:
    """A label raster without class names, on the image's grid."""
    with rasterio.open(
        path, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=1, dtype="uint8", nodata=0, crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as dataset:  # fmt: skip
        dataset.write(ids, 1)
    return path.read_bytes()


def send(client: TestClient, what: str, name: str, content: bytes, **options: Any) -> Any:
    form = {"options": json.dumps(options)} if options else {}
    return client.post(f"/api/labels/{what}", params={"scene": "field"}, files={"file": (name, content)}, data=form)


def test_classes_without_names_are_those_of_the_same_id(client: TestClient, tmp_path: Path) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[50:60, 50:60], ids[100:102, 100:103] = 1, 2
    content = id_raster(tmp_path / "ids.tif", ids)
    preview = send(client, "preview", "ids.tif", content).json()
    assert [(one["name"], one["into"], one["class_id"], one["pixels"]) for one in preview["classes"]] == [
        ("1", "water", 1, 100),
        ("2", "land", 2, 6),
    ]
    assert any("matched by id" in note for note in preview["notes"])
    imported = send(client, "import", "ids.tif", content).json()
    assert [(one["name"], one["labelled_pixels"]) for one in imported["changes"]["classes"]] == [("water", 101), ("land", 7)]
    # The same as shapes whose class is a number.
    client.post("/api/undo", json={"key": key()})
    point = {"type": "Feature", "properties": {"class": 2}, "geometry": {"type": "Point", "coordinates": [501_005.0, 4_998_995.0]}}
    shapes = {"type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": "EPSG:32631"}}, "features": [point]}
    imported = send(client, "import", "numbers.geojson", json.dumps(shapes).encode()).json()
    assert [(one["name"], one["labelled_pixels"]) for one in imported["changes"]["classes"]] == [("water", 1), ("land", 2)]


def test_an_import_is_shown_before_it_is_done_and_goes_where_it_is_told(client: TestClient) -> None:
    edit(client, *CLASSES)

    def feature(name: str, row: int, col: int) -> dict[str, Any]:
        x, y = 500_005 + 10 * col, 4_999_995 - 10 * row
        return {"type": "Feature", "properties": {"cover": name, "id": 7}, "geometry": {"type": "Point", "coordinates": [x, y]}}

    features = [
        feature("Water", 20, 30),
        feature("water", 21, 30),
        feature("soil", 50, 50),
        feature("cloud", 60, 60),
        feature("soil", -5, 9),
    ]
    crs = {"type": "name", "properties": {"name": "EPSG:32631"}}
    content = json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}).encode()
    refused = send(client, "preview", "a.geojson", content, class_property="cover")
    assert (refused.status_code, "outside the image" in refused.json()["error"]["message"]) == (422, True)
    options = {"class_property": "cover", "outside": "skip", "classes": {"Water": "water", "soil": "bare soil", "cloud": None}}
    before = client.get("/api/project").json()["revision"]
    preview = send(client, "preview", "a.geojson", content, **options).json()
    assert [(one["name"], one["into"], one["class_id"], one["marks"]) for one in preview["classes"]] == [
        ("Water", "water", 1, 1), ("water", "water", 1, 1), ("soil", "bare soil", None, 1), ("cloud", None, None, 1),
    ]  # fmt: skip
    assert "cover" in preview["fields"]
    assert any("1 of 5" in note or "1 feature" in note for note in preview["notes"]), preview["notes"]
    assert client.get("/api/project").json()["revision"] == before
    done = send(client, "import", "a.geojson", content, **options).json()
    assert [(one["name"], one["labelled_pixels"]) for one in done["changes"]["classes"]] == [("water", 2), ("land", 0), ("bare soil", 1)]
    client.post("/api/undo", json={"key": key()})
    assert [one["name"] for one in client.get("/api/project").json()["classes"]] == ["water", "land"]
    for wrong, message in (
        ({"classes": {"sea": "water"}}, "no class 'sea'"),
        ({"outside": "warp"}, "options.outside"),
        ({"colour": 1}, "options.colour"),
    ):
        answer = send(client, "preview", "a.geojson", content, **{**options, **wrong})
        assert (answer.status_code, message in answer.json()["error"]["message"]) == (422, True), answer.text


def test_other_images_of_the_folder_are_mapped(client: TestClient, tmp_path: Path) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    other = write_image(tmp_path / "next.tif", seed=3)
    job = finished(client, client.post("/api/jobs/apply", json={"paths": [str(other)]}).json())
    with rasterio.open(io.BytesIO(client.get(job["files"][0]["url"]).content)) as dataset:
        assert dataset.shape == (HEIGHT, WIDTH)
    refused = client.post("/api/jobs/apply", json={"paths": ["/etc/hostname"]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "Forbidden")


def test_mapping_other_images_ends_when_it_is_called_off(
    client: TestClient, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    others = [write_image(tmp_path / f"other{i}.tif", seed=i) for i in range(3)]
    under_way, go_on = threading.Event(), threading.Event()
    predict = Segmenter.predict

    def slowly(self: Segmenter, *args: Any) -> Any:
        under_way.set()
        assert go_on.wait(20)
        return predict(self, *args)

    monkeypatch.setattr(Segmenter, "predict", slowly)
    job = client.post("/api/jobs/apply", json={"paths": [str(path) for path in others]}).json()
    assert under_way.wait(20)
    client.post(f"/api/jobs/{job['id']}/cancel")
    go_on.set()
    over = finished(client, job)
    assert (over["state"], over["files"]) == ("cancelled", [])
    assert not list((session.project.folder / "exports").glob("*"))


def test_settings_are_kept_and_make_a_new_revision(client: TestClient, session: Session) -> None:
    edit(client, *CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350))
    changed = client.patch("/api/settings", json={"pixels_per_mark": 5}).json()
    assert changed["settings"] == {"measure": "auto", "pixels_per_mark": 5}
    assert changed["revision"] == 2
    assert changed["map"]["ready"]
    assert records(client.get("/api/scenes/field/tiles/classes/2/0?at=0,0"))[0, 0][1].any()
    assert json.loads((session.project.folder / "project.json").read_text())["settings"]["pixels_per_mark"] == 5
    assert client.patch("/api/settings", json={"measure": None}).json()["settings"]["pixels_per_mark"] == 5
    assert client.patch("/api/settings", json={"pixels_per_mark": None}).json()["settings"]["pixels_per_mark"] is None
    assert client.patch("/api/settings", json={"measure": "best"}).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/api/nothing", 404, "NotFound"),
        ("GET", "/api/scenes/none", 404, "NotFound"),
        ("GET", "/api/scenes/field/tiles/classes/x/0?at=0,0", 422, "ValidationError"),
        ("GET", "/api/scenes/field/image/40/0/0.png", 422, "InputError"),
        ("GET", "/api/jobs/none", 404, "NotFound"),
        ("GET", "/api/exports/none.tif", 404, "NotFound"),
        ("GET", "/api/exports/..%2fproject.json", 404, "NotFound"),
        ("GET", "/api/exports/%2e%2e%2fproject.json", 404, "NotFound"),
        ("DELETE", "/api/project", 405, "MethodNotAllowed"),
        ("GET", "/api/labels/export?scene=field", 422, "LabelError"),
    ],
)
def test_every_error_has_one_shape(client: TestClient, method: str, path: str, status: int, kind: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"type", "message", "status", "revision"}
    assert (error["type"], error["status"]) == (kind, status)
    assert error["message"]


@pytest.mark.parametrize("verb", ["undo", "redo"])
def test_nothing_to_undo_or_redo_is_told_apart(client: TestClient, verb: str) -> None:
    error = client.post(f"/api/{verb}", json={"key": key()}).json()["error"]
    assert error["type"] == f"NothingTo{verb.capitalize()}"


def test_an_error_of_ours_says_only_that_it_failed(client: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(session.project, "series", fail)
    answer = client.get("/api/project")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalError"
    assert "secret" not in answer.text


def test_a_virtual_dataset_is_not_read_as_labels(client: TestClient) -> None:
    for name in ("labels.tif", "labels.gpkg", "labels.geojson"):
        answer = client.post("/api/labels/import?scene=field", files={"file": (name, b"  <VRTDataset rasterXSize='1' rasterYSize='1'/>")})
        assert answer.status_code == 422
        assert "virtual dataset" in answer.json()["error"]["message"]
