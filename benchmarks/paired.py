"""Speed of this checkout and of another one, in turns: `python -m benchmarks.paired OTHER [--rounds 15]`.

Both decide by the nearest reference, local, as in the paper, on the same 512 x 512 pixels of 4 bands with 60 labels, and on one thread:

segment      from pixels and labels to the map, embedding included
click        one label more, embedding cached, until the new map of the whole image is there
page         from a mark to the four map tiles in view, through the API of the labelling page in one process, embeddings cached

Figures are the time of the processor that a process spent, which other programs hardly change. OTHER is a folder with `src/pixelkin`, such as one that `git worktree add` made.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORKER = """
import hashlib, sys, tempfile, time, warnings
from pathlib import Path
import numpy as np, rasterio, torch
from fastapi.testclient import TestClient
from pixelkin.model import Model, ModelConfig, Network, Standardisation
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.session import Session, open_project
from pixelkin.types import LabelledPixels
from pixelkin.web import WebSettings, create_app

warnings.simplefilter("ignore")
torch.set_num_threads(1)
SIZE, LABELS = 512, 60
rng = np.random.default_rng(0)
data = rng.integers(1, 255, (4, SIZE, SIZE), dtype=np.uint8)
scene = ArrayScene(data)
labels = LabelledPixels.from_arrays(rng.integers(0, SIZE, LABELS), rng.integers(0, SIZE, LABELS), np.arange(LABELS) % 4 + 1)
model = lambda bands: Model(Network(ModelConfig(bands=bands, patch_size=9), seed=0), Standardisation(np.full(4, 128, np.float32), np.full(4, 70, np.float32)), {})
fresh = lambda: Segmenter(model(scene.bands), measure="local", method="nearest", workers=1).fit(scene, labels)
clicked, number = fresh(), 0
clicked.predict(scene)

marked = np.zeros((SIZE, SIZE), bool)  # earlier versions gave labelled pixels the class of the nearest reference, too
marked[labels.rows, labels.cols] = True

def segment():
    return fresh().predict(scene).classes

def click():
    row, col = (41 * number + 7) % SIZE, (61 * number + 5) % SIZE
    marked[row, col] = True
    return clicked.add(scene, LabelledPixels.from_arrays([row], [col], [number % 4 + 1], labels.legend)).predict(scene).classes

folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
with rasterio.open(folder / "field.tif", "w", driver="GTiff", height=SIZE, width=SIZE, count=4, dtype="uint8", nodata=0, crs="EPSG:32631", photometric="minisblack", alpha="unspecified",
                   transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), tiled=True) as dataset:
    dataset.write(data)
project = open_project([folder / "field.tif"])
name, opened = next(iter(project.scenes.items()))
project.update(model=model(opened.bands).save(project.folder / "models" / "encoder-untrained.safetensors"))
project.close()
session = Session(open_project([folder / "field.tif"]), train=False)
client = TestClient(create_app(session, WebSettings()), base_url="http://localhost")
client.__enter__()
client.patch("/api/settings", json={"measure": "local"}).raise_for_status()

def edit(key, *edits):
    return client.post("/api/edits", json={"key": key, "edits": list(edits)}).raise_for_status().json()["revision"]

def mark(key, row, col, class_id):
    point = {"type": "Point", "coordinates": [int(col) + 0.5, int(row) + 0.5]}
    return edit(key, {"op": "add_mark", "scene": name, "class_id": int(class_id), "kind": "point", "geometry": point})

def tiles(revision):
    answer = client.get(f"/api/scenes/{name}/tiles/classes/{revision}/0", params={"at": "0,0;1,0;0,1;1,1"}).raise_for_status()
    assert len(answer.content) == 4 * (12 + 256 * 256), len(answer.content)
    found = np.empty((SIZE, SIZE), np.uint8)
    for record in np.frombuffer(answer.content, np.uint8).reshape(4, -1):
        x, y = record[:8].view("<u4").tolist()
        found[256 * y : 256 * y + 256, 256 * x : 256 * x + 256] = record[12:].reshape(256, 256)
    return found

edit("classes", *({"op": "add_class", "name": f"class {i}"} for i in range(1, 5)))
for i, (row, col, class_id) in enumerate(zip(labels.rows, labels.cols, labels.classes)):
    revision = mark(f"m{i}", row, col, class_id)
while not client.get("/api/project").json()["map"]["ready"]:
    time.sleep(0.1)
tiles(revision)
while client.get(f"/api/scenes/{name}/areas").json()["complete"] < 1:
    time.sleep(0.1)

def page():
    row, col = (43 * number + 7) % SIZE, (67 * number + 5) % SIZE
    marked[row, col] = True
    return tiles(mark(f"p{number}", row, col, number % 4 + 1))

print("ready", flush=True)
for line in sys.stdin:
    number += 1
    began = time.process_time()
    found = {"segment": segment, "click": click, "page": page}[line.strip()]()
    spent = time.process_time() - began
    print(spent, hashlib.sha256(np.where(marked, 0, found).tobytes()).hexdigest(), flush=True)
    time.sleep(0.3)  # what goes on behind an answer is not the next one's
"""


def worker(checkout: Path, folder: str) -> subprocess.Popen[str]:
    """A process that runs a checkout, ready to be asked."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=checkout
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        sys.exit(f"{checkout} cannot be measured: its process ended.")
    return process


def ask(process: subprocess.Popen[str], what: str) -> tuple[float, str]:
    """Seconds of the processor, and a hash of the map but for labelled pixels."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(what + "\n")
    process.stdin.flush()
    seconds, digest = process.stdout.readline().split()
    return float(seconds), digest


def main() -> None:
    """Measure in turns, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = [worker(checkout, folder) for checkout in (given.other.resolve(), ROOT)]
        for what in ("segment", "click", "page"):
            turns = [[ask(process, what) for process in pair] for _ in range(given.rounds + 1)][1:]
            before, now = (statistics.median(turn[i][0] for turn in turns) for i in (0, 1))
            ratio = statistics.median(turn[0][0] / turn[1][0] for turn in turns)
            same = all(turn[0][1] == turn[1][1] for turn in turns)
            print(
                f"{what}: {1000 * before:.0f} ms there, {1000 * now:.0f} ms here, {ratio:.2f} times as quick, {'the same map' if same else 'another map'}",
                flush=True,
            )
        for process in pair:
            process.kill()


if __name__ == "__main__":
    main()
