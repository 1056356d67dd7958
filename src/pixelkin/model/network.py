"""Encoder and critics as one module."""

from __future__ import annotations

import torch
from torch import nn

from .config import ModelConfig
from .critics import Critic, make_critic
from .encoder import Encoder


class Network(nn.Module):
    """E_psi with T_theta and T_phi, which read the encoder's own feature map and so share its weights."""

    def __init__(self, config: ModelConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        # Layers draw their weights from the global generator: fork it, so that a model never disturbs its caller.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = Encoder(config)
            self.global_critic: Critic = make_critic(config, field=config.map_side)
            self.local_critic: Critic = make_critic(config, field=1)
