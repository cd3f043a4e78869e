"""Linear-Gaussian bases: closed-form estimates that a network only has to correct, which shortens its training."""

import torch
from torch import Tensor, nn

from engine import schedules
from engine.denoisers import coefficients
from engine.networks.wavelet_unet import WaveletUNet

# Typical standard deviation of (degraded - clean) over the training degradations, pictures in [-1, 1].
RESIDUAL_SPREAD = 0.3


def residual_base(u: Tensor, alpha: Tensor, sigma: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """Best linear guess of Resfusion's resnoise, and the standard deviation of what is left.

    With u = x_t - a xh = sigma eps - alpha R and R ~ N(0, spread^2) per pixel, resnoise = eps + (sigma/2) R has the
    conditional mean u (sigma - sigma alpha spread^2 / 2) / (sigma^2 + alpha^2 spread^2). At t = 1 (alpha = 0) the rest
    is exactly the residual R, scaled: the network then predicts what is wrong with the picture and nothing else.
    """
    covariance = sigma - sigma * alpha * spread**2 / 2
    variance = sigma**2 + alpha**2 * spread**2
    left = 1 + (sigma * spread / 2) ** 2 - covariance**2 / variance
    return u * (covariance / variance), left.clamp(min=1e-6).sqrt()


class ResidualUNet(nn.Module):
    """Wavelet U-Net that corrects `residual_base`: predicts resnoise from (x_t, t, label, degraded picture).

    spread: standard deviation of the residual (degraded - clean) that the base assumes, pictures in [-1, 1].
    """

    def __init__(self, spread: float = RESIDUAL_SPREAD, **options):
        super().__init__()
        self.spread = spread
        self.schedule = schedules.residual()
        self.correction = WaveletUNet(**options)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        kept = self.schedule.retained(t).to(x.dtype)[:, None, None, None]
        alpha, sigma = (v.to(x.dtype)[:, None, None, None] for v in self.schedule(t))
        base, scale = residual_base(x - kept * cond[:, :3], alpha, sigma, self.spread)
        return base + scale * self.correction(x, t, label, cond).to(x.dtype)


def principal_components(pictures: Tensor, count: int) -> dict[str, Tensor]:
    """Mean, leading directions, their variances, and the variance of the rest per remaining dimension.

    pictures (N, C, H, W) with N > count; the values are the buffers of `GaussianUNet`. Works on the pictures' inner
    products (N x N), which are fewer than those of the pixels.
    """
    flat = pictures.flatten(1)
    mean = flat.mean(0)
    centred = flat - mean
    squares, mixtures = torch.linalg.eigh((centred @ centred.T).double())
    squares, mixtures = squares.flip(0)[:count].clamp(min=0), mixtures.flip(1)[:, :count]
    directions = (centred.T.double() @ mixtures) / squares.sqrt().clamp(min=1e-12)
    variances = (squares / (len(flat) - 1)).to(flat.dtype)
    total = centred.square().sum() / (len(flat) - 1)
    rest = (total - variances.sum()).clamp(min=0) / max(flat.shape[1] - count, 1)
    return {"mean": mean, "directions": directions.to(flat.dtype).contiguous(), "variances": variances,
            "rest": rest.reshape(1)}


class GaussianUNet(nn.Module):
    """Wavelet U-Net that corrects the posterior mean of a Gaussian law fitted to the training pictures.

    x0_lin = mean + D diag(alpha e / (alpha^2 e + sigma^2)) D' (x_t - alpha mean) + the same for the isotropic rest
    (closed form of the posterior mean for Gaussian data). What is left is scaled to the standard deviation that the law
    itself leaves over. components: number of directions D; size: side of the pictures in pixels, fixed.
    schedule: name of the noise schedule; predicts: "v" or "velocity", a kind of `engine.denoisers.KINDS`.
    """

    def __init__(self, components: int, size: int, channels: int = 3, schedule: str = "cosine", predicts: str = "v",
                 **options):
        super().__init__()
        self.schedule = schedules.by_name(schedule)
        self.predicts = predicts
        length = channels * size * size
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("directions", torch.zeros(length, components))
        self.register_buffer("variances", torch.ones(components))
        self.register_buffer("rest", torch.ones(1))
        self.correction = WaveletUNet(channels=channels, **options)
    def base(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Linear guess of x0, (B, C, H, W), and the standard deviation it leaves in x0, (B, 1, 1, 1)."""
        def gain(variance: Tensor) -> Tensor:
            return alpha * variance / (alpha**2 * variance + sigma**2)

        with torch.autocast(x.device.type, enabled=False):
            centred = x.float().flatten(1) - alpha * self.mean
            along = centred @ self.directions
            beyond = (gain(self.variances) - gain(self.rest)) * along
            x0 = self.mean + gain(self.rest) * centred + beyond @ self.directions.T
        remaining = len(self.mean) - len(self.variances)
        left = (sigma**2 * self.variances / (alpha**2 * self.variances + sigma**2)).sum(1, keepdim=True)
        left = left + remaining * sigma**2 * self.rest / (alpha**2 * self.rest + sigma**2)
        return x0.reshape(x.shape), (left / len(self.mean)).sqrt()[..., None, None]

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        t = t.clamp(1e-3, self.schedule.t_max)
        levels = self.schedule(t)
        on_x, on_x0 = coefficients(*levels, "x0", self.predicts, self.schedule.rates(t))
        alpha, sigma, on_x, on_x0 = (v.float()[:, None] for v in (*levels, on_x, on_x0))
        x0, left = self.base(x, alpha, sigma)
        estimate = x0 + left * self.correction(x, t, label).float()
        return on_x[..., None, None] * x + on_x0[..., None, None] * estimate
