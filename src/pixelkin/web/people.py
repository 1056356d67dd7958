"""Several people on one project: who they are, what they may, where they are, and which images were reviewed."""

from __future__ import annotations

import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from pydantic import Field

from ..assessment.interpretation import SETTLED
from ..errors import InputError, MissingFileError
from ..session.errors import ForbiddenError
from ..session.session import Session
from ..session.validation import FROM_FILE
from .bodies import Id
from .schemas import Schema

Role = Literal["read", "label", "review"]
"""What somebody may do: look; mark too; lock the marks of images, too."""
_SHORTEST_TOKEN = 16
_AWAY_S = 30.0
"""Without a word from a page for so long, nobody is there."""
_MOST_PAGES = 200


@dataclass(frozen=True)
class Person:
    """Somebody with a token of their own."""

    name: str
    role: Role
    token: str


def read_people(path: str | Path) -> tuple[Person, ...]:
    """People of a TOML file, a table `[[people]]` each with name, role and token.

    Raises:
        MissingFileError: The file is not there.
        InputError: It holds something else; the message says what.
    """
    try:
        entries = tomllib.loads(Path(path).read_text("utf-8")).get("people", [])
    except FileNotFoundError as exc:
        raise MissingFileError(f"{path} is not there, expected a TOML file of people. Correct --people.") from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InputError(f"{path} cannot be read ({exc}), expected a TOML file of people.") from exc
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} names nobody, expected a table [[people]] each with name, role and token.")
    people = tuple(_person(path, number, entry) for number, entry in enumerate(entries, 1))
    for what in ("name", "token"):
        values = [getattr(one, what) for one in people]
        twice = next((one.name for one in people if values.count(getattr(one, what)) > 1), None)
        if twice is not None:
            raise InputError(f"{path} gives the {what} of {twice!r} twice, expected each once. Change one of them.")
    return people


def _person(path: str | Path, number: int, entry: object) -> Person:
    if (
        not isinstance(entry, dict)
        or set(entry) != {"name", "role", "token"}
        or not all(isinstance(value, str) for value in entry.values())
    ):
        raise InputError(f"person {number} of {path} is not complete, expected name, role and token as text, and nothing else.")
    name, role, token = entry["name"], entry["role"], entry["token"]
    if not name.strip() or len(name) > 60 or not name.isprintable():
        raise InputError(f"person {number} of {path} has the name {name[:60]!r}, expected 1 to 60 printable characters.")
    if " ".join(name.split()) in (SETTLED, FROM_FILE):
        raise InputError(
            f"person {number} of {path} has the name {name!r}, which stands for answers that are nobody's own, expected another. Change it."
        )
    if role not in get_args(Role):
        raise InputError(f"{name} has the role {role!r} in {path}, expected one of {list(get_args(Role))}.")
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or set(token) & set(' ";,\\'):
        raise InputError(
            f"the token of {name} in {path} has {len(token)} characters, expected at least {_SHORTEST_TOKEN} letters and digits. "
            "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
    return Person(name.strip(), role, token)


def person_of(request: Request) -> Person | None:
    """Who asks; None where people have no tokens of their own."""
    person: Person | None = getattr(request.state, "person", None)
    return person


def name_of(request: Request) -> str:
    """Their name, or ''."""
    person = person_of(request)
    return "" if person is None else person.name


class You(Schema):
    """Who asks, and what they may."""

    name: str
    role: Role


class Presence(Schema):
    """Where a page is."""

    page: Id
    name: str
    scene: str
    row: float
    col: float


class PeopleInfo(Schema):
    """Who asks, who else is where, and which images were reviewed, by whom."""

    you: You
    pages: list[Presence]
    reviews: dict[str, str]


class PresenceBody(Schema):
    """Where the page is that asks; scene null = it is closed."""

    page: Id
    scene: Annotated[str, Field(max_length=200)] | None
    row: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0
    col: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0


class ReviewBody(Schema):
    """Whether the marks of an image are locked."""

    locked: bool


class _Pages:
    """Pages that are open, and when each last said so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[str, tuple[float, Presence]] = {}

    def put(self, page: str, presence: Presence | None) -> bool:
        """Note where a page is, None = gone; True where that is news."""
        now = time.monotonic()
        with self._lock:
            before = set(self._pages)
            self._pages = {key: value for key, value in self._pages.items() if now - value[0] < _AWAY_S}
            known = self._pages.pop(page, None)
            if presence is not None and len(self._pages) < _MOST_PAGES:
                self._pages[page] = now, presence
            return set(self._pages) != before or (known is not None and known[1] != presence)

    def all(self) -> list[Presence]:
        """Where all of them are, the longest there first."""
        now = time.monotonic()
        with self._lock:
            return [presence for seen, presence in sorted(self._pages.values(), key=lambda one: one[0]) if now - seen < _AWAY_S]


def add_people(router: APIRouter, session: Session) -> None:
    """Add the routes."""
    pages = _Pages()

    @router.get("/people")
    def people(request: Request) -> PeopleInfo:
        """Who asks, who else is where, and which images were reviewed."""
        person = person_of(request)
        you = You(name="" if person is None else person.name, role="review" if person is None else person.role)
        return PeopleInfo(you=you, pages=pages.all(), reviews=session.project.store.reviews())

    @router.post("/presence")
    def presence(request: Request, body: PresenceBody) -> PeopleInfo:
        """Say where a page is; to be said again every ten seconds, for a page that is silent for thirty is taken for closed."""
        at = None
        if body.scene is not None:
            session.project.scene(body.scene)
            at = Presence(page=body.page, name=name_of(request), scene=body.scene, row=body.row, col=body.col)
        if pages.put(body.page, at):
            session.events.publish("people", {})
        return people(request)

    @router.post("/scenes/{scene_id}/review")
    def review(request: Request, scene_id: Annotated[str, PathParameter(max_length=200)], body: ReviewBody) -> PeopleInfo:
        """Lock the marks of an image, or open them again; for reviewers alone, where people have roles."""
        person = person_of(request)
        if person is not None and person.role != "review":
            raise ForbiddenError(f"{person.name} has the role {person.role!r}, expected 'review' to lock or open an image. Ask a reviewer.")
        session.review(scene_id, name_of(request) if body.locked else None)
        return people(request)
