"""S at unit spread in training: what it does, and that folding it away afterwards changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pixelkin.features import embed
from pixelkin.model import ModelConfig, Network, ObjectiveOptions
from pixelkin.scene import ArrayScene
from pixelkin.training import PRESETS, train

CONFIG = ModelConfig(bands=("a", "b"), patch_size=7, z_dim=4, widths=(8, 8, 8), critic_width=8, critic_dim=4)


def test_folding_changes_no_value_and_leaves_the_layers_of_a_new_network():
    network = Network(CONFIG)
    layers = list(network.state_dict())
    network.encoder.normalise_shared()
    patches = 3 + 5 * torch.randn(64, 2, 7, 7, generator=torch.Generator().manual_seed(0))
    for _ in range(20):
        _, s = network.encoder(patches)
    np.testing.assert_allclose(s.detach().std(dim=0, correction=0).flatten(), 1, rtol=1e-3)
    network.eval()
    before = network.encoder(patches)[1]
    network.encoder.fold()
    np.testing.assert_allclose(network.encoder(patches)[1].detach(), before.detach(), rtol=1e-4, atol=1e-4)
    assert list(network.state_dict()) == layers


def test_a_strong_l1_term_does_not_shrink_the_representation():
    rng = np.random.default_rng(1)
    hills = gaussian_filter(rng.standard_normal((2, 60, 70)), (0, 5, 5)).astype(np.float32)
    scene = ArrayScene(100 + 400 * hills, bands=CONFIG.bands)
    options = replace(PRESETS["fast"], steps=60, batch_size=32, objective=ObjectiveOptions(gamma=100.0, positions=4))

    def spread(unit_spread: bool) -> float:
        model = train(scene, config=CONFIG, preset=replace(options, unit_spread=unit_spread), device="cpu")
        s = embed(model, scene, scene.grid.window).s
        return float(s.flatten(1).std(dim=1).median())

    assert 0.5 < spread(True) < 2
    assert spread(False) < 0.25
