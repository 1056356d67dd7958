"""One click after another, beside another state of the package: `python -m benchmarks.clicks [CHECKOUT]`.

Vegas continued to 782 x 622 x 4, the default method without a model, features cached, 66 labels and more. Of CHECKOUT (default: of this one alone) and of this checkout each
in a process of its own, clicks take turns, because a machine is never quiet. A click is one label more and the new map: `add` and `predict` in Python, with labels checked and
confidence; on the page classes alone, and nothing is checked. Bands alone, where the image has no bands of a photograph: `--features bands`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
LABELS, CLICKS = 66, 24


def answer(features: list[str] | None) -> None:
    """A click at every line that comes in."""
    import pixelkin as pk
    from pixelkin.types import LabelledPixels

    from .similarity import DATA, VEGAS, band, draw

    warnings.simplefilter("ignore")
    image, truth = pk.open_scene(DATA / "vegas" / "image.tif"), band(DATA / "vegas" / "classes.tif")
    around = (0, 782 - truth.shape[0]), (0, 622 - truth.shape[1])
    scene = pk.ArrayScene(np.pad(image.read().data, ((0, 0), *around), mode="symmetric"), bands=image.bands)
    labels = draw(np.pad(truth, around, mode="symmetric"), VEGAS, 200, 0)
    order = np.random.default_rng(0).permutation(len(labels))

    def some(start: int, stop: int) -> LabelledPixels:
        at = order[start:stop]
        return LabelledPixels.from_arrays(labels.rows[at], labels.cols[at], labels.classes[at], VEGAS)

    python = pk.Segmenter(features=features).fit(scene, some(0, LABELS))
    page = pk.Segmenter(features=features, check_labels=False).fit(scene, some(0, LABELS))
    python.predict(scene)
    page.classify(scene)
    at = LABELS
    print("ready", flush=True)
    for _ in sys.stdin:
        times = [time.perf_counter()]
        python.add(scene, some(at, at + 1))
        found = python.predict(scene)
        times.append(time.perf_counter())
        page.add(scene, some(at, at + 1))
        classes, _ = page.classify(scene)
        times.append(time.perf_counter())
        assert (classes == found.classes).all()
        print(json.dumps([*np.diff(times).tolist(), zlib.crc32(classes.tobytes())]), flush=True)
        at += 1


def started(checkout: Path, features: tuple[str, ...]) -> subprocess.Popen[str]:
    """A process that answers, with the package of a checkout."""
    command = [sys.executable, "-m", "benchmarks.clicks", "--answer", *(word for name in features for word in ("--features", name))]
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def asked(process: subprocess.Popen[str]) -> list[float]:
    """What it says to one click: seconds in Python and on the page, and a sum of the map."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return list(json.loads(process.stdout.readline()))


@click.command()
@click.argument("checkout", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--features", multiple=True, help="Sources; default those of the package.")
@click.option("--answer", "answers", is_flag=True, hidden=True)
def main(checkout: Path | None, features: tuple[str, ...], answers: bool) -> None:
    """Time clicks."""
    if answers:
        return answer(list(features) or None)
    processes = [started(path.absolute(), features) for path in ([checkout] if checkout else []) + [ROOT]]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    rows = []
    for number in range(CLICKS):
        turn = processes[:: 1 if number % 2 else -1]
        said = [asked(process) for process in turn][:: 1 if number % 2 else -1]
        rows.append(said)
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    spent = np.array(rows)
    out: dict[str, Any] = {"clicks": CLICKS, "cores": os.cpu_count()}
    for k, name in enumerate(("python", "page")):
        here = spent[:, -1, k]
        out[name] = {"median_s": round(float(np.median(here)), 3), "least_s": round(float(here.min()), 3)}
        if checkout:
            before = spent[:, 0, k]
            out[name] |= {
                "before_median_s": round(float(np.median(before)), 3), "before_least_s": round(float(before.min()), 3),
                "median_of_ratios": round(float(np.median(here / before)), 2), "largest_ratio": round(float((here / before).max()), 2),
            }  # fmt: skip
    if checkout:
        out["same_map"] = bool((spent[:, 0, 2] == spent[:, -1, 2]).all())
    print(json.dumps(out, indent=1))
    return None


if __name__ == "__main__":
    main()
