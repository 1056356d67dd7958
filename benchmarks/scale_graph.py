"""What a million tiles ask of a Dask scheduler: seconds a tile through `run_dask`, and memory if all were submitted at once.

Run: python benchmarks/scale_graph.py [--through 5000] [--held 100000]. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
from distributed import Client

from pixelkin.scale import TilePlan
from pixelkin.scale.dask import run_dask
from pixelkin.types import Grid, Window

TILES = 1_000_000


class NoWork:
    """A kernel whose tiles cost nothing, so that the scheduler is all that is measured."""

    def __init__(self) -> None:
        self.segmenter = SimpleNamespace(workers=1)

    def __call__(self, window: Window) -> bytes:
        """An empty tile."""
        return b""


def mib(process: psutil.Process) -> float:
    """Resident memory."""
    return process.memory_info().rss / 2**20


def main() -> None:
    """Measure a scheduler in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--through", type=int, default=5000, help="tiles to run")
    parser.add_argument("--held", type=int, default=100_000, help="tiles to leave waiting")
    arguments = parser.parse_args()
    plan = TilePlan(Grid(256_000, 256_000, (10, 0, 0, 0, -10, 0), None), 256)
    began = time.process_time()
    count = sum(1 for _ in plan.windows())
    report: dict[str, object] = {"tiles_planned": count, "plan_cpu_s": time.process_time() - began, "load": os.getloadavg()[0]}
    address = "tcp://127.0.0.1:38786"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "38786", "--no-dashboard", "--no-show"],
        stderr=subprocess.DEVNULL,
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    try:
        process = psutil.Process(scheduler.pid)
        with Client(address, timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            # The first tiles make scheduler and workers import what the kernel needs; growth is counted from there.
            warm = arguments.through // 5
            for done, _ in enumerate(
                run_dask(NoWork(), (plan.window(index) for index in range(arguments.through)), client, {"run": "simulation"}), 1
            ):
                if done == warm:
                    start, used, began = mib(process), sum(process.cpu_times()[:2]), time.perf_counter()
            report["through"] = {
                "tiles": done,
                "tiles_per_s_wall": (done - warm) / (time.perf_counter() - began),
                "scheduler_cpu_ms_per_tile": 1000 * (sum(process.cpu_times()[:2]) - used) / (done - warm),
                "scheduler_mib_after_a_fifth": start,
                "scheduler_mib_after_all": mib(process),
            }
            for worker in workers:
                worker.terminate()
                worker.wait()
            before, used, began, futures = mib(process), sum(process.cpu_times()[:2]), time.perf_counter(), []
            for first in range(0, arguments.held, 10_000):
                chunk = [plan.window(index) for index in range(first, min(arguments.held, first + 10_000))]
                futures += client.map(NoWork(), chunk, key=[f"pixelkin-tile-simulation-{w.row}-{w.col}" for w in chunk])
            while len(client.run_on_scheduler(lambda dask_scheduler: range(len(dask_scheduler.tasks)))) < arguments.held:
                time.sleep(0.5)
            grown = mib(process) - before
            report["held"] = {
                "tiles": arguments.held,
                "submitted_per_s_wall": arguments.held / (time.perf_counter() - began),
                "scheduler_cpu_ms_per_tile": 1000 * (sum(process.cpu_times()[:2]) - used) / arguments.held,
                "scheduler_kib_per_tile": grown * 1024 / arguments.held,
                "scheduler_gib_for_a_million": (before + grown * TILES / arguments.held) / 1024,
            }
    finally:
        for child in (*workers, scheduler):
            child.terminate()
            child.wait()
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
