"""The choices that fix a network's shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import InputError

CriticForm = Literal["separable", "concatenated"]


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the networks; saved with the weights."""

    bands: tuple[str, ...]
    """Names of the input bands, in order."""
    patch_size: int = 13
    """Side s of a patch in pixels, odd and >= 7 (the paper: 13 for Potsdam, 9 for Sentinel-2)."""
    z_dim: int = 10
    """Width of the shared representation S (the paper: 10; 32 in the ablation)."""
    widths: tuple[int, int, int] = (32, 64, 64)
    """Channels of the three 3 x 3 convolutions; the second is the width F of the feature map C_psi."""
    critic: CriticForm = "separable"
    """Form of T_theta and T_phi: <f(C), g(S)> / sqrt(d) + b, or a perceptron on [C, S]."""
    critic_width: int = 64
    """Hidden units of a critic."""
    critic_dim: int = 32
    """Width d of the space in which a separable critic takes its dot product."""

    def __post_init__(self) -> None:
        if self.patch_size < 7 or self.patch_size % 2 == 0:
            raise InputError(
                f"patch_size is {self.patch_size}, expected an odd number of pixels >= 7. Use 13 for detail, 9 for coarse pixels."
            )
        if self.z_dim < 1:
            raise InputError(f"z_dim is {self.z_dim}, expected a whole number >= 1. The paper uses 10.")
        if not self.bands:
            raise InputError("the model has no band, expected at least one. Name the bands.")
        if self.critic not in ("separable", "concatenated"):
            raise InputError(f"critic is {self.critic!r}, expected 'separable' or 'concatenated'.")

    @property
    def radius(self) -> int:
        """Pixels from a patch's centre to its edge, r = s // 2."""
        return self.patch_size // 2

    @property
    def map_side(self) -> int:
        """Side of C_psi of one patch: two valid 3 x 3 convolutions take four pixels."""
        return self.patch_size - 4

    @property
    def positions(self) -> int:
        """Number J of local positions, the pixels of C_psi of one patch."""
        return self.map_side**2

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelConfig:
        """Inverse of `to_json`; unknown keys are a TypeError, since they would silently change the network."""
        return cls(**{**values, "bands": tuple(values["bands"]), "widths": tuple(values["widths"])})
