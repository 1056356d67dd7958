"""Schemathesis sends what the OpenAPI document allows, and what it does not, and reads every answer against it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from pixelkin.session import AddClass, AddMark, Session, open_project
from pixelkin.web import WebSettings, create_app

from .conftest import point, write_image


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    folder = tmp_path_factory.mktemp("schema")
    session = Session(open_project([write_image(folder / "field.tif")]), train=False)
    # Before labels, which are learnt in a thread: FastAPI silences warnings of its own, and threads share what is silenced.
    app = create_app(session, WebSettings(host="testserver"))
    session.edit([AddClass("water"), AddClass("land")])
    session.edit([AddMark("field", 1, "point", point(20, 30)), AddMark("field", 2, "point", point(200, 350))])
    session.engine.start()
    yield schemathesis.openapi.from_asgi("/api/openapi.json", app)
    session.close()


# The event stream never ends; training takes minutes.
_SKIPPED = ("/api/events", "/api/jobs/train")
_CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_what_the_document_says(api: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    tried = set()
    for result in api.get_all_operations():
        operation = result.ok()
        if operation.path in _SKIPPED:
            continue

        @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=_CHECKS)

        with contextlib.suppress(Unsatisfiable):  # a route without parameters has nothing that could be wrong
            check()
        tried.add(operation.path)
    assert len(tried) >= 25
