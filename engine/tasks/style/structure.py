"""What a picture shows, without its palette and hand: the content condition of style transfer."""

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = torch.tensor([0.299, 0.587, 0.114])
COARSEST = 2.5
"""Standard deviation, in latent pixels, of the blur at detail 0."""
_FLOOR = 0.02


def grey(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) without colour."""
    return (pictures * _LUMA[:, None, None]).sum(1, keepdim=True).expand_as(pictures)


def structure(latents: Tensor, detail: Tensor) -> Tensor:
    """Latents (B, C, h, w) of grey pictures, normalised per channel over the picture (ArtFusion: contrast and tone are
    style) and blurred: detail (B,) from 0, only large masses, to 1, everything.
    """
    deviation, mean = torch.std_mean(latents, dim=(2, 3), keepdim=True, correction=0)
    return blurred((latents - mean) / deviation.clamp_min(_FLOOR), COARSEST * (1 - detail))


def blurred(maps: Tensor, sigma: Tensor) -> Tensor:
    """Maps (B, C, h, w), each under a Gaussian of its own sigma (B,) in pixels; 0 leaves it as it is."""
    radius = round(3 * COARSEST)
    places = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (places / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    b, c, h, w = maps.shape
    padded = _padded(maps, radius).reshape(1, b * c, h + 2 * radius, w + 2 * radius)
    each = kernel.repeat_interleave(c, 0)
    down = F.conv2d(padded, each[:, None, :, None], groups=b * c)
    return F.conv2d(down, each[:, None, None, :], groups=b * c).reshape(b, c, h, w)


def _padded(maps: Tensor, radius: int) -> Tensor:
    return F.pad(maps, (radius,) * 4, mode="replicate")
