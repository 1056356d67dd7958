"""Rows of a benchmark, as JSON and as a table."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure beside the one to reach."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool = False
    """True where more is better."""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def median_seconds(work: Callable[[], Any], runs: int = 5) -> float:
    """Median over runs, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{model}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit or "unknown",
    }


def write(name: str, rows: list[Row]) -> str:
    """Write `results/<name>.json` and `.md`; returns the table."""
    RESULTS.mkdir(exist_ok=True)
    facts = machine()
    document = {"machine": facts, "rows": [{**asdict(row), "met": row.met} for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    lines = ["| what | reached | to reach | met |", "|---|---|---|---|"]
    for row in rows:
        sign = ">=" if row.at_least else "<="
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"| {row.what}{note} | {row.value:,.3g} {row.unit} | {sign} {row.target:,g} {row.unit} | {'yes' if row.met else 'no'} |"
        )
    table = "\n".join(lines)
    (RESULTS / f"{name}.md").write_text(f"{table}\n\n{', '.join(f'{key} {value}' for key, value in facts.items())}\n")
    return table


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
