"""The two networks of style transfer: an autoencoder of 8 px patches, and a U-Net over its latents that is told
structure and style."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.networks.blocks import PlainBlock, TimeEmbedding
from engine.networks.wavelet_unet import WaveletUNet

PATCH = 8
_SCALED = 0.75
"""Power of the components' spread that latents keep: 0 whitens them, 1 leaves them as pictures have them."""


class PatchAutoencoder(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to latents (B, C, H/8, W/8), and back.

    The principal components of 8 x 8 patches, with a correction by convolutions on either side that starts at zero: the
    untrained network is the best linear code. The components stay as they are given: `basis` (C, 192) orthonormal rows,
    `centre` (192,), `spread` (C,). The first latent has about
    unit variance, finer ones less, as pictures have: whitened latents make a diffusion model on them spend itself on
    grain, and all scales come at once. It works on pictures of any size whose sides are multiples of 8.
    """

    def __init__(self, latents: int = 24, widths: tuple[int, int, int] = (40, 80, 144)):
        super().__init__()
        self.register_buffer("basis", torch.zeros(latents, 3 * PATCH**2))
        self.register_buffer("centre", torch.zeros(3 * PATCH**2))
        self.register_buffer("spread", torch.ones(latents))
        fine, middle, coarse = widths
        self.inward = nn.ModuleList([nn.Conv2d(12, fine, 3, padding=1), _block(fine), nn.Conv2d(4 * fine, middle, 1),
                                     _block(middle), nn.Conv2d(4 * middle, coarse, 1), _block(coarse)])
        self.into = _zero(nn.Conv2d(coarse, latents, 1))
        self.outward = nn.ModuleList([nn.Conv2d(latents, coarse, 3, padding=1), _block(coarse), _block(coarse),
                                      nn.Conv2d(coarse, 4 * middle, 1), _block(middle), _block(middle),
                                      nn.Conv2d(middle, 4 * fine, 1), _block(fine), _block(fine)])
        self.out = _zero(nn.Conv2d(fine, 12, 3, padding=1))

    @property
    def scale(self) -> Tensor:
        """Deviation (C, 1, 1) of each latent over pictures: between those of pictures and whitened ones."""
        return (self.spread / self.spread.max())[:, None, None] ** _SCALED

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents of pictures."""
        patches = F.pixel_unshuffle(pictures, PATCH) - self.centre[:, None, None]
        linear = F.conv2d(patches, self.basis[..., None, None]) / self.spread[:, None, None]
        h = F.pixel_unshuffle(pictures, 2)
        for part in self.inward:
            h = part(F.pixel_unshuffle(h, 2) if _kernel(part) == 1 else h)
        return (linear + self.into(h)) * self.scale

    def preview(self, latents: Tensor) -> Tensor:
        """Pictures by the components alone: what a step looks like, in a hundredth of the time of `decode`."""
        patches = F.conv2d(latents / self.scale * self.spread[:, None, None], self.basis.T[..., None, None])
        return F.pixel_shuffle(patches + self.centre[:, None, None], PATCH)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of latents; not clipped."""
        h = latents / self.scale
        for part in self.outward:
            h = F.pixel_shuffle(part(h), 2) if _kernel(part) == 1 else part(h)
        return self.preview(latents) + F.pixel_shuffle(self.out(h), 2)

    def forward(self, x: Tensor, t: Tensor | None = None, **_) -> Tensor:
        """decode(encode(x)), whatever the time: so that it trains and is judged like other networks."""
        return self.decode(self.encode(x))


class StyleUNet(nn.Module):
    """Latents x_t to their velocity, told structure and style (ArtFusion, Chen 2023, with our own style features).

    Structure: latents of the grey picture, normalised per channel over the picture and squeezed to `squeezed` channels;
    `detail` (B,) says how finely it was told. Style: numbers without a place, from two sources: `statistics` (B, S), a
    fixed description, and means and deviations of features of `style` (B, C, h, w), latents of the style picture, by
    convolutions that are trained along. has_structure, has_style (B,) are 0 where a condition is not told.
    """

    def __init__(self, latents: int = 24, statistics: int = 0, squeezed: int = 16, embedding: int = 192,
                 features: tuple[int, int] = (64, 96), widths: tuple[int, ...] = (112, 144, 144), depth: int = 2):
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(latents, squeezed, 1), nn.SiLU(), nn.Conv2d(squeezed, squeezed, 1))
        self.detail = TimeEmbedding(embedding)
        first, second = features
        self.features = nn.ModuleList([nn.Conv2d(latents, first, 3, padding=1),
                                       nn.Conv2d(first, second, 3, stride=2, padding=1)])
        self.describe = nn.Sequential(nn.Linear(statistics + 2 * (latents + first + second), 2 * embedding), nn.SiLU(),
                                      nn.Linear(2 * embedding, embedding))
        self.no_style = nn.Parameter(torch.zeros(embedding))
        self.unet = WaveletUNet(channels=latents, cond_channels=squeezed, widths=widths, depth=depth, attention=0,
                                norm_kind="pixel", stem=False, embedding=embedding)

    def style_of(self, style: Tensor, statistics: Tensor) -> Tensor:
        """The style of pictures as embeddings (B, E): they can be mixed. style (B, C, h, w); statistics (B, S)."""
        numbers, h = [statistics, *_moments(style)], style
        for layer in self.features:
            h = F.silu(layer(h))
            numbers += _moments(h)
        return self.describe(torch.cat([n.float() for n in numbers], -1))

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None, *,
                structure: Tensor, detail: Tensor, has_structure: Tensor, has_style: Tensor,
                style: Tensor | None = None, statistics: Tensor | None = None,
                embedded: Tensor | None = None) -> Tensor:
        """The velocity (B, C, H, W). structure (B, C, H, W); `embedded` (B, E), a mixture of what `style_of` gave, may
        stand in place of style and statistics."""
        told = self.squeeze(structure) * has_structure[:, None, None, None]
        wanted = self.style_of(style, statistics) if embedded is None else embedded
        wanted = torch.where(has_style[:, None] > 0, wanted, self.no_style)
        return self.unet(x, t, cond=told, further=wanted + self.detail(detail))


def _moments(h: Tensor) -> list[Tensor]:
    """Mean and deviation (B, C) over the picture."""
    deviation, mean = torch.std_mean(h.float(), dim=(2, 3), correction=0)
    return [mean, deviation]


def _block(channels: int) -> PlainBlock:
    return PlainBlock(channels, channels, "pixel")


def _kernel(part: nn.Module) -> int:
    """Side of a convolution's kernel: those of 1 go with a change of the scale."""
    return part.kernel_size[0] if isinstance(part, nn.Conv2d) else 0


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
