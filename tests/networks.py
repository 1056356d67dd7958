"""Small untrained networks: exactness does not depend on what the weights have learned."""

from __future__ import annotations

import numpy as np
import torch

from pixelkin.model import Model, ModelConfig, Network, Standardisation


def random_model(
    *, bands: int = 3, patch_size: int = 9, z_dim: int = 5, critic: str = "separable", seed: int = 0, sharp: float = 1.5
) -> Model:
    """A model of random weights, scaled up so that distances differ well, with batch norm statistics that are not trivial."""
    config = ModelConfig(
        bands=tuple(f"band_{i + 1}" for i in range(bands)),
        patch_size=patch_size,
        z_dim=z_dim,
        widths=(8, 12, 8),
        critic=critic,
        critic_width=10,
        critic_dim=6,
    )
    network = Network(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(sharp)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
                module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return Model(network, Standardisation(np.full(bands, 120, np.float32), np.full(bands, 60, np.float32)))
