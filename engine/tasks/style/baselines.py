"""What style transfer is compared with: two transfers of colours, and a direct fit of the wavelet statistics."""

import numpy as np

_ROUNDS = 12
_WAVELET, _LEVELS = "db2", 4


def reinhard(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Means and deviations of the style's Lab channels (Reinhard et al., 2001). Pictures (H, W, 3) uint8."""
    from skimage import color

    mine, theirs = (color.rgb2lab(v) for v in (content, style))
    moved = (mine - mine.mean((0, 1))) / mine.std((0, 1)).clip(1e-3) * theirs.std((0, 1)) + theirs.mean((0, 1))
    return np.uint8(color.lab2rgb(moved).clip(0, 1) * 255 + 0.5)


def histograms(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Each channel's histogram of the style (scikit-image)."""
    from skimage.exposure import match_histograms

    return np.uint8(match_histograms(content, style, channel_axis=-1).clip(0, 255))


def fitted_bands(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """The content with the strength of each wavelet band, the means and the covariance of the style's colours.

    Projected in turn until both nearly hold (as Heeger and Bergen, 1995, do for textures): the slow, direct way to the
    statistics that `statistics.describe` measures.
    """
    import pywt

    target, picture = np.float32(style) / 255, np.float32(content) / 255
    wanted = [[np.abs(band).mean((0, 1)) for band in level]
              for level in pywt.wavedec2(target, _WAVELET, "reflect", _LEVELS, axes=(0, 1))[1:]]
    mean, root = _colours(target)
    for _ in range(_ROUNDS):
        coarse, *bands = pywt.wavedec2(picture, _WAVELET, "reflect", _LEVELS, axes=(0, 1))
        bands = [tuple(band * (goal / np.abs(band).mean((0, 1)).clip(1e-5)) for band, goal in zip(level, goals))
                 for level, goals in zip(bands, wanted)]
        whole = pywt.waverec2([coarse, *bands], _WAVELET, "reflect", axes=(0, 1))
        picture = whole[:content.shape[0], :content.shape[1]]
        here, own = _colours(picture)
        picture = ((picture - here) @ np.linalg.pinv(own) @ root + mean).clip(0, 1)
    return np.uint8(picture * 255 + 0.5)


def _colours(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and symmetric root (3, 3) of the covariance of the colours."""
    flat = picture.reshape(-1, 3)
    values, vectors = np.linalg.eigh(np.cov(flat.T) + 1e-8 * np.eye(3))
    return flat.mean(0), vectors * np.sqrt(values.clip(1e-8)) @ vectors.T
