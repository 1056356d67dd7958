"""Statistics networks T_theta (global) and T_phi (local) in the two forms of the Deep InfoMax paper.

Both forms are written as a projection `u` of the feature map, a projection `v` of the shared representation,
and a cheap `pair` of the two. `u` and `v` are computed once per pixel; only `pair` is computed per pair of
pixels. A local critic looks at one position of C_psi (field 1), a global one at all of it (field = map side).

Source:
    Hjelm et al. 2019, arXiv:1808.06670, Section 3 and Appendix A ("concatenate and convolve", "encode and dot product").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .encoder import PatchConv2d


class Critic(nn.Module):
    """t(C, S), unbounded; high where C and S look as if they came from the same place."""

    project_map: nn.Module
    project_shared: nn.Module

    def pair(self, u: Tensor, v: Tensor) -> Tensor:
        """T from projections, the channel axis being 1 in both; the other axes broadcast."""
        raise NotImplementedError

    def forward(self, c: Tensor, s: Tensor) -> Tensor:
        """T of feature maps (n, F, h, w) and representations (n, z_dim, 1, 1): (n, h', w')."""
        return self.pair(self.project_map(c), self.project_shared(s))


class SeparableCritic(Critic):
    """t = <f(C), g(S)> / sqrt(d) + b, with f and g perceptrons of one hidden layer."""

    def __init__(self, config: ModelConfig, *, field: int) -> None:
        super().__init__()
        width, d = config.critic_width, config.critic_dim
        self.project_map = nn.Sequential(PatchConv2d(config.widths[1], width, field), nn.ReLU(), nn.Conv2d(width, d, 1))
        self.project_shared = nn.Sequential(nn.Conv2d(config.z_dim, width, 1), nn.ReLU(), nn.Conv2d(width, d, 1))
        self.bias = nn.Parameter(torch.zeros(()))
        self.scale = 1 / math.sqrt(d)

    def pair(self, u: Tensor, v: Tensor) -> Tensor:
        """<u, v> / sqrt(d) + b."""
        return (u * v).sum(dim=1) * self.scale + self.bias


class ConcatenatedCritic(Critic):
    """t = w . relu(W_C C + W_S S + b_1) + b_2, a perceptron on [C, S] whose first layer is split in two."""

    def __init__(self, config: ModelConfig, *, field: int) -> None:
        super().__init__()
        width = config.critic_width
        self.project_map = PatchConv2d(config.widths[1], width, field, bias=False)
        self.project_shared = nn.Conv2d(config.z_dim, width, 1)
        self.weight = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def pair(self, u: Tensor, v: Tensor) -> Tensor:
        """W . relu(u + v) + b_2."""
        return torch.einsum("nc...,c->n...", torch.relu(u + v), self.weight) + self.bias


def make_critic(config: ModelConfig, *, field: int) -> Critic:
    """The critic of the configured form; field 1 for T_phi, `config.map_side` for T_theta."""
    return (SeparableCritic if config.critic == "separable" else ConcatenatedCritic)(config, field=field)
