"""Which rooms may touch the outside world, and how quickly the package starts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

OUTSIDE = ("rasterio", "geopandas", "dask", "fastapi", "matplotlib", "click")


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(m.split('.')[0] for m in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_pixelkin_loads_neither_torch_nor_gdal():
    assert not loaded("import pixelkin") & {"torch", "numpy", *OUTSIDE}


@pytest.mark.parametrize(
    "room", ["types", "scene", "model", "features", "similarity", "decision", "engine", "training", "segmenter", "finding", "coverage"]
)
def test_pure_rooms_open_no_files(room):
    assert not loaded(f"import pixelkin.{room}") & set(OUTSIDE)


def test_images_are_shown_before_torch_is_there():
    """Which takes seconds to load: the page opens at once."""
    assert not loaded("import pixelkin.web.server, pixelkin.session.project, pixelkin.raster") & {"torch", "sklearn", "geopandas"}


ORDER = (
    "errors", "silence", "types", "crs", "encoding", "scene", "inputs", "files", "model", "features", "similarity", "workers", "decision", "blockcache", "engine", "segmentation",
    "labelled", "estimator", "segmenter", "finding", "coverage", "portable", "training", "raster", "labels", "maps", "assessment", "products", "experiments", "scale", "session", "demo", "web", "cli",
)  # fmt: skip
"""Rooms, each importing from those before it only: imagery, features, decision, engine, Segmentation, products."""
PACKAGE = Path(__file__).parents[1] / "src" / "pixelkin"


def imported(module: Path) -> set[str]:
    """Modules of the package, by dotted name below it, that a module imports, at its head or in a function; for type checkers only do not count."""
    package = module.relative_to(PACKAGE).parent.parts

    def walk(node: ast.AST) -> set[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return set()
        found = {name for child in ast.iter_child_nodes(node) for name in walk(child)}
        if isinstance(node, ast.ImportFrom):
            path = (node.module or "").split(".") if node.module else []
            if node.level:
                path = [*package[: len(package) - node.level + 1], *path]
            elif path[:1] == ["pixelkin"]:
                path = path[1:]
            else:
                return found
            found |= {".".join(path)} if path else {alias.name for alias in node.names}
            found |= {".".join([*path, alias.name]) for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("pixelkin.") for alias in node.names if alias.name.startswith("pixelkin.")}
        return found

    return walk(ast.parse(module.read_text()))


def test_rooms_import_one_way():
    broken = []
    for module in sorted(PACKAGE.rglob("*.py")):
        room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        assert room in ORDER, f"{room} has no place in the order of rooms"
        for name in imported(module):
            other = name.split(".")[0]
            if other in ORDER and ORDER.index(other) > ORDER.index(room):
                broken.append(f"{module.relative_to(PACKAGE)} imports {name}")
    assert not broken


def test_no_circle_of_modules():
    names = {
        ".".join(module.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): module for module in PACKAGE.rglob("*.py")
    }
    graph = defaultdict(set)
    for name, module in names.items():
        # A package is what imports its modules; that they import each other is told module by module.
        if module.name != "__init__.py":
            graph[name] = {other for other in imported(module) if other in names and names[other].name != "__init__.py"} - {name}
    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_modules_and_classes_are_short_enough_to_read_at_once():
    lengths = {}
    for module in sorted(PACKAGE.rglob("*.py")):
        name, text = str(module.relative_to(PACKAGE)), module.read_text()
        lengths[name] = len(text.splitlines()), 400
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                lengths[f"{name}: {node.name}"] = node.end_lineno - node.lineno + 1, 250
    assert {name: length for name, (length, most) in lengths.items() if length > most} == {}


def test_few_modules_look_rooms_up_by_name():
    """Packages, so that importing them is quick; a Segmentation, whose methods are functions of rooms above it, and inputs, for xarray."""
    modules = {m.stem for m in PACKAGE.rglob("*.py") if "import_module(" in m.read_text()}
    assert modules == {"__init__", "segmentation", "inputs"}


def test_every_public_name_is_there():
    import pixelkin

    for name in pixelkin.__all__:
        assert getattr(pixelkin, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pixelkin.nothing
