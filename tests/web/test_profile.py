"""A pixel over all dates of its series."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from pixelkin.session import Session, open_project
from pixelkin.web import WebSettings, create_app

from .conftest import write_image


def test_a_pixel_is_followed_over_its_series_and_no_further(tmp_path: Path) -> None:
    names = ["2021-07-09", "2020-01-05", "undated", "2020-03-01"]
    paths = [write_image(tmp_path / f"{name}.tif", seed=seed) for seed, name in enumerate(names)]
    session = Session(open_project(paths, project=tmp_path / "p"), train=False)
    try:
        with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:
            profile = client.get("/api/scenes/2020-01-05/profile", params={"row": 20, "col": 30}).json()
            assert [(one["scene"], one["date"]) for one in profile] == [(name, name) for name in sorted(names)[:3]]
            for one in profile:
                pixel = client.get(f"/api/scenes/{one['scene']}/pixel", params={"row": 20, "col": 30}).json()
                assert one["values"] == pixel["values"]
            alone = client.get("/api/scenes/undated/profile", params={"row": 0, "col": 30}).json()
            assert alone == [{"scene": "undated", "date": None, "values": None}]  # no data there
            assert client.get("/api/scenes/undated/profile", params={"row": 300, "col": 0}).status_code == 422
            assert client.get("/api/scenes/none/profile", params={"row": 0, "col": 0}).status_code == 404
    finally:
        session.close()
