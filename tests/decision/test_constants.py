"""The numbers that somebody chose on the path from labels to a map are few, and each is in the ablation."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ablation = pytest.importorskip("benchmarks.ablation", reason="the benchmarks are not part of a release")

PACKAGE = Path(__file__).parents[2] / "src" / "pixelkin"
OTHERS = {
    # Where work is done, and how much is remembered.
    "blocks.BLOCK", "smoothing._AT_ONCE", "nearest._AT_ONCE", "nearest._SAMPLED_BLOCKS", "scorer._COLUMNS", "scorer._MOST_SCORES", "gaussian_process._COLUMNS",
    "gaussian_process._WHOLE", "gaussian_process._PANEL", "gaussian_process._SPARE",
    "training_set._MOST_IMAGES", "teaching.MOST_TAUGHT", "label_transfer._MOST_IMAGES", "backbone._MOST_IMAGES", "embeddings._KEPT", "embeddings._LOOKED_AT", "embeddings._AT_ONCE",
    # Guards of numbers.
    "scorer._LEAST", "backbone._BN_EPS", "references._WITNESSES",
    # The frozen network, and pixels between two of its outputs.
    "smoothing.STRIDE", "embeddings._GUIDES",
    # How a network that a user brings is looked at.
    "timm_backbone._ENLARGED", "timm_backbone._CELLS",
    # What is said of a map, and asked of its user.
    "calibration._FEWEST", "coverage.USUAL", "coverage.WARN", "suggestion.CANDIDATES",
}  # fmt: skip


def test_every_number_that_decides_a_map_is_in_the_ablation() -> None:
    found = set()
    for room in ("features", "decision"):
        for module in set((PACKAGE / room).glob("*.py")) - {
            PACKAGE / "decision" / "likeness.py"
        }:  # a search from one mark, not a map from labels
            for node in ast.parse(module.read_text()).body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float):
                    found |= {f"{module.stem}.{target.id}" for target in node.targets if isinstance(target, ast.Name)}
    listed = {constant.name for constant in ablation.CONSTANTS}
    assert found - OTHERS <= listed
    assert len(listed) <= 20


def test_the_table_of_the_documentation_says_what_the_numbers_are() -> None:
    text = (PACKAGE.parents[1] / "docs" / "internals" / "constants.md").read_text()
    assert f"{len(ablation.CONSTANTS)} numbers were chosen" in text
    for constant in ablation.CONSTANTS:
        module, name = constant.name.split(".")
        room = next(room for room in ("features", "decision") if (PACKAGE / room / f"{module}.py").exists())
        assert getattr(importlib.import_module(f"pixelkin.{room}.{module}"), name) == constant.value
        told = re.search(rf"^\| `{name}`[^|]*\| ([0-9.]+) \|", text, re.MULTILINE) or re.search(rf"`{name}` \(([0-9.]+)\)", text)
        assert told, f"{name} is not in the table"
        assert float(told[1]) == constant.value, name
