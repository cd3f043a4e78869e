"""Classical restoration that ours is measured against. Pictures are uint8 (H, W, 3), in and out.

None of them sees the truth or the strength of the damage. Their few constants were chosen for the best PSNR at strength
0.5 on photographs that ship with scikit-image.
"""

import warnings
from collections.abc import Callable

import numpy as np

Method = Callable[[np.ndarray], np.ndarray]

NOMINAL_BLUR_PX = 1.5
"""Middle of the range of the degradation "blur": what deconvolution is told."""
_BRIGHTNESS = 0.45
# Below this deviation of the noise, in [0, 1], estimates say little: blocks of JPEG, for one, hardly show in them.
_LEAST_NOISE = 0.03
_MARGIN_PX = 16


def non_local_means(picture: np.ndarray) -> np.ndarray:
    """Buades et al. 2005, patches of 5 px within 13 px, strength 0.6 of the estimated noise."""
    from skimage.restoration import denoise_nl_means

    x = _unit(picture)
    noise = _noise(x)
    return _pixels(denoise_nl_means(x, patch_size=5, patch_distance=6, h=0.6 * noise, sigma=noise, fast_mode=True,
                                    channel_axis=-1))


def wavelet(picture: np.ndarray) -> np.ndarray:
    """Soft thresholds per band (BayesShrink, Chang et al. 2000) in YCbCr."""
    from skimage.restoration import denoise_wavelet

    return _pixels(denoise_wavelet(_unit(picture), method="BayesShrink", mode="soft", convert2ycbcr=True,
                                   rescale_sigma=True, channel_axis=-1))


def bilateral(picture: np.ndarray) -> np.ndarray:
    """Tomasi and Manduchi 1998: 3 px in space, four times the estimated noise in colour."""
    import cv2

    x = _unit(picture)
    return _pixels(cv2.bilateralFilter(x, -1, 4 * _noise(x), 3.0))


def total_variation(picture: np.ndarray) -> np.ndarray:
    """Chambolle 2004 with a weight of 0.8 of the estimated noise."""
    from skimage.restoration import denoise_tv_chambolle

    x = _unit(picture)
    return _pixels(denoise_tv_chambolle(x, weight=0.8 * _noise(x), channel_axis=-1))


def median(picture: np.ndarray) -> np.ndarray:
    """Median of 5 x 5 pixels per channel."""
    import cv2

    return cv2.medianBlur(np.ascontiguousarray(picture), 5)


def opening(picture: np.ndarray) -> np.ndarray:
    """Grey-scale opening along rows, 5 px: takes away what is bright and narrower, as streaks of rain are."""
    import cv2

    return cv2.morphologyEx(np.ascontiguousarray(picture), cv2.MORPH_OPEN, np.ones((1, 5), np.uint8))


def wiener(picture: np.ndarray) -> np.ndarray:
    """Wiener-Hunt deconvolution with the nominal Gaussian kernel and a Laplacian penalty of 0.02."""
    from skimage.restoration import wiener as deconvolve

    return _deconvolved(picture, lambda channel, kernel: deconvolve(channel, kernel, 0.02))


def unsupervised_wiener(picture: np.ndarray) -> np.ndarray:
    """The same with the penalty estimated from the picture (Orieux et al. 2010), always with the same random draws."""
    from skimage.restoration import unsupervised_wiener as deconvolve

    return _deconvolved(picture, lambda channel, kernel: deconvolve(channel, kernel, rng=0)[0])


def richardson_lucy(picture: np.ndarray) -> np.ndarray:
    """Richardson 1972, Lucy 1974: 10 iterations with the nominal Gaussian kernel."""
    from skimage.restoration import richardson_lucy as deconvolve

    return _deconvolved(picture, lambda channel, kernel: deconvolve(channel, kernel, num_iter=10))


def exposure(picture: np.ndarray) -> np.ndarray:
    """All values times one factor that brings their mean to 0.45, at least before clipping."""
    x = _unit(picture)
    return _pixels(x * (_BRIGHTNESS / max(float(x.mean()), 1 / 255)))


def gamma(picture: np.ndarray) -> np.ndarray:
    """The power that maps the mean value to 0.45."""
    x = _unit(picture)
    mean = float(np.clip(x.mean(), 0.01, 0.99))
    return _pixels(x ** np.float32(np.log(_BRIGHTNESS) / np.log(mean)))


