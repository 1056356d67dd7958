"""How the labelling server holds up: `python -m benchmarks.session [durability|tiles|repaint|reopen|export|start IMAGE]`.

durability   2,000 marks and 500 undos with the server killed at random: nothing acknowledged may be lost, memory stays flat
tiles        20 clients that ask for image and map tiles for 60 s
repaint      from a mark to the answer of every map tile in view: 1 Mpx, 60 labels, an encoder, embeddings cached (no browser)
reopen       from starting the process on a project that was labelled before to all map tiles in view, with its cache folder and without
export       memory and time of writing map, confidence, polygons and areas of 6,000 x 6,000 pixels, and of the map alone
start        from starting the process to the first image tile of an image, e.g. a 10,000 x 10,000 COG
"""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import rasterio

ROOT = Path(__file__).parent.parent


def write_image(path: Path, height: int, width: int) -> Path:
    """Smooth fields with noise, four uint16 bands, tiled, with overviews."""
    rows, cols = np.indices((height, width))
    rng = np.random.default_rng(0)
    fields = 2000 + 900 * np.sin(rows / 90) * np.cos(cols / 70)
    data = np.stack([fields * (1 + band / 4) + rng.integers(0, 150, (height, width)) for band in range(4)]).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="COG", height=height, width=width, count=4, dtype="uint16", nodata=0, crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000), compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.write(data)
    return path


