"""The representations that the paper compares with: a variational autoencoder and Deep InfoMax.

Both use the encoder of `pixelkin.model.encoder`, so that what differs is the objective alone and the dense engine
takes them as they are. Deep InfoMax is our own objective without its second view: local and global mutual
information of a patch with its own representation (its prior matching term is left out).

Source:
    Kingma and Welling 2014, arXiv:1312.6114, Eq. 10 (Gaussian encoder, unit Gaussian prior).
    Hjelm et al. 2019, arXiv:1808.06670, Eq. 8.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .network import Network
from .objective import ObjectiveOptions
from .views import ViewOptions

NO_AUGMENTATION = ViewOptions(flip=False, rotate=False, shift=False, jitter=False, dates=False)
"""Both views are the patch itself."""


def deep_infomax(objective: ObjectiveOptions) -> tuple[ObjectiveOptions, ViewOptions]:
    """Objective and views that make our training Deep InfoMax: one view, no swap, no L1 term."""
    return replace(objective, gamma=0.0, swap=False), NO_AUGMENTATION


class VariationalAutoencoder(nn.Module):
    """Encoder to a Gaussian over S, decoder back to the patch."""

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.network = Network(config, seed=seed)
        _, second, third = config.widths
        first = config.patch_size - 6
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            self.log_variance = nn.Conv2d(third, config.z_dim, first)
            # The encoder's layers in reverse: from one vector to the patch.
            self.decoder = nn.Sequential(
                nn.ConvTranspose2d(config.z_dim, third, first), nn.ReLU(),
                nn.ConvTranspose2d(third, second, 3), nn.ReLU(),
                nn.ConvTranspose2d(second, config.widths[0], 3), nn.ReLU(),
                nn.ConvTranspose2d(config.widths[0], len(config.bands), 3),
            )  # fmt: skip

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        """Negative evidence lower bound of patches (n, band, s, s), up to a constant: nats a patch, a scalar.

        `noise` is (n, z_dim, 1, 1), unit Gaussian.

        The patch is Gaussian of unit spread about the decoder's output, which suits standardised bands.
        """
        encoder = self.network.encoder
        deep = encoder.conv3(encoder.feature_map(x))
        mean, log_variance = encoder.dense(deep), self.log_variance(deep).clamp(-10, 10)
        decoded = self.decoder(mean + (0.5 * log_variance).exp() * noise)
        error = 0.5 * (decoded - x).square().flatten(1).sum(1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)
        total: Tensor = (error + divergence).mean()
        return total
