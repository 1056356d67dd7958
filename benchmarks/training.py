"""How fast training is, alone and beside other work, and whether threads change what it learns.

    python -m benchmarks.training                        # pairs/s on 1, 2, ... threads, and the hash of the model each gives
    python -m benchmarks.training --load 2               # the same beside two programs that never rest
    python -m benchmarks.training --beside ../old/src    # and for the pixelkin of another folder, in turns

Every run is a process of its own, as `pixelkin train` is. Other work is pure Python that takes a core each and all that it is given.
The imagery is generated (four bands, 512 x 512): speed does not depend on what is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"

RUN = """
import json, sys, time
threads, steps, preset = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
import numpy as np, torch
torch.set_num_threads(threads)
import pixelkin as pk
rng = np.random.default_rng(0)
data = np.kron(rng.integers(20, 200, (4, 64, 64)), np.ones((8, 8))) + rng.normal(0, 9, (4, 512, 512))
times = []
def tell(progress):
    times.append(time.perf_counter())
model = pk.train(pk.ArrayScene(data.astype(np.float32)), preset=preset, steps=steps, device="cpu", progress=tell)
print(json.dumps({"seconds_a_step": (times[-1] - times[2]) / (len(times) - 3), "hash": model.hash[:12]}))
"""


@contextmanager
def load(programs: int) -> Iterator[None]:
    """Other programs that never rest, for a while."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for program in busy:
            program.kill()
            program.wait()


def measure(source: Path, threads: int, steps: int, preset: str) -> dict[str, Any]:
    """Seconds a step, but for the first three, and the model's hash."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", RUN, str(threads), str(steps), preset]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
    return found


def main() -> None:
    """Measure, in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", type=int, default=0, metavar="N", help="Busy programs beside it.")
    parser.add_argument("--threads", type=int, action="append", help="Default: 1 and one a core.")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--rounds", type=int, default=3, help="Runs of each, in turns; the median counts.")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="SRC", help="Source folder of another pixelkin.")
    asked = parser.parse_args()
    threads = asked.threads or sorted({1, os.cpu_count() or 1})
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with load(asked.load):
        for _ in range(asked.rounds):
            for source in (SOURCE, *asked.beside):
                for count in threads:
                    found.setdefault((str(source), count), []).append(measure(source, count, asked.steps, asked.preset))
    print(f"preset {asked.preset}, {asked.steps} steps, {asked.load} busy programs, {os.cpu_count()} cores")
    print("| source | threads | ms a step | model |\n|---|---|---|---|")
    for (source, count), runs in found.items():
        milliseconds = 1000 * statistics.median(run["seconds_a_step"] for run in runs)
        print(
            f"| {'this' if source == str(SOURCE) else source} | {count} | {milliseconds:.0f} | {', '.join({run['hash'] for run in runs})} |"
        )


if __name__ == "__main__":
    main()
