"""What training maximises, Eq. 3 to 7 of the paper.

    Eq. 3  MI_JSD(C, S)  = E_joint[-sp(-T(C, S))] - E_product[sp(T(C', S))],  sp(x) = log(1 + e^x)
    Eq. 4  L_global(X, S) = MI_JSD with T_theta on the whole feature map C_psi(X)
    Eq. 5  L_local(X, S)  = sum over the J positions j of MI_JSD with T_phi on C_psi^(j)(X)
    Eq. 6  swapped shared representations: each L takes (X, S_Y) and (Y, S_X); and L_1 = E ||S_X - S_Y||_1
    Eq. 7  maximise alpha L_global + beta L_local - gamma L_1

The product of marginals is sampled by pairing each S with the feature map of another place in the batch.
The numbering is ours where the paper's print is not legible; the terms are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..errors import InputError
from .network import Network


@dataclass(frozen=True)
class ObjectiveOptions:
    """Weights and sampling of the objective."""

    alpha: float = 0.5
    """Weight of the global mutual information."""
    beta: float = 1.0
    """Weight of the local mutual information (a sum over the J positions)."""
    gamma: float = 0.1
    """Weight of the L1 distance of the two views' representations."""
    swap: bool = True
    """Swapped shared representations (SSR): ask the features of one view about the representation of the other."""
    negatives: int = 1
    """Unpaired places per pair, each a shuffle of the batch."""
    positions: int | None = None
    """Local positions drawn per step, None = all J. The sum of Eq. 5 is then estimated as J times their mean."""

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise InputError(f"negatives is {self.negatives}, expected >= 1: mutual information needs unpaired samples.")


class Objective(NamedTuple):
    """Value of Eq. 7 and of its terms, each a scalar; `loss` is to be minimised."""

    loss: Tensor
    global_mi: Tensor
    local_mi: Tensor
    l1: Tensor


def jensen_shannon(joint: Tensor, product: Tensor) -> Tensor:
    """Eq. 3 for critic values on pairs and on non-pairs: a scalar <= 0, higher = more informative; -2 ln 2 for a blind critic."""
    return -softplus(-joint).mean() - softplus(product).mean()


def objective(network: Network, x: Tensor, y: Tensor, options: ObjectiveOptions, generator: torch.Generator) -> Objective:
    """Eq. 7 for a batch of pairs of views.

    Args:
        network: Encoder and critics.
        x: Patches, (n, bands, s, s), standardised, n > options.negatives.
        y: The other view of the same places, same shape.
        options: Weights and sampling.
        generator: Draws positions and shuffles; the only randomness.
    """
    n, config = len(x), network.config
    # Both views in one pass: batch norm then sees one population.
    c, s = network.encoder(torch.cat([x, y]))
    c_x, c_y, s_x, s_y = c[:n], c[n:], s[:n], s[n:]
    asked = ((c_x, s_y), (c_y, s_x)) if options.swap else ((c_x, s_x), (c_y, s_y))

    # A batch is in random order already, so rolling it by distinct amounts is a shuffle without fixed points.
    rolls = (torch.randperm(n - 1, generator=generator)[: options.negatives] + 1).tolist()
    chosen = None
    if options.positions is not None and options.positions < config.positions:
        chosen = torch.randperm(config.positions, generator=generator)[: options.positions].sort().values.to(x.device)

    zero = x.new_zeros(())
    global_mi, local_mi = zero, zero
    for features, representation in asked:
        if options.alpha:
            critic = network.global_critic
            u, v = critic.project_map(features), critic.project_shared(representation)
            unpaired = torch.cat([critic.pair(u.roll(k, 0), v) for k in rolls])
            global_mi = global_mi + jensen_shannon(critic.pair(u, v), unpaired)
        if options.beta:
            critic = network.local_critic
            at = features.flatten(2) if chosen is None else features.flatten(2).index_select(2, chosen)
            u, v = critic.project_map(at.unsqueeze(-1)), critic.project_shared(representation)
            unpaired = torch.cat([critic.pair(u.roll(k, 0), v) for k in rolls])
            local_mi = local_mi + config.positions * jensen_shannon(critic.pair(u, v), unpaired)
    l1 = (s_x - s_y).abs().flatten(1).sum(1).mean()
    loss = -(options.alpha * global_mi + options.beta * local_mi - options.gamma * l1)
    return Objective(loss, global_mi, local_mi, l1)
