"""The tutorial does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tutorial.ipynb"


def test_every_cell_of_the_tutorial_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("localtileserver", reason="the tutorial's scene comes with the package localtileserver")
    mpl.use("agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    said = capsys.readouterr().out
    accuracy = float(said.partition("accuracy ")[2].split()[0])
    assert accuracy > 0.8
    assert "salt flat" in said
