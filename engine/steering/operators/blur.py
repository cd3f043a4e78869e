"""Blur with any kernel, periodic at the borders.

Why periodic: then H is diagonal in the Fourier basis, so that its transpose, pseudo-inverse, singular values and every
proximal step are exact and cost two transforms. A lens does not know where the picture ends, so of a real photograph
the outermost half kernel is explained only roughly; crop it, or fade the edges into each other before.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.errors import InputError
from engine.steering.operators.base import Operator

CUTOFF = 0.03


class Blur(Operator):
    """Deblurring: each channel of (B, C, H, W) was convolved with one kernel, periodically.

    kernel: (h, w), odd sides, no larger than the picture, with a positive sum; it is scaled to the sum 1.
    cutoff: frequencies that the kernel leaves weaker than this count as lost, in H as in its inverses, so that
    H P H = H holds and noise is raised by 1 / cutoff at most. Raises InputError for a kernel that cannot be used.
    """

    title = "deblurring"
    gain = None

    def __init__(self, kernel: Tensor, cutoff: float = CUTOFF):
        kernel = torch.as_tensor(kernel, dtype=torch.float64)
        _check_kernel(kernel)
        self.kernel = kernel / kernel.sum()
        self.cutoff = cutoff
        self._responses: dict[tuple[int, int], Tensor] = {}

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) != 4 or any(k > n for k, n in zip(self.kernel.shape, shape[-2:])):
            height, width = self.kernel.shape
            raise InputError(f"The kernel is {width} x {height} px.",
                             f"The picture is only {shape[-1]} x {shape[-2] if len(shape) > 1 else 1} px.",
                             "Give a smaller kernel.", field="kernel")

    def H(self, x: Tensor) -> Tensor:
        return self._filtered(x, self._response(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self._filtered(y, self._response(y).conj())

    def pinv(self, y: Tensor) -> Tensor:
        response = self._response(y)
        return self._filtered(y, torch.where(response == 0, 0, 1 / response))

    def by_singular_value(self, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
        singular = self._response(x).abs()
        return self._filtered(x, scale(singular.flatten()).reshape(singular.shape))

    def frobenius(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
        twice[0] = 1  # a real transform leaves out the mirrored half, of which these columns have none
        if width % 2 == 0:
            twice[-1] = 1
        per_channel = float((self._response(x).abs().square() * twice).sum())
        return x.new_full((len(x),), per_channel * x[0].numel() / (height * width))

    def _response(self, x: Tensor) -> Tensor:
        """What becomes of each frequency of a picture of x's size, (H, W // 2 + 1) complex128 on the CPU."""
        size = tuple(x.shape[-2:])
        if size not in self._responses:
            h, w = self.kernel.shape
            spread = torch.zeros(size, dtype=torch.float64)
            spread[:h, :w] = self.kernel
            response = torch.fft.rfft2(spread.roll((-(h // 2), -(w // 2)), (0, 1)))
            self._responses[size] = torch.where(response.abs() < self.cutoff, 0, response)
        return self._responses[size]

    @staticmethod
    def _filtered(x: Tensor, factors: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        kind = spectrum.dtype if factors.is_complex() else x.dtype
        return torch.fft.irfft2(spectrum * factors.to(x.device, kind), s=x.shape[-2:])


class GaussianBlur(Blur):
    """Deblurring from a Gaussian of standard deviation std_px > 0, cut at 3 of them."""

    title = "deblurring from a Gaussian"

    def __init__(self, std_px: float, cutoff: float = CUTOFF):
        if not (math.isfinite(std_px) and std_px > 0):
            raise InputError(f"The blur is {std_px!r} px wide.", "It must be above 0.", field="std_px")
        reach = math.ceil(3 * std_px)
        profile = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float64) ** 2 / (2 * std_px ** 2))
        super().__init__(torch.outer(profile, profile), cutoff)


class MotionBlur(Blur):
    """Deblurring from a straight motion of length_px > 0 at an angle, 0 to the right and 90 upwards."""

    title = "deblurring from motion"

    def __init__(self, length_px: float, angle_deg: float = 0.0, cutoff: float = CUTOFF):
        if not (math.isfinite(length_px) and length_px > 0 and math.isfinite(angle_deg)):
            raise InputError(f"The motion is {length_px!r} px long at {angle_deg!r} degrees.",
                             "The length must be above 0 and the angle a number.", field="length_px")
        super().__init__(_line(length_px, math.radians(angle_deg)), cutoff)


def _line(length_px: float, angle: float) -> Tensor:
    """A line through the centre, as many points per pixel as it takes, each shared among the four pixels around it."""
    reach = math.ceil(length_px / 2) + 1
    along = torch.linspace(-0.5, 0.5, 16 * math.ceil(length_px) + 1, dtype=torch.float64) * length_px
    row, column = reach - along * math.sin(angle), reach + along * math.cos(angle)
    pixels = torch.arange(2 * reach + 1, dtype=torch.float64)
    rows = (1 - (pixels[:, None] - row).abs()).clamp(min=0)
    columns = (1 - (pixels[:, None] - column).abs()).clamp(min=0)
    return rows @ columns.T


def _check_kernel(kernel: Tensor) -> None:
    if kernel.dim() != 2 or kernel.numel() == 0:
        raise InputError(f"The kernel has {kernel.dim()} axes and {kernel.numel()} numbers.",
                         "It must be a table of rows and columns.", "Give a grey picture of it.", field="kernel")
    height, width = kernel.shape
    if height % 2 == 0 or width % 2 == 0:
        raise InputError(f"The kernel is {width} x {height} px.", "Both sides must be odd, so that it has a centre.",
                         "Add or crop a row or a column.", field="kernel")
    if not kernel.isfinite().all():
        raise InputError("The kernel holds numbers that are not finite.", fix="Give a kernel without gaps.",
                         field="kernel")
    if not kernel.any():
        raise InputError("The kernel is zero everywhere.", "Nothing of the picture would be seen.",
                         "Give a kernel with at least one bright pixel.", field="kernel")
    if kernel.sum() <= 1e-3 * kernel.abs().sum():
        raise InputError(f"The numbers of the kernel add up to {float(kernel.sum()):.3g}.",
                         "Blur keeps the brightness, so they must add up to something positive.",
                         "Give a kernel that is mostly positive.", field="kernel")
