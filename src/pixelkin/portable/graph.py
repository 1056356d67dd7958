"""What a learner makes of pixels as one function of tensors, which ONNX can hold: bands in, class probabilities and features out.

It computes what `FeatureStack.fields` and `Scorer.probabilities` do, without what they do for speed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..decision import Scorer
from ..decision.gaussian_process import LENGTH_SCALE_OF_PARTS
from ..decision.smoothing import STRIDE
from ..features import BackboneFeatures, BandFeatures, Columns, EncoderFeatures, FeatureSource
from ..features import bands as band_features
from ..features import encoder as encoder_features
from ..features.backbone import PATCH, View, bands_around, looked_at
from ..features.squares import CONTEXT, centre
from ..model import Model
from ..types import BoolArray

_LEAST = 1e-37


class MapGraph(nn.Module):
    """Bands of a window and its margin to class probabilities and features of every second row and column of the window.

    Inputs are those that `inputs` names, in this order: `bands` as `features.bands.band_values` has them, and `photo` as `BackboneFeatures` scales them,
    (band, row + 2 margin, col + 2 margin) each, and `near`, what the spatial term adds, (class, h, w).
    """

    def __init__(
        self,
        sources: tuple[FeatureSource, ...],
        columns: Columns,
        scorer: Scorer,
        model: Model | None,
        passes: list[tuple[tuple[int, ...], tuple[View, ...]]],
        own: BoolArray,
    ) -> None:
        """Leave out the sources that have no say.

        Args:
            sources: Of the stack, those that the image gets.
            columns: Theirs.
            scorer: What was learned, for an image.
            model: The encoder.
            passes: Bands that the pretrained network reads as red, green and blue, and how.
            own: (K,), features that are wanted beside probabilities.
        """
        super().__init__()
        self._scorer, self._model, self._passes = scorer, model, passes
        used = own | _used(scorer, columns)
        kept = [columns.of(group.name) for group in columns.groups if used[columns.of(group.name)].any()]
        self.sources = [source for source in sources if used[columns.of(source.name)].any()]
        index = np.concatenate([np.arange(part.start, part.stop) for part in kept])
        self._at = {int(column): i for i, column in enumerate(index)}
        self.own = [self._at[int(column)] for column in np.flatnonzero(own)]
        """Where among the features the wanted ones are."""
        self.raw = columns.raw
        kept_columns = torch.from_numpy(index)
        alone = kept_columns[kept_columns < scorer.own]
        self._votes = [(weights[:, alone].contiguous(), offsets[:, None]) for weights, offsets in scorer.votes]
        self._weights = None if scorer.weights is None else scorer.weights[:, kept_columns].contiguous()
        self._reach = max((view.reach for _, views in passes for view in views), default=0)
        self.margin = max(self._reach if isinstance(source, BackboneFeatures) else source.halo for source in self.sources)
        self.multiple = max((view.align for _, views in passes for view in views), default=1)
        """Of which windows have to start and end at multiples."""
        photo = any(isinstance(source, BackboneFeatures) for source in self.sources)
        self.inputs = [
            *(["bands"] if not photo or len(self.sources) > 1 else []),
            *(["photo"] if photo else []),
            *(["near"] if scorer.spatial is not None else []),
        ]

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (class, h, w) and features (K, h, w)."""
        named = dict(zip(self.inputs, given, strict=True))
        height, width = (size - 2 * self.margin for size in given[0].shape[1:])
        features = torch.cat([self._described(source, named, height, width) for source in self.sources])
        if not self.raw:
            features = features.clamp(-6e4, 6e4).half().float()  # as the learner keeps them
        flat = features.flatten(1)
        out = self._linear(flat)
        out = self._spectral(flat, out)
        out = self._parts(flat, out)
        if "near" in named:
            out = out + named["near"].flatten(1)
        return torch.softmax(out, dim=0).reshape(len(out), *features.shape[1:]), features

    def _described(self, source: FeatureSource, named: dict[str, Tensor], height: int, width: int) -> Tensor:
        if isinstance(source, BackboneFeatures):
            return self._photographed(source, named["photo"], height, width)
        reach = source.halo
        bands = centre(named["bands"], height + 2 * reach, width + 2 * reach)
        if isinstance(source, BandFeatures):
            return band_features.around(bands, height, width, STRIDE)
        assert isinstance(source, EncoderFeatures)
        assert self._model is not None
        return encoder_features.around(*self._model.embed(bands, margin=CONTEXT), height, width, STRIDE)

    def _photographed(self, source: BackboneFeatures, photo: Tensor, height: int, width: int) -> Tensor:
        parts = bands_around(centre(photo, height + 2 * PATCH, width + 2 * PATCH), height, width, STRIDE)
        for indices, views in self._passes:
            for view in views:
                part = centre(photo, height + 2 * view.reach, width + 2 * view.reach)[None, list(indices)]
                if view.enlarged != 1:
                    part = interpolate(part, scale_factor=view.enlarged, mode="bilinear", align_corners=False)
                for maps, apart in looked_at(source.network, view, part):
                    if apart != view.enlarged:
                        maps = interpolate(maps[None], scale_factor=apart / view.enlarged, mode="bilinear", align_corners=False)[0]
                    parts.append(maps[:, view.reach : view.reach + height : STRIDE, view.reach : view.reach + width : STRIDE])
        return torch.cat(parts)

    def _linear(self, values: Tensor) -> Tensor:
        """Vote and regressions, or offsets alone."""
        scorer = self._scorer
        out: Tensor | None = None
        if self._votes:
            own = values[: self._votes[0][0].shape[1]]
            votes = [weights @ own + offsets for weights, offsets in self._votes]
            largest = torch.stack([vote.amax(dim=0) for vote in votes]).amax(dim=0)
            out = scorer.voting * torch.stack([(vote - largest).exp().sum(dim=0) for vote in votes]).clamp(min=_LEAST).log()
        if scorer.offsets is None:
            assert out is not None
            return out
        linear = scorer.offsets[:, None]
        linear = linear.expand(-1, values.shape[1]) if self._weights is None else linear + self._weights @ values
        return linear if out is None else out + linear

    def _spectral(self, values: Tensor, out: Tensor) -> Tensor:
        term = self._scorer.spectral
        if term is None:
            return out
        first = self._at[term.first]
        scaled = (values[first : first + len(term.scale)] - term.centre) * term.scale
        squares = (term.landmarks**2).sum(dim=1, keepdim=True) + (scaled**2).sum(dim=0)
        return out + term.weights @ (term.landmarks @ scaled - 0.5 * squares).clamp(max=0).exp()

    def _parts(self, values: Tensor, out: Tensor) -> Tensor:
        term = self._scorer.parts
        if term is None:
            return out
        for where, landmarks in zip(term.parts, term.landmarks, strict=True):
            width = where.stop - where.start
            scale, first = 1 / (LENGTH_SCALE_OF_PARTS * width), self._at[where.start]
            part = values[first : first + width]
            exponent = 2 * landmarks @ part - (landmarks**2).sum(dim=1, keepdim=True) - (part**2).sum(dim=0)
            out = out + (term.weights / len(term.parts)) @ (scale * exponent).exp()
        return out


def _used(scorer: Scorer, columns: Columns) -> BoolArray:
    """(K,): the columns that have a say."""
    used = np.zeros(len(columns), np.bool_)
    for weights, _ in scorer.votes:
        used[: scorer.own] |= (weights != 0).any(dim=0).numpy()
    if scorer.weights is not None:
        used |= (scorer.weights != 0).any(dim=0).numpy()
    if scorer.spectral is not None:
        used[scorer.spectral.first : scorer.spectral.first + len(scorer.spectral.scale)] = True
    if scorer.parts is not None:
        # All, also those that have no say on a small image: what makes the parts makes them together.
        used[columns.pretrained] = True
    return used
