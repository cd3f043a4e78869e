"""A learnable filter in the frequency domain: the feature frequency parser (FF-Parser) of MedSegDiff."""

import torch
from torch import Tensor, nn


class FrequencyFilter(nn.Module):
    """Multiplies every channel's spectrum by a learnt complex response; starts as the identity.

    MedSegDiff (Wu et al., 2022, arXiv 2211.00611): y = irfft2(response * rfft2(x)). The response is learnt at the
    frequencies of a grid of side x side pixels and read linearly between them, so that maps of any size are taken.
    """

    def __init__(self, channels: int, side: int = 32):
        super().__init__()
        self.side = side
        # Deviation of the response from 1: real parts, then imaginary parts.
        self.deviation = nn.Parameter(torch.zeros(2, channels, side, side // 2 + 1))

    def response(self, height: int, width: int) -> Tensor:
        """The complex response (C, height, width // 2 + 1) at the frequencies of `torch.fft.rfft2`."""
        place = self.deviation.device
        down = self.side * torch.fft.fftfreq(height, device=place)[:, None] - torch.arange(self.side, device=place)
        # Vertical frequencies are periodic: -1/2 and 1/2 cycles per pixel are the same.
        down = (down + self.side / 2).remainder(self.side) - self.side / 2
        across = (self.side * torch.fft.rfftfreq(width, device=place)[:, None]
                  - torch.arange(self.side // 2 + 1, device=place))
        rows, columns = ((1 - distance.abs()).clamp(min=0) for distance in (down, across))
        real, imaginary = rows @ self.deviation.float() @ columns.T
        return torch.complex(1 + real, imaginary)

    def forward(self, x: Tensor) -> Tensor:
        """Filtered map of the shape of x (B, C, H, W), float32."""
        with torch.autocast(x.device.type, enabled=False):
            spectrum = torch.fft.rfft2(x.float().contiguous(), norm="ortho")
            filtered = torch.fft.irfft2(spectrum * self.response(*x.shape[-2:]), s=x.shape[-2:], norm="ortho")
            return filtered.contiguous(memory_format=torch.channels_last)
