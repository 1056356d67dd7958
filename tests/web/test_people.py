"""Several people on one project: each with a token and a role, names on marks, locked images, and behind a real nginx."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pixelkin.assessment import design_sample, write_sample
from pixelkin.errors import InputError, PkError
from pixelkin.segmentation import Segmentation
from pixelkin.session import Session, open_project
from pixelkin.types import Legend
from pixelkin.web import WebSettings, create_app
from pixelkin.web.people import Person, read_people

from .conftest import key, write_image

ADA, BEN, EVE = (Person(name, role, f"{name}-0123456789abcdef") for name, role in (("Ada", "review"), ("Ben", "label"), ("Eve", "read")))
As = Callable[[Person], TestClient]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(open_project([write_image(tmp_path / "field.tif")]), train=False)
    yield opened
    opened.close()


@pytest.fixture
def asked_by(session: Session) -> Iterator[As]:
    app = create_app(session, WebSettings(people=(ADA, BEN, EVE)))
    clients: list[TestClient] = []

    def client(person: Person) -> TestClient:
        clients.append(TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {person.token}"}))
        return clients[-1]

    yield client
    for one in clients:
        one.close()


def edits(*given: dict[str, Any]) -> dict[str, Any]:
    return {"key": key(), "edits": list(given)}


def mark(col: int, **more: Any) -> dict[str, Any]:
    return {
        "op": "add_mark",
        "scene": "field",
        "class_id": 1,
        "kind": "point",
        "geometry": {"type": "Point", "coordinates": [col, 50.5]},
        **more,
    }


def test_each_may_do_what_their_role_says_and_nobody_else_anything(asked_by: As) -> None:
    ada, ben, eve = map(asked_by, (ADA, BEN, EVE))
    assert ben.post("/api/edits", json=edits({"op": "add_class", "name": "water"}, mark(5))).status_code == 200
    assert ada.post("/api/edits", json=edits(mark(9))).status_code == 200
    for path, body in (
        ("/api/edits", edits(mark(7))),
        ("/api/undo", {"key": key()}),
        ("/api/jobs/train", {}),
        ("/api/scenes/field/review", {"locked": True}),
    ):
        answer = eve.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            403,
            "Eve may look and not change anything. Ask for the role 'label'.",
        )
    assert eve.patch("/api/settings", json={"pixels_per_mark": 3}).status_code == 403
    assert [one["author"] for one in eve.get("/api/scenes/field/marks").json()["marks"]] == ["Ben", "Ada"]
    assert eve.get("/api/people").json()["you"] == {"name": "Eve", "role": "read"}
    stranger = asked_by(Person("Mallory", "review", "another-0123456789"))
    assert stranger.get("/api/project").status_code == 401
    assert stranger.get("/").status_code == 401


def test_marks_of_a_reviewed_image_stay_as_they_are_whatever_is_tried(asked_by: As, session: Session) -> None:
    ada, ben = map(asked_by, (ADA, BEN))
    ben.post("/api/edits", json=edits({"op": "add_class", "name": "water"}, {"op": "add_class", "name": "land"}))
    ben.post("/api/edits", json=edits(mark(5, id="m")))
    refused = ben.post("/api/scenes/field/review", json={"locked": True})
    assert (refused.status_code, "Ask a reviewer" in refused.json()["error"]["message"]) == (403, True)
    assert ada.post("/api/scenes/field/review", json={"locked": True}).json()["reviews"] == {"field": "Ada"}
    for edit in (
        mark(8),
        {"op": "delete_mark", "id": "m"},
        {"op": "update_mark", "id": "m", "class_id": 2},
        {"op": "merge_class", "id": 1, "into": 2},
        {"op": "delete_class", "id": 1},
        {"op": "clear_marks"},
    ):
        answer = ada.post("/api/edits", json=edits(edit))
        assert answer.status_code == 403, edit
        assert "field was reviewed by Ada and its marks are locked" in answer.json()["error"]["message"]
    assert ben.post("/api/undo", json={"key": key()}).status_code == 403
    assert [one["id"] for one in ben.get("/api/scenes/field/marks").json()["marks"]] == ["m"]
    assert len(ben.get("/api/project").json()["classes"]) == 2
    ada.post("/api/scenes/field/review", json={"locked": False})
    assert ben.post("/api/undo", json={"key": key()}).status_code == 200


def test_sample_points_are_answered_in_ones_own_name_alone(asked_by: As, session: Session, tmp_path: Path) -> None:
    ada, ben = map(asked_by, (ADA, BEN))
    ben.post("/api/edits", json=edits({"op": "add_class", "name": "water"}, {"op": "add_class", "name": "land"}))
    (scene,) = session.project.scenes.values()
    shape = scene.grid.shape
    drawn = Segmentation(
        np.ones(shape, np.uint8), np.ones(shape, np.float32), np.ones(shape, bool), Legend.from_names(["water", "land"]), scene.grid
    )
    write_sample(design_sample(drawn, 20), tmp_path / "points.gpkg")
    sample = session.validation.add(tmp_path / "points.gpkg").id

    def answer(client: TestClient, name: str) -> Any:
        return client.post(f"/api/samples/{sample}/answers", json={"key": key(), "interpreter": name, "point": 3, "class_name": "land"})

    for name in ("Ada", "1", "file"):
        refused = answer(ben, name)
        assert refused.status_code == 403
        assert (
            refused.json()["error"]["message"]
            == f"the interpreter is {name!r}, expected 'Ben', whose token this is. Answer in your own name."
        )
        # Nor does anybody see what another said, but where differences are settled.
        for what in ("points", "progress"):
            assert ben.get(f"/api/samples/{sample}/{what}", params={"interpreter": name, "target": 0.02}).status_code == 403
    assert answer(ben, " Ben ").status_code == 200
    assert answer(ada, "Ada").json()["interpreters"] == {"Ada": 1, "Ben": 1}
    assert answer(ada, "(settled)").status_code == 200


@pytest.mark.parametrize("name", ["(settled)", "file"])
def test_nobody_is_named_as_answers_that_are_nobodys(tmp_path: Path, name: str) -> None:
    (tmp_path / "people.toml").write_text(f'[[people]]\nname = "{name}"\nrole = "label"\ntoken = "0123456789abcdef"\n')
    with pytest.raises(InputError, match="stands for answers that are nobody's own"):
        read_people(tmp_path / "people.toml")


def test_pages_say_where_they_are(asked_by: As, session: Session) -> None:
    ada, eve = map(asked_by, (ADA, EVE))
    told: list[str] = []
    session.events.subscribe(lambda kind, data: told.append(kind))
    eve.post("/api/presence", json={"page": "e1", "scene": "field", "row": 3, "col": 4})
    ada.post("/api/presence", json={"page": "a1", "scene": "field"})
    ada.post("/api/presence", json={"page": "a1", "scene": "field"})
    assert told == ["people", "people"], "only what is news"
    assert [(one["name"], one["row"]) for one in ada.get("/api/people").json()["pages"]] == [("Eve", 3), ("Ada", 0)]
    eve.post("/api/presence", json={"page": "e1", "scene": None})
    assert [one["name"] for one in ada.get("/api/people").json()["pages"]] == ["Ada"]
    assert ada.post("/api/presence", json={"page": "a1", "scene": "nowhere"}).status_code == 404


def test_a_link_with_a_token_lets_its_person_in_behind_a_public_name(session: Session) -> None:
    app = create_app(session, WebSettings(people=(ADA, BEN), public_url="https://labels.example.org"))
    with TestClient(app, base_url="https://labels.example.org", follow_redirects=False) as client:
        entered = client.get(f"/?token={BEN.token}")
        assert (entered.status_code, entered.headers["location"]) == (303, "./")
        assert {"HttpOnly", "Secure", "SameSite=strict"} <= set(entered.headers["set-cookie"].split("; "))
        assert client.get("/api/people").json()["you"]["name"] == "Ben"
        assert client.get("/api/health", headers={"Host": "evil.example"}).status_code == 403


def test_a_store_of_an_earlier_release_is_opened_and_its_marks_have_no_name(tmp_path: Path) -> None:
    import sqlite3

    project = open_project([write_image(tmp_path / "field.tif")])
    folder = project.folder
    project.close()
    with closing(sqlite3.connect(folder / "labels.gpkg")) as old:
        old.execute("ALTER TABLE marks DROP COLUMN author")
        old.execute("DROP TABLE pixelkin_reviews")
        old.commit()
    opened = Session(open_project([folder]), train=False)
    try:
        assert opened.project.store.reviews() == {}
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nobody"),
        ("[[people]", "cannot be read"),
        ("[[people]]\nname = 'A'\nrole = 'label'", "not complete"),
        ("[[people]]\nname = 'A'\nrole = 'boss'\ntoken = '0123456789abcdef'", "the role 'boss'"),
        ("[[people]]\nname = 'A'\nrole = 'label'\ntoken = 'short'", "5 characters"),
        ("\n".join(["[[people]]\nname = 'A'\nrole = 'label'\ntoken = '0123456789abcdef'"] * 2), "the name of 'A' twice"),
    ],
)
def test_a_file_of_people_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "people.toml").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_people(tmp_path / "people.toml")
    with pytest.raises(PkError, match="is not there"):
        read_people(tmp_path / "nowhere.toml")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists(), reason="nginx is not installed")
def test_the_documented_nginx_passes_everything_on(tmp_path: Path) -> None:
    """The example of the documentation as it stands, but for its certificate and its ports."""
    docs = (Path(__file__).parents[2] / "docs" / "labelling-page.md").read_text()
    (example,) = re.findall(r"```nginx\n(.*?)```", docs, re.DOTALL)
    behind, front = _free_port(), _free_port()
    example = (
        re.sub(r"\n    ssl_certificate.*", "", example).replace("listen 443 ssl", f"listen 127.0.0.1:{front}").replace("8642", str(behind))
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; "
        + " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + example
        + "}"
    )
    (tmp_path / "people.toml").write_text(
        "".join(f'[[people]]\nname = "{one.name}"\nrole = "{one.role}"\ntoken = "{one.token}"\n' for one in (BEN, EVE))
    )
    image, url = write_image(tmp_path / "field.tif"), f"http://labels.example.org:{front}"
    served = [
        sys.executable,
        "-m",
        "pixelkin",
        "serve",
        str(image),
        "--port",
        str(behind),
        "--no-open",
        "--no-train",
        "--people",
        str(tmp_path / "people.toml"),
    ]
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    processes = [
        subprocess.Popen([*served, "--public-url", url]),
        subprocess.Popen([nginx, "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]),
    ]

    def ask(path: str, person: Person, **more: Any) -> Any:
        headers = {
            "Host": f"labels.example.org:{front}",
            "Authorization": f"Bearer {person.token}",
            "Origin": url,
            **more.pop("headers", {}),
        }
        return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{front}{path}", headers=headers, **more), timeout=10)

    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                ask("/api/health", BEN).read()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with ask("/api/events", EVE) as events:
            assert events.readline() == b"event: hello\n"
            events.readline(), events.readline()
            body = b'{"key": "k1", "edits": [{"op": "add_class", "name": "water"}]}'
            assert ask("/api/edits", BEN, data=body, headers={"Content-Type": "application/json"}).status == 200
            assert events.readline() == b"event: revision\n", "news come at once, and not when a buffer is full"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask("/api/edits", EVE, data=body, headers={"Content-Type": "application/json"})
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
