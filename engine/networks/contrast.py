"""The network of contrast synthesis: what a contrast agent adds to a slice, as a correction of "nothing"."""

import torch
from torch import Tensor, nn

from engine import schedules
from engine.networks.wavelet_unet import WaveletUNet


class ContrastUNet(nn.Module):
    """Predicts x0 from (x_t, t, cond) as base + spread * WaveletUNet; untrained, x0 is the base at every t.

    In place of x_t the wavelet network is shown the linear estimate alpha s^2 x_t / (alpha^2 s^2 + sigma^2) of x0 with
    standard deviation s: it fades where x_t is noise alone, so that early steps rest on the slice before contrast.
    cond (B, C, H, W), its channel 0 the slice before contrast in [-1, 1]. base: "input" (x0 is the slice after
    contrast, which starts as the one before) or "zero" (x0 is the difference). deviation: s; spread: usual size of the
    correction; both bring the wavelet network to unit scale. schedule: name of the noise schedule. options: of
    `WaveletUNet`.
    """

    def __init__(self, base: str, deviation: float, spread: float, schedule: str = "cosine", **options):
        super().__init__()
        if base not in ("input", "zero"):
            raise ValueError(f"base is {base!r}, it must be 'input' or 'zero'")
        self.base, self.deviation, self.spread = base, deviation, spread
        self.schedule = schedules.by_name(schedule)
        self.correction = WaveletUNet(channels=1, **options)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """x0 (B, 1, H, W), float32. x (B, 1, H, W) of any size, t (B,), no label."""
        alpha, sigma = (v.to(x)[:, None, None, None] for v in self.schedule(t))
        shown = alpha * self.deviation * x / (alpha**2 * self.deviation**2 + sigma**2)
        correction = self.spread * self.correction(shown, t, cond=cond).float()
        return correction if self.base == "zero" else torch.add(cond[:, :1], correction)
