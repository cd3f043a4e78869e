"""How near a picture is to the truth, and how real it looks. Nothing here needs trained weights.

Pictures are numpy arrays (H, W) or (H, W, 3), uint8 or float in [0, 1]; values in [0, 1] are compared, floats
beyond are clipped. `where` is a bool (H, W) mask of the pixels that count. Averages over several pictures are left to
the caller: figures are usually computed per picture and then averaged.
"""

import math

import numpy as np

from engine.errors import InputError
from engine.spectra import power_error, radial_power

_LUMA = np.array([0.299, 0.587, 0.114])
# Variance of rounding to 8 bits, which is white: below it a spectrum says nothing about a stored picture.
_ROUNDING_POWER = 1 / 255 ** 2 / 12


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / MSE) over all channels and counted pixels; infinite when equal."""
    a, b = _pair(a, b)
    error = float(np.mean(_counted((a - b) ** 2, where)))
    return math.inf if error == 0 else -10 * math.log10(error)


def mae(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Mean absolute error in [0, 1] over all channels and counted pixels."""
    a, b = _pair(a, b)
    return float(np.mean(_counted(np.abs(a - b), where)))


def ssim(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window 11 x 11 of sigma 1.5, constants .01, .03, per channel.

    Without `where` the mean over the pixels whose window lies inside the picture; with it the mean of the full map over
    the counted pixels, whose windows also see their surroundings. Pictures are at least 11 px wide and high.
    """
    from skimage.metrics import structural_similarity

    a, b = _pair(a, b)
    mean, full = structural_similarity(a, b, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5,
                                       use_sample_covariance=False, full=True)
    return float(mean if where is None else np.mean(_counted(full, where)))


def gmsd(a: np.ndarray, b: np.ndarray) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014, arXiv 1308.3052) of the luminance; 0 when equal.

    Prewitt gradients after averaging 2 x 2 pixels, constant 0.0026. Pictures are at least 4 px wide and high.
    """
    _same_size(a, b)
    first, second = (_gradient_magnitude(luminance(p)) for p in (a, b))
    similarity = (2 * first * second + 0.0026) / (first ** 2 + second ** 2 + 0.0026)
    return float(similarity.std())


def radial_spectrum(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean power of the luminance at each spatial frequency: (cycles per pixel, power), both 1-D.

    The mean is taken off, a Hann window applied, and the power averaged over rings one cycle per shorter side wide,
    from one cycle up to half a cycle per pixel. White noise of variance v has power v at every frequency.
    """
    return radial_power(luminance(picture))


def spectral_error(a: np.ndarray, b: np.ndarray, hole: np.ndarray | None = None, high_only: bool = False) -> float:
    """Mean over frequencies of |log10 power(a) - log10 power(b)| (`radial_spectrum`); 0.3 is a factor of two.

    hole: compare the square crop around the painted pixels (`hole_square`) instead of the whole picture. high_only: the
    top third of the frequencies. The power of 8-bit rounding is added to both, so that flat areas do not dominate.
    """
    _same_size(a, b)
    if hole is not None:
        rows, columns = hole_square(hole)
        a, b = a[rows, columns], b[rows, columns]
    frequency, first = radial_spectrum(a)
    _, second = radial_spectrum(b)
    return power_error(first + _ROUNDING_POWER, second + _ROUNDING_POWER, frequency, high_only)


def hole_square(hole: np.ndarray, smallest_px: int = 16) -> tuple[slice, slice]:
    """Rows and columns of the smallest square around the painted pixels that fits in the picture.

    Along a side shorter than the square it is as wide as that side; it is at least smallest_px wide where that fits.
    """
    _some(hole)
    spans = [np.flatnonzero(hole.any(axis)) for axis in (1, 0)]
    side = min(max(*(int(s[-1] - s[0]) + 1 for s in spans), smallest_px), *hole.shape)

    def span(used: np.ndarray, length: int) -> slice:
        start = min(max(int(used[0] + used[-1] + 1 - side) // 2, 0), length - side)
        return slice(start, start + side)

    return span(spans[0], hole.shape[0]), span(spans[1], hole.shape[1])


def boundary_jump(result: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    """Visibility of the seam: mean |step| of the luminance across the hole's edge, minus the truth's own step there.

    Over all pairs of neighbouring pixels (left-right, up-down) of which one is painted. 0 is perfect, positive means a
    visible seam, negative one too smooth; in [-1, 1]. NaN where the hole has no edge.
    """
    _same_size(result, truth)
    steps = [_steps_across(luminance(p), hole) for p in (result, truth)]
    return float(steps[0].mean() - steps[1].mean()) if steps[0].size else math.nan


def luminance(picture: np.ndarray) -> np.ndarray:
    """Rec. 601 luminance in [0, 1], float64 (H, W), of an RGB or a grey picture."""
    picture = _unit(picture)
    return picture @ _LUMA if picture.shape[-1] == 3 else picture[..., 0]


def _steps_across(luma: np.ndarray, hole: np.ndarray) -> np.ndarray:
    down = np.abs(np.diff(luma, axis=0))[hole[1:] != hole[:-1]]
    right = np.abs(np.diff(luma, axis=1))[hole[:, 1:] != hole[:, :-1]]
    return np.concatenate([down, right])


def _gradient_magnitude(luma: np.ndarray) -> np.ndarray:
    from scipy.ndimage import prewitt

    height, width = (n // 2 * 2 for n in luma.shape)
    half = luma[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
    return np.hypot(prewitt(half, 0), prewitt(half, 1)) / 3


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _same_size(a, b)
    return _unit(a), _unit(b)


def _same_size(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise InputError(f"The pictures measure {a.shape} and {b.shape}.", "Only pictures of one size can be compared.")


def _unit(picture: np.ndarray) -> np.ndarray:
    """Float64 (H, W, C) in [0, 1]."""
    values = picture / 255 if picture.dtype == np.uint8 else np.clip(picture.astype(np.float64), 0, 1)
    return values[..., None] if values.ndim == 2 else values


def _counted(values: np.ndarray, where: np.ndarray | None) -> np.ndarray:
    if where is None:
        return values
    _some(where)
    return values[where]


def _some(where: np.ndarray) -> None:
    if not where.any():
        raise InputError("The mask has no pixel.", "There is nothing to measure.", field="mask")
