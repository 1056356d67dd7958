"""What is released: a wheel and a source archive that work where there is no checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, built from the source archive, and that archive."""
    out = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return out


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of a new environment: pixelkin from the wheel, what it depends on from here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages(folder))
    # A folder named in a .pth file is searched, but .pth files in it, such as that of an editable pixelkin, are not read.
    (site_packages(folder) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(environment), "platbase": str(environment)}))


def run(python: Path, *arguments: str | Path, cwd: Path) -> str:
    """What a command prints, run outside the checkout and without its environment."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIXELKIN_SKIP_PAGE")}
    done = subprocess.run(
        [python, *arguments], cwd=cwd, env=clean, capture_output=True, text=True, encoding="utf-8", check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_carries_the_page_and_the_marks_of_the_demo_and_nothing_beside_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"pixelkin/web/static/index.html", "pixelkin/data/great_salt_lake.geojson", "pixelkin/py.typed"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pixelkin"}
    assert not [name for name in names if name.endswith((".tif", ".safetensors", ".map"))]


def test_the_source_archive_builds_without_npm(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"src/pixelkin/web/static/index.html", "frontend/package.json", "hatch_build.py", "LICENSE", "README.md"} <= names
    assert not [name for name in names if "node_modules" in name or name.startswith((".venv", "demo-out"))]


def test_an_index_would_take_both(distributions: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *distributions.iterdir()], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_it_is_the_wheel_that_runs(python: Path, tmp_path: Path) -> None:
    where = run(python, "-c", "import pixelkin; print(pixelkin.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(python.parents[1])
    assert "pixelkin" in run(python, "-m", "pixelkin", "--version", cwd=tmp_path)


def test_the_wheel_checks_itself(python: Path, tmp_path: Path) -> None:
    assert set(json.loads(run(python, "-m", "pixelkin", "doctor", "--json", cwd=tmp_path))["checks"].values()) == {"ok"}


def test_the_wheel_maps_a_scene(python: Path, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("localtileserver", reason="its Landsat scene is what is mapped")
    from pixelkin.demo import landsat

    with rasterio.open(landsat()) as source:
        profile, data = source.profile, source.read(window=((500, 756), (500, 756)))
        profile.update(height=256, width=256, transform=source.transform @ rasterio.Affine.translation(500, 500))
    with rasterio.open(tmp_path / "scene.tif", "w", **profile) as target:
        target.write(data)
        marks = [(*target.xy(row, col), name) for row, col, name in [(5, 5, "a"), (250, 250, "b"), (5, 250, "b"), (250, 5, "a")]]
    (tmp_path / "marks.csv").write_text("x,y,class\n" + "".join(f"{x},{y},{name}\n" for x, y, name in marks))
    run(python, "-m", "pixelkin", "segment", "scene.tif", "--raw", "--labels", "marks.csv", "--out", "map.tif", cwd=tmp_path)
    with rasterio.open(tmp_path / "map.tif") as made:
        classes = made.read(1)
    assert classes.shape == (256, 256)
    assert set(np.unique(classes).tolist()) <= {0, 1, 2}
    assert (classes[5, 5], classes[250, 250]) == (1, 2)
    project = json.loads(run(python, "-m", "pixelkin", "serve", "scene.tif", "--no-train", "--get", "/api/project", cwd=tmp_path))
    assert [scene["name"] for scene in project["scenes"]] == ["scene"]


@pytest.mark.parametrize(
    "file",
    ["CITATION.cff", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob(".github/workflows/*.yml"))), "packaging/conda/recipe.yaml"],
)
def test_what_robots_read_is_yaml_with_keys_each_once(file: str) -> None:
    yaml = pytest.importorskip("yaml")

    class Unique(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key) for key, _ in node.value]
            assert len(keys) == len(set(keys)), (file, keys)
            return super().construct_mapping(node, deep)

    document = yaml.load((ROOT / file).read_text(encoding="utf-8"), Unique)
    assert isinstance(document, dict)
    if file == "CITATION.cff":
        assert document["version"] == version("pixelkin")


def test_the_conda_recipe_asks_for_what_the_package_asks_for() -> None:
    """Dependencies stand in two files; the recipe's have conda's names for two of them, and the extra `web` with them."""
    yaml = pytest.importorskip("yaml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["web"]}
    renamed = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    wanted = {re.sub(r"^[\w-]+", lambda name: renamed.get(name[0], name[0]), one) for one in wanted}
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
    assert {one.replace(" ", "") for one in recipe["requirements"]["run"]} - {"python>=3.11"} == wanted
