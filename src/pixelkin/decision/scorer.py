"""What was learned, made to answer quickly: a few matrix products, a log-sum-exp and a softmax a pixel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .gaussian_process import KernelRows, PartsTerm
from .kernels import SpatialTerm, SpectralTerm
from .scratch import Scratch

_COLUMNS = 8192
"""Pixels a pass: few large steps, because threads that share an interpreter stand in each other's way at every step."""
_MOST_SCORES = 1 << 20
"""Votes a pass: of many references, on fewer pixels."""
_LEAST = 1e-37
"""Share of the votes, next to nothing, whose logarithm is finite."""
_scratch = Scratch()


@dataclass(frozen=True, eq=False)
class Scorer:
    """What was learned: a function of a pixel's features, and of where it lies on an image that was labelled.

    Regressions are mixed by adding their weights: a geometric mean of softmaxes is the softmax of the mean of what is in them.
    """

    own: int
    """Features, the first ones, among which are all that the vote looks at."""
    votes: tuple[tuple[Tensor, Tensor], ...]
    """For each class weights (n, own) and offsets (n,) of its voters; empty without a vote."""
    voting: float
    """Weight of the vote, 0..1; the regressions have the rest."""
    weights: Tensor | None
    """(class, K) of the regressions, times their weights; None without any."""
    offsets: Tensor | None
    """(class,), likewise."""
    trust: float
    """What is to be made of the proportions of classes that it finds, 0..1."""
    spectral: SpectralTerm | None = None
    """What the bands add beyond a linear function; None where they have no say."""
    spatial: SpatialTerm | None = None
    """What lies near labelled pixels adds; None on images without."""
    parts: PartsTerm | None = None
    """What is like labelled pixels to a pretrained network adds; None without one."""
    prior: Tensor | None = None
    """(class,): logarithms that are added, see `proportioned`; None for classes that are all as common."""

    def proportioned(self, sample: Tensor) -> Scorer:
        """The same for an image in which classes are not equally common, as far as a sample of it shows.

        Labels are given to classes alike, whatever the classes take of the image, and learners give all classes the same chance. The mean
        probabilities over the image estimate its proportions (the first step of Saerens, Latinne and Decaestecker, *Adjusting the
        Outputs of a Classifier to New a Priori Probabilities*, Neural Computation 14, 2002), by which probabilities are multiplied, to the power `trust`.

        Args:
            sample: Features (K, n) of pixels from all over the image.
        """
        if not sample.shape[1]:
            return self
        proportions = self.probabilities(sample).mean(dim=1).clamp(min=1 / sample.shape[1])
        return replace(self, prior=self.trust * torch.log(proportions))

    def on(self, images: Collection[int]) -> Scorer:
        """The same for one image, on which only labels of its own are near; `images` are the numbers that references know it by."""
        return self if self.spatial is None else replace(self, spatial=self.spatial.on(images))

    def mixed(self, share: float, other: Scorer) -> Scorer:
        """The geometric mean of this, with weight `share`, and of what pretrained features say, which has its weight already."""
        assert self.weights is not None
        assert self.offsets is not None
        assert other.offsets is not None
        spatial = None if self.spatial is None else replace(self.spatial, weights=self.spatial.weights * share)
        if spatial is not None and other.spatial is not None:
            spatial = replace(spatial, weights=spatial.weights + other.spatial.weights)
        return replace(
            self,
            voting=self.voting * share,
            weights=self.weights * share,
            offsets=self.offsets * share + other.offsets,
            spectral=None if self.spectral is None else replace(self.spectral, weights=self.spectral.weights * share),
            spatial=spatial,
            parts=other.parts,
        )

    def probabilities(self, features: Tensor, near: Tensor | None = None, kept: KernelRows | None = None, room: int = 0) -> Tensor:
        """Class probabilities (class, n), not yet smoothed or calibrated.

        Args:
            features: (K, n)
            near: (class, n), what `spatial` adds at these pixels; None where it is not known.
            kept: What `parts` knows of these pixels from before; see `PartsTerm.of`.
            room: Bytes that this may hold.
        """
        with torch.inference_mode():
            classes = len(self.votes) if self.offsets is None else len(self.offsets)
            out = features.new_empty(classes, features.shape[1], dtype=torch.float32)
            like = None if self.parts is None else self.parts.of(features, kept, room)
            rows = max(len(self._weights) if self._is_linear else 1, 1 if self.spectral is None else self.spectral.weights.shape[1])
            step = max(256, min(_COLUMNS, _MOST_SCORES // rows))
            for start in range(0, features.shape[1], step):
                part = slice(start, start + step)
                self._probabilities(features[:, part], [more[:, part] for more in (like, near) if more is not None], out[:, part])
            return out

    def _probabilities(self, part: Tensor, more: list[Tensor], out: Tensor) -> None:
        # Class by class, logarithms but for a term that is common to all classes of a pixel: the last softmax takes it out.
        if self._is_linear:
            values = _scratch.take("values", out, *part.shape).copy_(part)
            self._add_linear(values, out)
            if self.spectral is not None:
                self.spectral.add(values, out)
        else:
            assert self.offsets is not None
            out.copy_(self.offsets[:, None])
        for added in (*more, *(() if self.prior is None else (self.prior[:, None],))):
            out.add_(added)
        out.sub_(out.amax(dim=0)).exp_()
        out.div_(out.sum(dim=0))

    @property
    def _is_linear(self) -> bool:
        """Whether there is a vote or a regression."""
        return bool(self.votes) or self.weights is not None

    def _add_linear(self, values: Tensor, out: Tensor) -> None:
        scores = torch.addmm(
            self._offsets, self._weights, values[: self.own], out=_scratch.take("scores", out, len(self._weights), values.shape[1])
        )
        votes, linear = scores[: self._voters], scores[self._voters :]
        if self.weights is not None:
            linear.addmm_(self._further, values[self.own :])
        if self.votes:
            # The largest vote of all classes, so that no exponential overflows; a class that vanishes beside it has no chance anyway.
            votes.sub_(votes.amax(dim=0)).exp_()
            for vote, total in zip(torch.split(votes, [len(w) for w, _ in self.votes]), out, strict=True):
                torch.sum(vote, dim=0, out=total)
            out.clamp_(min=_LEAST).log_().mul_(self.voting)
            if self.weights is not None:
                out.add_(linear)
        else:
            out.copy_(linear)

    @cached_property
    def _voters(self) -> int:
        return sum(len(w) for w, _ in self.votes)

    @cached_property
    def _weights(self) -> Tensor:
        """(voters + class, own): of all that is linear in the features of the pixel alone, for one product."""
        return torch.cat([*(w for w, _ in self.votes), *([] if self.weights is None else [self.weights[:, : self.own]])])

    @cached_property
    def _offsets(self) -> Tensor:
        return torch.cat([*(b for _, b in self.votes), *([] if self.offsets is None else [self.offsets])])[:, None]

    @cached_property
    def _further(self) -> Tensor:
        """(class, K - own): of the surroundings."""
        assert self.weights is not None
        return self.weights[:, self.own :].contiguous()

    def to(self, device: torch.device) -> Scorer:
        """The same on another device."""
        return replace(
            self,
            votes=tuple((w.to(device), b.to(device)) for w, b in self.votes),
            weights=None if self.weights is None else self.weights.to(device),
            offsets=None if self.offsets is None else self.offsets.to(device),
            spectral=None if self.spectral is None else self.spectral.to(device),
            spatial=None if self.spatial is None else self.spatial.to(device),
            parts=None if self.parts is None else self.parts.to(device),
            prior=None if self.prior is None else self.prior.to(device),
        )