def clahe(picture: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation of the lightness (Zuiderveld 1994), 8 x 8 tiles, limit 2."""
    import cv2

    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    lightness = np.ascontiguousarray(lab[..., 0])
    lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lightness)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def contrast_stretch(picture: np.ndarray) -> np.ndarray:
    """Each channel stretched so that its 1st and 99th percentiles become 0 and 1."""
    x = _unit(picture)
    low, high = np.quantile(x, (0.01, 0.99), axis=(0, 1)).astype(np.float32)
    return _pixels((x - low) / np.maximum(high - low, 0.05))


def retinex(picture: np.ndarray) -> np.ndarray:
    """The brightest channel, blurred by 10 px, is the light; a power of 0.3 evens it out (after Jobson et al. 1997).

    The full power of the original turns every smooth area grey.
    """
    import cv2

    x = _unit(picture)
    light = np.maximum(cv2.GaussianBlur(x.max(-1), (0, 0), 10.0), 0.02)
    return _pixels(x * ((light.mean() / light) ** 0.3)[..., None])


def dark_channel(picture: np.ndarray) -> np.ndarray:
    """Haze removal by the dark channel prior (He et al. 2009, equations 11, 12, 22), 15 px, 95 % of the haze.

    The transmission is refined by the guided filter of the same authors (2013) with a radius of 20 px.
    """
    import cv2

    x, patch = _unit(picture), np.ones((15, 15), np.uint8)
    dark = cv2.erode(x.min(-1), patch)
    air = np.maximum(x[dark >= np.quantile(dark, 0.999)].mean(0), 1 / 255)
    transmission = 1 - 0.95 * cv2.erode((x / air).min(-1), patch)

    def box(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (41, 41), borderType=cv2.BORDER_REFLECT)

    guide = x.mean(-1)
    mean_guide, mean = box(guide), box(transmission)
    slope = (box(guide * transmission) - mean_guide * mean) / (box(guide * guide) - mean_guide ** 2 + 1e-3)
    transmission = np.maximum(box(slope) * guide + box(mean - slope * mean_guide), 0.1)[..., None]
    return _pixels((x - air) / transmission + air)


METHODS: dict[str, Method] = {
    "non-local means": non_local_means, "wavelet": wavelet, "bilateral": bilateral, "total variation": total_variation,
    "median": median, "opening": opening, "Wiener": wiener, "unsupervised Wiener": unsupervised_wiener,
    "Richardson-Lucy": richardson_lucy, "exposure": exposure, "gamma": gamma, "CLAHE": clahe,
    "contrast stretch": contrast_stretch, "retinex": retinex, "dark channel": dark_channel,
    "exposure, bilateral": lambda picture: bilateral(exposure(picture)),
    "exposure, wavelet": lambda picture: wavelet(exposure(picture)),
}

TRIED: dict[str, tuple[str, ...]] = {
    "noise": ("non-local means", "wavelet", "bilateral", "total variation", "median"),
    "blur": ("Wiener", "unsupervised Wiener", "Richardson-Lucy"),
    "jpeg": ("non-local means", "wavelet", "bilateral", "total variation", "median"),
    "lowlight": ("exposure", "gamma", "CLAHE", "contrast stretch", "exposure, bilateral", "exposure, wavelet"),
    "rain": ("opening", "median", "non-local means", "bilateral", "total variation"),
    "drops": ("opening", "median", "non-local means", "bilateral", "total variation"),
    "shadow": ("retinex", "exposure", "gamma", "CLAHE", "contrast stretch"),
    "haze": ("dark channel", "contrast stretch", "gamma", "CLAHE"),
}
"""The methods that make sense for each degradation."""


def _unit(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.uint8(np.clip(values, 0, 1) * 255 + 0.5)


def _noise(x: np.ndarray) -> float:
    """Standard deviation of the noise by the finest wavelet band (Donoho and Johnstone 1994), mean of the channels."""
    from skimage.restoration import estimate_sigma

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        sigmas = np.nan_to_num(estimate_sigma(x, channel_axis=-1))  # a channel of nothing but zeros gives NaN
    return max(float(sigmas.mean()), _LEAST_NOISE)


def _deconvolved(picture: np.ndarray, method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Channel by channel with a mirrored margin, because the methods take the picture as periodic or black outside."""
    from engine.tasks.restoration.degradations import gaussian_kernel

    margin = min(_MARGIN_PX, *(side - 1 for side in picture.shape[:2]))
    x = np.pad(_unit(picture), ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    kernel = gaussian_kernel(NOMINAL_BLUR_PX)
    sharp = np.stack([method(x[..., c], kernel) for c in range(3)], -1)
    return _pixels(sharp[margin:margin + picture.shape[0], margin:margin + picture.shape[1]])
