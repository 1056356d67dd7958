"""The baseline encoders: the right objective, and the same dense path as ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pixelkin.experiments.encoders import DEEP_INFOMAX, OURS, VAE, ModelStore, train_vae
from pixelkin.model import ModelConfig, ObjectiveOptions, draw, objective
from pixelkin.model.baselines import NO_AUGMENTATION, VariationalAutoencoder, deep_infomax
from pixelkin.model.network import Network
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.training import PRESETS
from pixelkin.types import LabelledPixels

CONFIG = ModelConfig(bands=("a", "b"), patch_size=9, z_dim=4, widths=(8, 8, 8))


@pytest.fixture
def scene(rng: np.random.Generator) -> ArrayScene:
    row, col = np.mgrid[:48, :40]
    data = np.stack([np.sin(row / 4) + 0.2 * np.cos(col / 5), np.cos(row / 4)]) + 0.05 * rng.normal(size=(2, 48, 40))
    return ArrayScene(data.astype(np.float32), bands=CONFIG.bands)


def test_the_vae_loss_is_the_negative_evidence_lower_bound():
    vae = VariationalAutoencoder(CONFIG).eval()
    x = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(6, CONFIG.z_dim, 1, 1, generator=torch.Generator().manual_seed(7))
    loss = vae.loss(x, noise)
    deep = vae.network.encoder.conv3(vae.network.encoder.feature_map(x))
    posterior = Normal(vae.network.encoder.dense(deep), (vae.log_variance(deep) / 2).exp())
    z = posterior.mean + posterior.stddev * noise
    decoded = vae.decoder(z)
    assert decoded.shape == x.shape
    likelihood = Normal(decoded, 1.0).log_prob(x).flatten(1).sum(1) + 0.5 * np.log(2 * np.pi) * x[0].numel()
    divergence = kl_divergence(posterior, Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(loss, (divergence - likelihood).mean())


def test_the_vae_learns_what_places_look_like_and_is_repeatable(scene):
    options = replace(PRESETS["fast"], steps=60, batch_size=64, views=NO_AUGMENTATION)
    steps: list[tuple[int, int]] = []
    model = train_vae([scene], CONFIG, options, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (60, 60)
    assert model.hash == train_vae([scene], CONFIG, options).hash
    assert model.hash != train_vae([scene], CONFIG, replace(options, seed=1)).hash
    # S tells places apart: pixels of one phase of the pattern lie closer than pixels of the opposite one.
    seg = Segmenter(model, measure="l1").fit(scene, LabelledPixels.from_arrays([6, 19], [2, 2], [1, 2]))
    classes = seg.predict(scene).classes
    assert classes[31, 2] == 1
    assert classes[44, 2] == 2


def test_deep_infomax_asks_a_patch_about_itself():
    """Our objective under its options is the sum of local and global mutual information of (C(x), S(x)), without L1."""
    options, views = deep_infomax(ObjectiveOptions())
    assert views == NO_AUGMENTATION
    network = Network(CONFIG).eval()
    x = torch.randn(5, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    drawn = draw(options, torch.zeros(5, dtype=torch.long), 25, torch.Generator().manual_seed(2))
    terms = objective(network, x, x, options, drawn)
    assert terms.l1 == 0
    swapped = objective(network, x, x, ObjectiveOptions(gamma=0.0), drawn)
    torch.testing.assert_close(terms.loss, swapped.loss)


def test_models_are_trained_once_and_by_content(scene, tmp_path):
    base = replace(PRESETS["fast"], steps=3, batch_size=16)
    store = ModelStore(tmp_path, "imagery")
    keys = set()
    for encoder in (OURS, DEEP_INFOMAX, VAE):
        options, config = encoder.resolve(base, scene.bands, 9)
        key = store.key(encoder, options, config)
        keys.add(key)
        assert not store.has(key)
        hash_of_first = store.get(encoder, options, config, [scene]).hash
        assert store.has(key)
        assert ModelStore(tmp_path, "imagery").get(encoder, options, config, []).hash == hash_of_first
        assert not ModelStore(tmp_path, "other imagery").has(ModelStore(tmp_path, "other imagery").key(encoder, options, config))
    assert len(keys) == 3
    assert not list(tmp_path.glob("*.part"))
