"""Train an encoder in a process of its own: `python -m pixelkin.session.train_worker`.

The page must answer while it runs, so it has its own interpreter and gives way to others. It reads one line of JSON
{"project": folder, "scenes": [ids], "model": path, "preset": ..., "steps": n | null} from standard input, writes a line of
JSON for each step to standard output, and ends when its input closes: a killed server leaves no trainer behind.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> int:
    """Run one training; returns the exit code."""
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)

    import torch

    from ..errors import PkError
    from ..training import TrainingProgress, train
    from .project import read_sources

    torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // 2)))

    def tell(progress: TrainingProgress) -> None:
        _say({"step": progress.step, "steps": progress.steps, "seconds_left": progress.seconds_left})

    try:
        sources = [part.imagery for source in read_sources(Path(task["project"])) if (part := source.only(task["scenes"]))]
        model = train(sources, preset=task["preset"], steps=task["steps"], seed=0, progress=tell)
        model.save(task["model"], overwrite=True)
    except PkError as exc:
        _say({"error": {"type": type(exc).__name__, "message": str(exc)}})
        return 2
    _say({"hash": model.hash})
    return 0


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
