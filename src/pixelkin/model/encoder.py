"""The encoder E_psi: a patch to its feature map C_psi and its shared representation S.

Valid convolutions only and no pooling, so that the network for one patch, run over a padded image, gives at
each pixel exactly what it gives for the patch around that pixel. Everything dense rests on this.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .config import ModelConfig


class PatchConv2d(nn.Conv2d):
    """A convolution that in training sees as much as its kernel does, and is a matrix product then: several times faster on few patches."""

    def forward(self, input: Tensor) -> Tensor:
        """(n, out, h, w), as `Conv2d` gives it."""
        if not self.training or input.shape[2:] != self.kernel_size:
            return super().forward(input)
        patches = input.permute(0, 2, 3, 1).reshape(len(input), -1)
        return linear(patches, self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1), self.bias)[:, :, None, None]


class Encoder(nn.Module):
    """E_psi; input (n, bands, height, width), standardised."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        first, second, third = config.widths
        self.conv1 = nn.Sequential(nn.Conv2d(len(config.bands), first, 3, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.conv2 = nn.Sequential(nn.Conv2d(first, second, 3, bias=False), nn.BatchNorm2d(second), nn.ReLU())
        self.conv3 = nn.Sequential(nn.Conv2d(second, third, 3, bias=False), nn.BatchNorm2d(third), nn.ReLU())
        # A dense layer over what conv3 leaves of a patch, written as a convolution of that size.
        self.dense: nn.Module = PatchConv2d(third, config.z_dim, config.patch_size - 6)

    def feature_map(self, x: Tensor) -> Tensor:
        """C_psi: (n, F, height - 4, width - 4), >= 0."""
        features: Tensor = self.conv2(self.conv1(x))
        return features

    def shared(self, c: Tensor) -> Tensor:
        """S from C_psi: (n, z_dim, h, w) with h = 1 for a patch, or one S for each pixel of an image."""
        s: Tensor = self.dense(self.conv3(c))
        return s

    def normalise_shared(self) -> None:
        """For training: give S unit spread in each channel by a batch norm without weights, until `fold`.

        The L1 term of Eq. 6 has no unit of its own: without this it can be made small by a smaller S, which teaches nothing.
        """
        assert isinstance(self.dense, nn.Conv2d)
        self.dense = nn.Sequential(self.dense, nn.BatchNorm2d(self.dense.out_channels, affine=False))

    def fold(self) -> None:
        """End `normalise_shared`: one dense layer again, which is the same function in evaluation mode."""
        assert isinstance(self.dense, nn.Sequential)
        dense, norm = self.dense.eval()
        assert isinstance(dense, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        self.dense = fuse_conv_bn_eval(dense, norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """C_psi and S of patches or of a padded image."""
        c = self.feature_map(x)
        return c, self.shared(c)
