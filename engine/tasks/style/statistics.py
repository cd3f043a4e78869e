"""A fixed description of a picture's palette and hand: colour moments and the strengths of its wavelet bands."""

import numpy as np

LEVELS = 4
_WAVELET = "db2"
_OPPONENT = np.array([[0.299, 0.587, 0.114], [0.5, 0.0, -0.5], [-0.25, 0.5, -0.25]], np.float32)
"""Rows: lightness, red against blue, green against magenta."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FLOOR = 1e-3

COUNT = 3 + 6 + len(_QUANTILES) + 3 * 3 * LEVELS + 3 * LEVELS
"""How many numbers `describe` gives."""


def describe(pictures: np.ndarray) -> np.ndarray:
    """(B, COUNT) float32 of pictures (B, H, W, 3) uint8 of at least 32 px a side; each about of unit spread.

    In opponent colours: means (3), logarithms of the square roots of the covariance's eigen-directions as its matrix
    logarithm (6), quantiles of the lightness (5), log mean absolute value of each wavelet band (level, direction,
    channel), and log of root mean square over mean absolute value of the lightness bands, which is large for sparse
    strokes and small for even grain.
    """
    import pywt

    colours = np.float32(pictures) / 127.5 @ _OPPONENT.T - _OPPONENT.sum(1)
    flat = colours.reshape(len(colours), -1, 3)
    mean = flat.mean(1)
    centred = flat - mean[:, None]
    numbers = [2 * mean, _log_root(centred.transpose(0, 2, 1) @ centred / flat.shape[1]),
               np.quantile(flat[..., 0], _QUANTILES, axis=1).T * 2]
    _, *bands = pywt.wavedec2(colours, _WAVELET, mode="reflect", level=LEVELS, axes=(1, 2))
    for level in bands:
        for direction in level:
            size = np.abs(direction).mean((1, 2))
            numbers.append(np.log(size + _FLOOR))
            lightness = direction[..., :1]
            numbers.append(np.log((np.sqrt(np.square(lightness).mean((1, 2))) + _FLOOR) / (size[:, :1] + _FLOOR)) * 2)
    return np.concatenate(numbers, 1).astype(np.float32)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two descriptions (COUNT,): 0 for the same palette and hand."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def _log_root(covariance: np.ndarray) -> np.ndarray:
    """The upper triangle (B, 6) of half the matrix logarithm of (B, 3, 3): additive over orders of magnitude."""
    values, vectors = np.linalg.eigh(covariance)
    logs = 0.5 * np.log(values.clip(0) + _FLOOR**2)
    matrix = vectors * logs[:, None] @ vectors.transpose(0, 2, 1)
    return matrix[:, *np.triu_indices(3)]