@contextmanager
def server(target: Path) -> Iterator[httpx.Client]:
    """`pixelkin serve` on loopback."""
    command = [sys.executable, "-m", "pixelkin", "serve", str(target), "--no-open", "--no-train", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().removeprefix("pixelkin is at ").strip()
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def draw(client: httpx.Client, scene: dict[str, Any], chance: random.Random, number: int) -> dict[str, Any]:
    """Mark one random pixel."""
    place = [chance.uniform(0, scene["width"]), chance.uniform(0, scene["height"])]
    mark = {
        "op": "add_mark",
        "scene": scene["id"],
        "class_id": 1 + number % 3,
        "kind": "point",
        "geometry": {"type": "Point", "coordinates": place},
    }
    return dict(client.post("/api/edits", json={"key": f"k{number}", "edits": [mark]}).raise_for_status().json())


def prepare(client: httpx.Client, labels: int) -> dict[str, Any]:
    """Three classes and some labels; waits until the map is there."""
    classes = [{"op": "add_class", "name": name} for name in ("water", "land", "rock")]
    client.post("/api/edits", json={"key": "classes", "edits": classes}).raise_for_status()
    scene = client.get("/api/project").json()["scenes"][0]
    chance = random.Random(1)
    for number in range(labels):
        draw(client, scene, chance, number)
    while not client.get("/api/project").json()["map"]["ready"]:
        time.sleep(0.1)
    while client.get(f"/api/scenes/{scene['id']}/areas").json()["complete"] < 1:
        time.sleep(0.5)
    return dict(scene)


def durability() -> dict[str, Any]:
    """2,000 marks, 500 undos, 20 kills."""
    sys.path.insert(0, str(ROOT))
    from tests.web.conftest import ServerProcess
    from tests.web.conftest import write_image as small_image
    from tests.web.durability import hammer

    with tempfile.TemporaryDirectory() as folder:
        process = ServerProcess(small_image(Path(folder) / "field.tif"))
        try:
            report = hammer(process, marks=2000, undos=500, kills=20, seed=3)
        finally:
            process.kill()
    return {
        "kills": report.kills,
        "lost": len(report.lost),
        "twice": len(report.twice),
        "seconds": round(report.seconds, 1),
        "memory_mb": [round(value) for value in report.memory_mb],
    }


def tiles(seconds: float = 60.0, clients: int = 20) -> dict[str, Any]:
    """Clients that ask for tiles one after another, each for itself."""
    with tempfile.TemporaryDirectory() as folder, server(write_image(Path(folder) / "field.tif", 3000, 3000)) as client:
        scene = prepare(client, 30)
        revision = client.get("/api/health").json()["revision"]
        across = -(-scene["width"] // 256)
        spent: list[float] = []
        errors: list[str] = []
        end = time.monotonic() + seconds

        def ask(number: int) -> None:
            chance = random.Random(number)
            with httpx.Client(base_url=client.base_url, timeout=30) as own:
                while time.monotonic() < end:
                    z = chance.choice([0, 0, 0, 1, 2])
                    x, y = (chance.randrange(max(1, across >> z)) for _ in range(2))
                    low = chance.randrange(50)  # so that most tiles are not in the server's cache
                    image = f"/api/scenes/{scene['id']}/image/{z}/{x}/{y}.png?bands=3,2,1&range={low},4000;{low},4000;{low},4000"
                    path = chance.choice([image, f"/api/scenes/{scene['id']}/tiles/classes/{revision}/{z}?at={x},{y}"])
                    began = time.perf_counter()
                    answer = own.get(path)
                    spent.append(time.perf_counter() - began)
                    if answer.status_code != 200:
                        errors.append(f"{answer.status_code} {path}")

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {
        "requests": len(spent),
        "errors": len(errors),
        "median_ms": round(1000 * statistics.median(spent), 1),
        "p95_ms": round(1000 * float(np.percentile(spent, 95)), 1),
    }


def with_encoder(image: Path) -> Path:
    """A project with an encoder, untrained: speed does not depend on what was learnt."""
    from pixelkin.model import Model, ModelConfig, Network, Standardisation
    from pixelkin.session import open_project

    project = open_project([image])
    config = ModelConfig(bands=next(iter(project.scenes.values())).bands, patch_size=13, z_dim=10)
    standard = Standardisation(np.full(4, 2000, np.float32), np.full(4, 900, np.float32))
    model = Model(Network(config, seed=0), standard, {})
    project.update(model=model.save(project.folder / "models" / "encoder-untrained.safetensors"))
    project.close()
    return project.folder


def view(client: httpx.Client, scene: dict[str, Any], pool: concurrent.futures.ThreadPoolExecutor, revision: int) -> None:
    """All map tiles of 1024 x 1024 pixels, over six connections as a browser does."""
    paths = [f"/api/scenes/{scene['id']}/tiles/classes/{revision}/0?at={x},{y}" for x, y in itertools.product(range(4), range(4))]
    for answer in pool.map(client.get, paths):
        answer.raise_for_status()


def mapped(client: httpx.Client) -> dict[str, Any]:
    """The project, once its map can be asked for."""
    while not (state := client.get("/api/project").json())["map"]["ready"]:
        time.sleep(0.02)
    return dict(state)


def reopen(runs: int = 5) -> dict[str, Any]:
    """1024 x 1024 pixels, 60 labels, an encoder: seconds until the map in view is there again, and from the next mark to its repaint."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(6) as pool:
        image = write_image(Path(folder) / "field.tif", 1024, 1024)
        project = with_encoder(image)
        with server(image) as client:
            view(client, prepare(client, 60), pool, client.get("/api/health").json()["revision"])
            time.sleep(5)
        out["cache_mb"] = round(sum(path.stat().st_size for path in (project / "cache").rglob("*.safetensors")) / 1e6)
        for cached in (True, False):
            opened, marked = [], []
            for run in range(runs):
                if not cached:
                    shutil.rmtree(project / "cache" / "blocks")
                began = time.perf_counter()
                with server(image) as client:
                    state = mapped(client)
                    view(client, state["scenes"][0], pool, state["revision"])
                    opened.append(time.perf_counter() - began)
                    began = time.perf_counter()
                    revision = draw(client, state["scenes"][0], random.Random(run), 5000 + 10 * run + cached)["revision"]
                    mapped(client)  # the kept map is shown before there is an engine
                    view(client, state["scenes"][0], pool, revision)
                    marked.append(time.perf_counter() - began)
            name = "with cache" if cached else "without"
            out[name] = {"map_in_view_s": [round(value, 2) for value in opened], "next_mark_s": [round(value, 2) for value in marked]}
    return out


_EXPORT = """
import json, sys, time
from pathlib import Path
from pixelkin.session import segment_project
import pixelkin.maps.polygons, pixelkin.raster, pixelkin.segmenter
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
before, began = peak(), time.perf_counter()
segment_project(sys.argv[1], sys.argv[2], formats=sys.argv[3:])
spent = time.perf_counter() - began
print(json.dumps({"seconds": round(spent), "peak_mb": peak() - before}))
"""


def export(side: int = 6000) -> dict[str, Any]:
    """Peak of the memory above what the libraries take, in a process of its own."""
    from pixelkin.session import AddClass, AddMark, Session, open_project

    out: dict[str, Any] = {"pixels": side * side}
    with tempfile.TemporaryDirectory() as folder:
        project = open_project([write_image(Path(folder) / "field.tif", side, side)])
        session = Session(project, train=False)
        session.edit([AddClass("water"), AddClass("land"), AddClass("rock")])
        chance = random.Random(1)
        for number in range(30):
            place = {"type": "Point", "coordinates": [chance.uniform(0, side), chance.uniform(0, side)]}
            session.edit([AddMark("field", 1 + number % 3, "point", place)])
        session.close()
        for formats in (["cog"], ["cog", "confidence", "polygons", "areas"]):
            command = [sys.executable, "-c", _EXPORT, str(project.folder), f"{folder}/{len(formats)}", *formats]
            out[" ".join(formats)] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return out


def repaint(marks: int = 40) -> dict[str, Any]:
    """Marks on 1024 x 1024 pixels, all 16 tiles fetched over six connections as a browser does."""
    from pixelkin.session import open_project

    out: dict[str, Any] = {}
    for method in ("learner on raw bands", "learner on features"):
        with tempfile.TemporaryDirectory() as folder:
            image = write_image(Path(folder) / "field.tif", 1024, 1024)
            if method == "learner on features":
                with_encoder(image)
            else:
                open_project([image]).close()
            with server(image) as client, concurrent.futures.ThreadPoolExecutor(6) as pool:
                scene = prepare(client, 60)
                chance, total, edit = random.Random(2), [], []
                for number in range(marks):
                    began = time.perf_counter()
                    revision = draw(client, scene, chance, 1000 + number)["revision"]
                    edit.append(time.perf_counter() - began)
                    view(client, scene, pool, revision)
                    total.append(time.perf_counter() - began)
                    client.post("/api/undo", json={"key": f"u{number}"}).raise_for_status()
                    while client.get(f"/api/scenes/{scene['id']}/areas").json()["complete"] < 1:
                        time.sleep(0.1)
                out[method] = {
                    "edit_median_ms": round(1000 * statistics.median(edit), 1),
                    "repaint_median_ms": round(1000 * statistics.median(total), 1),
                    "repaint_p95_ms": round(1000 * float(np.percentile(total, 95)), 1),
                }
    return out


def start(image: str) -> dict[str, Any]:
    """From a cold process, with a new project, to the bytes of the first tile."""
    spent = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "pixelkin",
                "serve",
                image,
                "--project",
                f"{folder}/p",
                "--no-open",
                "--no-train",
                "--port",
                "0",
            ]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("pixelkin is at ").strip()
            with httpx.Client(base_url=url, timeout=60) as client:
                scene = client.get("/api/project").json()["scenes"][0]
                client.get(f"/api/scenes/{scene['id']}/image/{scene['levels']}/0/0.png").raise_for_status()
                spent.append(time.perf_counter() - began)
            process.kill()
            process.wait()
    return {"first_tile_s": [round(value, 2) for value in spent]}


if __name__ == "__main__":
    commands = {"durability": durability, "tiles": tiles, "repaint": repaint, "reopen": reopen, "export": export, "start": start}
    name, *rest = sys.argv[1:] or ["durability"]
    print(json.dumps({name: commands[name](*rest)}, indent=1))
