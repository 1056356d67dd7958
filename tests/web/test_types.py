"""The types that the page gives to what the server says are those of the OpenAPI document, name for name.

They are written by hand, because they say more than the document can: which words a text may be, and tuples.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from pixelkin.web import schemas

TYPES = Path(__file__).parents[2] / "frontend" / "src" / "core" / "types.ts"
MODELS = {name: found for name, found in vars(schemas).items() if inspect.isclass(found) and issubclass(found, BaseModel)}


def interfaces() -> dict[str, set[str]]:
    """Fields of each interface; those of objects inside one do not count."""
    found = {}
    for name, body in re.findall(r"^export interface (\w+) \{\n(.*?)^\}", TYPES.read_text(encoding="utf-8"), re.M | re.S):
        found[name] = set(re.findall(r"^  (\w+)\??:", body, re.M))
    return found


CALLED = {
    **{name: name for name in ("ClassInfo", "LonLatMesh", "ModelInfo", "Changes", "SceneCoverage", "ImportPreview", "Areas", "PixelInfo", "ProfilePoint")},
    **{name: f"{name}Info" for name in ("Project", "Mark", "SuspectMark", "SuspectLabels", "Coverage", "Accuracy", "Job")},
    "Scene": "SceneInfo", "MapStatus": "MapInfo", "EditResult": "EditAnswer", "Overlap": "OverlapPixel", "ShareEstimate": "ShareInfo",
}  # fmt: skip
"""Interfaces of the page, and what the document calls them."""


@pytest.mark.skipif(not TYPES.exists(), reason="a release has no sources of the page")
@pytest.mark.parametrize("name", CALLED)
def test_the_page_knows_each_field_by_its_name(name: str) -> None:
    fields = {field.serialization_alias or field.alias or key for key, field in MODELS[CALLED[name]].model_fields.items()}
    assert interfaces()[name] == fields
