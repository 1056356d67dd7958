"""What the plugin repository of QGIS asks of a plugin, and what keeps it from breaking; needs no QGIS."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "qgis" / "pixelkin"
MODULES = sorted(PLUGIN.glob("*.py"))


@pytest.fixture(scope="module")
def metadata() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(PLUGIN / "metadata.txt", encoding="utf-8")
    return parser["general"]


def test_the_metadata_has_what_the_repository_asks_for(metadata):
    wanted = "name description about version qgisMinimumVersion author email repository tracker homepage license icon tags"
    assert all(metadata.get(key) for key in wanted.split())
    assert (metadata["qgisMinimumVersion"], metadata["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert metadata.getboolean("hasProcessingProvider")
    assert (PLUGIN / metadata["icon"]).is_file()
    assert (PLUGIN / "LICENSE").read_text() == (PLUGIN.parents[1] / "LICENSE").read_text()
    assert re.fullmatch(r"[\x20-\x7e]+", metadata["description"])


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_it_imports_the_standard_library_and_qgis_alone(module):
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            # Qt by way of qgis.PyQt, which is Qt 5 or Qt 6 as QGIS is.
            assert name.split(".")[0] in {*sys.stdlib_module_names, "qgis", "osgeo"}, f"{module.name}: {name}"


def unqualified(source: str) -> list[str]:
    """Enum members of classes of Qt that are named without their enum, and what else Qt 6 has no more."""
    tree = ast.parse(source)
    classes = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.PyQt")
        for alias in node.names
    }
    # In `Qt.MouseButton.LeftButton`, `Qt.MouseButton` is what another attribute is taken of.
    scopes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Name) and node.value.id in classes and node.attr[0].isupper() and id(node) not in scopes)
            or node.attr == "exec_"
        )
    ]


def test_what_is_not_qualified_is_found():
    source = "from qgis.PyQt.QtWidgets import QFrame, QSizePolicy as Size\nfrom qgis.PyQt.QtCore import Qt\n"
    bad = "QFrame.NoFrame; Qt.LeftButton; Size.Expanding; dialog.exec_()"
    assert unqualified(source + bad) == ["QFrame.NoFrame", "Qt.LeftButton", "Size.Expanding", "dialog.exec_"]
    assert not unqualified(
        source + "QFrame.Shape.NoFrame; Qt.MouseButton.LeftButton; Size.Policy.Expanding; Qt.mightBeRichText(a); Other.This"
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_enums_of_qt_are_qualified(module):
    """Qt 6 knows `Qt.MouseButton.LeftButton`, and no longer `Qt.LeftButton`."""
    assert not unqualified(module.read_text(encoding="utf-8"))
