"""The documentation's table of layers is recomputed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixelkin.model import ModelConfig, Network

DOCUMENT = Path(__file__).parents[2] / "docs" / "method.md"


def documented() -> dict[str, tuple[str, str]]:
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.match(r"conv|dense|T_", cells[0]):
            rows[cells[0].split(",")[0].split(": **")[0]] = cells[3], cells[4]
    return rows


def figure(cell: str, patch_size: int) -> int:
    """The number of a cell, of the given patch size where it has several."""
    match = re.search(rf"([\d,]+) \(s = {patch_size}\)", cell)
    return int((match.group(1) if match else cell).replace(",", ""))


@pytest.mark.parametrize("patch_size", [9, 13])
def test_the_table_is_true(patch_size):
    network = Network(ModelConfig(bands=("a", "b", "c", "d"), patch_size=patch_size))
    encoder = network.encoder
    layers = {
        "conv 1": encoder.conv1,
        "conv 2": encoder.conv2,
        "conv 3": encoder.conv3,
        "dense": encoder.dense,
        "T_phi: f": network.local_critic.project_map,
        "T_phi: g": network.local_critic.project_shared,
        "T_theta: f": network.global_critic.project_map,
        "T_theta: g": network.global_critic.project_shared,
    }
    table = documented()
    assert set(table) == set(layers)
    for name, layer in layers.items():
        parameters = sum(p.numel() for p in layer.parameters())
        multiply_adds = sum(p.numel() for p in layer.parameters() if p.ndim == 4)
        assert figure(table[name][0], patch_size) == parameters, name
        assert figure(table[name][1], patch_size) == multiply_adds, name
