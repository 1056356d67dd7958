"""What training maximises: Eq. 3 to 7 of the paper, by its numbers.

    Eq. 3  MI(C, S)            = E_joint[-sp(-T(C, S))] - E_product[sp(T(C', S))],  sp(x) = log(1 + e^x)
    Eq. 4  L_MI^global(X, Y)   = L_global(X, S_Y) + L_global(Y, S_X), L_global being Eq. 3 with T_theta on the whole feature map C_psi(X)
    Eq. 5  L_MI^local(X, Y)    = L_local(X, S_Y) + L_local(Y, S_X), L_local being the sum over the J positions j of Eq. 3 with T_phi on C_psi^(j)(X)
    Eq. 6  L_1(X, Y)           = E ||S_X - S_Y||_1
    Eq. 7  maximise alpha L_MI^global + beta L_MI^local - gamma L_1

Taking each S from the other view is what the paper calls swapped shared representations (SSR). The product of marginals is sampled by
pairing each S with the feature map of another pair of the batch.

Two misprints of the paper are not followed. Algorithm 1 defines sp(x) = (1 + e^x), without the logarithm that Eq. 3 has. And Section 3.2
has D = e^-T / (1 + e^-T), with which Eq. 2 gives Eq. 3 with the signs of T exchanged; Eq. 3 as printed belongs to
D = 1 / (1 + e^-T), which is high for pairs, as its text says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..errors import InputError
from .critics import Critic
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
    """Unpaired samples per pair, each a shuffle of the batch."""
    positions: int | None = None
    """Local positions drawn per step, None = all J. The sum of Eq. 5 is then estimated as J times their mean."""
    partners: Literal["any", "same image", "other images"] = "any"
    """Where unpaired samples come from; the paper's shuffle takes any pair of the batch."""

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise InputError(f"negatives is {self.negatives}, expected >= 1: mutual information needs unpaired samples.")
        if self.partners not in ("any", "same image", "other images"):
            raise InputError(f"partners is {self.partners!r}, expected 'any', 'same image' or 'other images'.")


class Objective(NamedTuple):
    """Value of Eq. 7 and of its terms, each a scalar; `loss` is to be minimised."""

    loss: Tensor
    global_mi: Tensor
    local_mi: Tensor
    l1: Tensor


class Draw(NamedTuple):
    """What is random in the objective of one batch."""

    partners: Tensor
    """(negatives, n): for each pair the one whose feature maps are unpaired with its representations; permutations."""
    positions: Tensor | None
    """Local positions to look at, None = all."""


class Batch(Protocol):
    """How a part of a batch comes by rows of the others."""

    def partners(self, values: Tensor, partners: Tensor) -> Tensor:
        """(negatives, row, ...) values of the partners of this part's rows."""


class WholeBatch:
    """A batch in one part."""

    def partners(self, values: Tensor, partners: Tensor) -> Tensor:
        """See `Batch`."""
        return values[partners]


def draw(options: ObjectiveOptions, images: Tensor, positions: int, generator: torch.Generator) -> Draw:
    """Partners and positions for a batch.

    Args:
        options: How many, and from where.
        images: (n,) image that each pair is from, n > options.negatives.
        positions: Number J of local positions.
        generator: The only randomness.

    Raises:
        InputError: Partners of other images are asked for where more than half of the pairs are from one image.
    """
    n = len(images)
    if options.partners == "any":
        # A batch is in random order already, so rolling it by distinct amounts is a shuffle without fixed points.
        rolls = torch.randperm(n - 1, generator=generator)[: options.negatives] + 1
        partners = (torch.arange(n) - rolls[:, None]) % n
    else:
        partners = torch.stack([_partners(options.partners, images, generator) for _ in range(options.negatives)])
    chosen = None
    if options.positions is not None and options.positions < positions:
        chosen = torch.randperm(positions, generator=generator)[: options.positions].sort().values
    return Draw(partners, chosen)


def _partners(which: str, images: Tensor, generator: torch.Generator) -> Tensor:
    """A permutation of pairs within their images, or one that leaves none in its image."""
    n = len(images)
    order = torch.randperm(n, generator=generator)
    order = order[images[order].sort(stable=True).indices]
    # Pairs of an image now stand together: one on, round the image, or further on than any image is long, round the batch.
    counts = images.bincount()
    counts = counts[counts > 0]
    if which == "same image":
        ends = counts.cumsum(0)
        following = torch.arange(1, n + 1)
        following[ends - 1] = ends - counts
    else:
        longest = int(counts.max())
        if 2 * longest > n:
            raise InputError(
                f"{longest} of {n} pairs are from one image, expected half at most for partners from other images. Give more images."
            )
        roll = longest + int(torch.randint(n - 2 * longest + 1, (), generator=generator))
        following = (torch.arange(n) + roll) % n
    partners = torch.empty_like(order)
    partners[order] = order[following]
    return partners


def jensen_shannon(joint: Tensor, product: Tensor) -> Tensor:
    """Eq. 3 for critic values on pairs and on non-pairs: a scalar <= 0, higher = more informative; -2 ln 2 for a blind critic."""
    return -softplus(-joint).mean() - softplus(product).mean()


def objective(network: Network, x: Tensor, y: Tensor, options: ObjectiveOptions, drawn: Draw, batch: Batch | None = None) -> Objective:
    """Eq. 7 for a batch of pairs of views, or for a part of one.

    Args:
        network: Encoder and critics.
        x: Patches, (row, bands, s, s), standardised.
        y: The other views, same shape.
        options: Weights and sampling.
        drawn: Partners and positions, of the whole batch.
        batch: Knows the partners' rows where x and y are a part of a batch.
    """
    batch, n = batch or WholeBatch(), len(x)
    # x_1, y_1, x_2, y_2 ... in one pass: batch norm then sees one population, and both halves of Eq. 4 and 5 are asked at once.
    c, s = network.encoder(torch.stack([x, y], 1).flatten(0, 1))
    pairs = s.unflatten(0, (n, 2))
    asked = pairs.flip(1).flatten(0, 1) if options.swap else s

    def information(critic: Critic, features: Tensor) -> Tensor:
        u, v = critic.project_map(features), critic.project_shared(asked)
        others = batch.partners(u.unflatten(0, (n, 2)), drawn.partners).flatten(0, 2)
        unpaired = critic.pair(others, v.repeat(len(drawn.partners), 1, 1, 1))
        return 2 * jensen_shannon(critic.pair(u, v), unpaired)

    global_mi = local_mi = x.new_zeros(())
    if options.alpha:
        global_mi = information(network.global_critic, c)
    if options.beta:
        at = c.flatten(2) if drawn.positions is None else c.flatten(2).index_select(2, drawn.positions.to(x.device))
        local_mi = network.config.positions * information(network.local_critic, at.unsqueeze(-1))
    l1 = (pairs[:, 0] - pairs[:, 1]).abs().flatten(1).sum(1).mean()
    loss = -(options.alpha * global_mi + options.beta * local_mi - options.gamma * l1)
    return Objective(loss, global_mi, local_mi, l1)
