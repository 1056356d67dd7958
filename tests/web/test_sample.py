"""The sample project beside the one that is served."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from fastapi.testclient import TestClient

from pixelkin.session import Session
from pixelkin.web import WebSettings, create_app

pytestmark = pytest.mark.skipif(find_spec("localtileserver") is None, reason="the sample scene is in the extra `demo`")


def test_the_sample_is_a_project_of_its_own(session: Session) -> None:
    app = create_app(session, WebSettings())
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/api/project").json()["has_sample"]
        sample = client.get("/sample/api/project").json()
        assert sample["name"] == "Great Salt Lake"
        assert not sample["has_sample"]
        assert sum(one["marks"] for one in sample["classes"]) == 62
        added = client.post("/sample/api/edits", json={"key": "a", "edits": [{"op": "add_class", "name": "snow"}]})
        assert added.status_code == 200
        assert client.get("/api/project").json()["classes"] == []
        folder = app.state.sample.session.project.folder
        app.state.sample.close()
        assert not folder.exists()


def test_the_sample_is_guarded_as_the_page_is(session: Session) -> None:
    app = create_app(session, WebSettings(host="192.0.2.1", token="secret"))
    with TestClient(app, base_url="http://192.0.2.1") as client:
        assert client.get("/sample/api/project").status_code == 401
        headers = {"Authorization": "Bearer secret", "Sec-Fetch-Site": "cross-site"}
        assert client.get("/sample/api/project", headers=headers).status_code == 403
        assert (
            client.post(
                "/sample/api/edits", content="{}", headers={**headers, "Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}
            ).status_code
            == 415
        )
        app.state.sample.close()
