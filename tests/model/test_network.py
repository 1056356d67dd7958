"""The paper's networks: sizes, equations, and the property on which the dense engine rests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.networks import random_model

from pixelkin.errors import InputError, ModelError
from pixelkin.model import Draw, Model, ModelConfig, Network, ObjectiveOptions, draw, objective
from pixelkin.model.objective import jensen_shannon
from pixelkin.scene import ArrayScene


@pytest.mark.parametrize("critic", ["separable", "concatenated"])
@pytest.mark.parametrize(("bands", "patch_size", "z_dim"), [(1, 7, 10), (4, 9, 10), (4, 13, 32), (7, 21, 3)])
def test_any_odd_patch_any_bands_any_z(critic, bands, patch_size, z_dim):
    config = ModelConfig(bands=tuple("abcdefg"[:bands]), patch_size=patch_size, z_dim=z_dim, critic=critic)
    network = Network(config).eval()
    c, s = network.encoder(torch.randn(2, bands, patch_size, patch_size))
    assert c.shape == (2, 64, patch_size - 4, patch_size - 4)
    assert s.shape == (2, z_dim, 1, 1)
    assert network.global_critic(c, s).shape == (2, 1, 1)
    assert network.local_critic(c, s).shape == (2, patch_size - 4, patch_size - 4)
    assert config.positions == (patch_size - 4) ** 2


@pytest.mark.parametrize(
    ("patch_size", "message"), [(8, "patch_size is 8, expected an odd"), (5, "patch_size is 5, expected an odd number of pixels >= 7")]
)
def test_patch_sizes_that_cannot_work(patch_size, message):
    with pytest.raises(InputError, match=message):
        ModelConfig(bands=("a",), patch_size=patch_size)


def test_a_patch_network_is_a_convolution_of_the_image():
    """What the encoder says of the patch around a pixel is what it says there of the whole image."""
    model = random_model(patch_size=11)
    image = torch.randn(1, 3, 30, 34)
    with torch.inference_mode():
        c, s = model.network.encoder(image)
        c_patch, s_patch = model.network.encoder(image[:, :, 7:18, 12:23])
    torch.testing.assert_close(s[:, :, 7, 12], s_patch[:, :, 0, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(c[:, :, 7:14, 12:19], c_patch, rtol=1e-4, atol=1e-5)


def test_the_fused_encoder_is_the_encoder():
    model = random_model()
    x = torch.randn(3, 40, 40)
    with torch.inference_mode():
        expected = model.network.encoder(x[None])
    for ours, theirs in zip(model.embed(x), expected, strict=True):
        torch.testing.assert_close(ours, theirs[0], rtol=1e-4, atol=1e-5)


def test_jensen_shannon_is_equation_3():
    joint, product = torch.tensor([2.0, -1.0]), torch.tensor([0.5])
    expected = np.mean([-math.log(1 + math.exp(-2)), -math.log(1 + math.exp(1))]) - math.log(1 + math.exp(0.5))
    assert float(jensen_shannon(joint, product)) == pytest.approx(expected, rel=1e-6)
    blind = torch.zeros(5)
    assert float(jensen_shannon(blind, blind)) == pytest.approx(-2 * math.log(2))


def drawn(options: ObjectiveOptions, n: int, positions: int, seed: int = 0) -> Draw:
    return draw(options, torch.zeros(n, dtype=torch.long), positions, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("critic", ["separable", "concatenated"])
@pytest.mark.parametrize("swap", [True, False])
def test_the_objective_is_equations_4_to_7_written_out(critic, swap):
    """Against a loop over pairs, positions and the shuffle."""
    network = random_model(critic=critic, patch_size=7).network
    n = 4
    x, y = torch.randn(n, 3, 7, 7), torch.randn(n, 3, 7, 7)
    with torch.inference_mode():
        ours = objective(network, x, y, ObjectiveOptions(swap=swap), drawn(ObjectiveOptions(), n, 9, seed=3))
        roll = int(torch.randperm(n - 1, generator=torch.Generator().manual_seed(3))[0]) + 1
        (c_x, s_x), (c_y, s_y) = network.encoder(x), network.encoder(y)

        def softplus(value: float) -> float:
            return math.log1p(math.exp(value))

        global_mi = local_mi = 0.0
        for c, s in ((c_x, s_y), (c_y, s_x)) if swap else ((c_x, s_x), (c_y, s_y)):
            for i in range(n):
                other = (i - roll) % n
                global_mi -= softplus(-float(network.global_critic(c[i : i + 1], s[i : i + 1]))) / n
                global_mi -= softplus(float(network.global_critic(c[other : other + 1], s[i : i + 1]))) / n
                for j in range(3):
                    for k in range(3):
                        at = slice(j, j + 1), slice(k, k + 1)
                        local_mi -= softplus(-float(network.local_critic(c[i : i + 1, :, *at], s[i : i + 1]))) / n
                        local_mi -= softplus(float(network.local_critic(c[other : other + 1, :, *at], s[i : i + 1]))) / n
        l1 = float((s_x - s_y).abs().sum()) / n
    assert float(ours.global_mi) == pytest.approx(global_mi, rel=1e-4)
    assert float(ours.local_mi) == pytest.approx(local_mi, rel=1e-4)
    assert float(ours.l1) == pytest.approx(l1, rel=1e-4)
    assert float(ours.loss) == pytest.approx(-(0.5 * global_mi + local_mi - 0.1 * l1), rel=1e-4)


def test_partners_are_shuffles_within_images_or_between_them():
    images = torch.tensor([0, 2, 1, 0, 2, 1, 0, 2, 1, 2])
    for seed in range(20):
        for which, alike in (("same image", True), ("other images", False)):
            options = ObjectiveOptions(partners=which, negatives=2)
            for partners in draw(options, images, 9, torch.Generator().manual_seed(seed)).partners:
                assert sorted(partners.tolist()) == list(range(10))
                assert (images[partners] == images).all() if alike else not (images[partners] == images).any()
                assert (partners != torch.arange(10)).all()
    with pytest.raises(InputError, match="5 of 9 pairs are from one image, expected half at most"):
        draw(ObjectiveOptions(partners="other images"), torch.tensor([0] * 5 + [1] * 4), 9, torch.Generator())


def test_a_subset_of_positions_estimates_the_sum_over_all():
    network = random_model(patch_size=9).network
    x, y = torch.randn(32, 3, 9, 9), torch.randn(32, 3, 9, 9)
    with torch.inference_mode():
        whole = float(objective(network, x, y, ObjectiveOptions(), drawn(ObjectiveOptions(), 32, 25)).local_mi)
        some = ObjectiveOptions(positions=5)
        estimates = [float(objective(network, x, y, some, drawn(some, 32, 25, seed=k)).local_mi) for k in range(60)]
    assert np.mean(estimates) == pytest.approx(whole, rel=0.1)


def test_building_a_network_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Network(ModelConfig(bands=("a",)), seed=9)
    torch.testing.assert_close(torch.rand(1), expected, rtol=0, atol=0)


def test_bands_are_matched_by_name_then_by_order():
    model = random_model()
    data = np.zeros((3, 5, 5), np.uint8)
    assert model.band_index(ArrayScene(data, bands=("band_3", "band_1", "band_2"))) == [1, 2, 0]
    assert model.band_index(ArrayScene(data, bands=("red", "green", "blue"))) == [0, 1, 2], "the model's bands have no names"
    named = Model(Network(ModelConfig(bands=("red", "nir"))), model.standardisation)
    with pytest.raises(ModelError, match=r"array has bands \['red', 'green', 'blue'\], the model expects \['red', 'nir'\]"):
        named.band_index(ArrayScene(data, bands=("red", "green", "blue")))
