"""What several drawn masks say together: one mask, where they agree, how sure one can be, and single instances."""

from dataclasses import dataclass

import numpy as np

_MARGIN_PX = 8
"""Background kept around the union of all decisions: all of it would make every rater's specificity 1."""
_SADDLE = 0.07


@dataclass(frozen=True)
class Fusion:
    """STAPLE's answer: chance (H, W) float64 of the hidden true mask, and each rater's sensitivity and specificity."""

    chance: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray


def mean(samples: np.ndarray) -> np.ndarray:
    """Chance of mask per pixel: the mean of soft masks (S, H, W) in [0, 1]."""
    return samples.mean(axis=0, dtype=np.float64)


def calibrated(samples: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The mean of few samples steadied by the picture network's own chance (H, W), half each.

    Along exact denoising the estimate of a pixel is a martingale: the network's answer before the first step and the
    mean of many samples are the same chance, the first without noise from sampling, the second without the network's
    neglect of how pixels hang together. MedSegDiff mixes the two as well (its "calibration" head).
    """
    return (mean(samples) + own) / 2


def agreement(samples: np.ndarray) -> np.ndarray:
    """Share of the samples on the majority's side, (H, W) in [1/2, 1]; soft masks (S, H, W) are cut at 1/2."""
    share = (samples > 0.5).mean(axis=0)
    return np.maximum(share, 1 - share)


def entropy(chance: np.ndarray) -> np.ndarray:
    """Doubt in bits, 0 where the chance is 0 or 1 and 1 where it is 1/2."""
    from scipy.special import entr

    chance = np.clip(chance, 0, 1)
    return (entr(chance) + entr(1 - chance)) / np.log(2)


def variance(samples: np.ndarray) -> np.ndarray:
    """Variance of the soft masks (S, H, W) around their mean, per pixel, at most 1/4."""
    return samples.var(axis=0, dtype=np.float64)


def staple(samples: np.ndarray) -> Fusion:
    """Fusion of decisions (S, H, W), bool or soft and cut at 1/2, that weighs every rater by its own reliability.

    Warfield, Zou and Wells (2004), by SimpleITK: expectation maximisation of the raters' sensitivity and specificity,
    with the share of the decisions as the prior. Works in the box around all decisions and a margin of 8 px. Without
    any decision, or where all agree everywhere, the answer is the decision itself.
    """
    decisions = np.asarray(samples) > 0.5
    union = decisions.any(axis=0)
    if (decisions == union).all():
        ones = np.ones(len(decisions))
        return Fusion(union.astype(np.float64), ones, ones.copy())
    import SimpleITK

    box = _box(union)
    chance = np.zeros(union.shape)
    method = SimpleITK.STAPLEImageFilter()
    method.SetForegroundValue(1.0)
    estimate = method.Execute([SimpleITK.GetImageFromArray(np.ascontiguousarray(d[box]).astype(np.uint8))
                               for d in decisions])
    chance[box] = SimpleITK.GetArrayFromImage(estimate)
    return Fusion(chance, np.array(method.GetSensitivity()), np.array(method.GetSpecificity()))


def instances(chance: np.ndarray, threshold: float = 0.5, least_px: int = 8) -> np.ndarray:
    """Numbered instances (H, W) int32, 0 for background: watershed of the mask above the threshold.

    Seeds are the peaks of the distance to the background, weighted by the chance; two peaks count as one unless the
    saddle between them is 7 per cent lower (measured on outlines drawn by people: 5 to 10 per cent give nearly the same
    aggregated Jaccard index, 0.88). Instances of fewer than `least_px` pixels are dropped.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.measure import label
    from skimage.morphology import h_maxima
    from skimage.segmentation import relabel_sequential, watershed

    mask = chance > threshold
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    height = gaussian_filter(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] * chance, 0.5) * mask
    seeds = label(h_maxima(np.log(height + 0.5), _SADDLE) * mask)
    # A piece too flat for a peak of its own is one instance.
    pieces = label(mask)
    seeded = np.unique(pieces[seeds > 0])
    alone = mask & ~np.isin(pieces, seeded)
    seeds = np.where(alone, pieces + seeds.max(), seeds)
    ids = watershed(-height, seeds, mask=mask)
    small = np.bincount(ids.ravel()) < least_px
    ids[small[ids]] = 0
    return relabel_sequential(ids)[0].astype(np.int32)


def _box(union: np.ndarray) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(union.any(axis=axis)) for axis in (1, 0))
    return tuple(slice(max(places[0] - _MARGIN_PX, 0), places[-1] + 1 + _MARGIN_PX) for places in (rows, columns))
