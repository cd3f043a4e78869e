"""How good masks are, and how honest the doubt that comes with them.

Masks are bool arrays, chances floats in [0, 1], ids whole numbers with 0 for background, all (H, W) unless said
otherwise. `counted` (bool, of the same shape) restricts a figure to the pixels that are judged.
"""

import numpy as np

BINS = 15


def dice(found: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """2 |P and G| / (|P| + |G|); 1 when both are empty."""
    found, truth = _counted(counted, found, truth)
    total = found.sum() + truth.sum()
    return float(2 * (found & truth).sum() / total) if total else 1.0


def iou(found: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """|P and G| / |P or G|; 1 when both are empty. Equal to dice / (2 - dice)."""
    found, truth = _counted(counted, found, truth)
    union = (found | truth).sum()
    return float((found & truth).sum() / union) if union else 1.0


def sensitivity(found: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Share of the true pixels that were found; NaN when there are none."""
    found, truth = _counted(counted, found, truth)
    return _share((found & truth).sum(), truth.sum())


def specificity(found: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Share of the background that was left alone; NaN when there is none."""
    found, truth = _counted(counted, found, truth)
    return _share((~found & ~truth).sum(), (~truth).sum())


def aggregated_jaccard(found: np.ndarray, truth: np.ndarray) -> float:
    """Aggregated Jaccard index of two pictures of ids (Kumar et al., 2017); 1 when both are empty.

    Every true instance takes the found one of largest IoU (which may serve several); the intersections of all pairs are
    divided by their unions plus everything found that was taken by none.
    """
    (truth, true_sizes), (found, found_sizes) = _numbered(truth), _numbered(found)
    pairs = np.zeros((len(true_sizes), len(found_sizes)), np.int64)
    np.add.at(pairs, (truth, found), 1)
    pairs, true_sizes, found_sizes = pairs[1:, 1:], true_sizes[1:], found_sizes[1:]
    if not len(true_sizes) or not len(found_sizes):
        return float(len(true_sizes) == len(found_sizes))
    unions = true_sizes[:, None] + found_sizes - pairs
    best = np.argmax(pairs / unions, axis=1)
    rows = np.arange(len(true_sizes))
    overlap, missed = pairs[rows, best], pairs[rows, best] == 0
    union = np.where(missed, true_sizes, unions[rows, best])
    alone = found_sizes.sum() - found_sizes[np.unique(best[~missed])].sum()
    return float(overlap.sum() / (union.sum() + alone))


def brier(chance: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Mean squared difference of chance and truth: 0 is perfect, a constant 1/2 gives 1/4."""
    chance, truth = _counted(counted, chance, truth)
    return float(np.mean((np.float64(chance) - truth) ** 2))


def reliability(chance: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None,
                bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean chance, share of true pixels, share of all pixels) of equally wide bins over [0, 1] that are not empty."""
    chance, truth = _counted(counted, chance, truth)
    place = np.minimum((np.float64(chance) * bins).astype(int), bins - 1)
    size = np.bincount(place, minlength=bins)
    kept = size > 0
    means = [np.bincount(place, np.float64(v), bins)[kept] / size[kept] for v in (chance, truth)]
    return means[0], means[1], size[kept] / size.sum()


def calibration_error(chance: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None,
                      bins: int = BINS) -> float:
    """Expected calibration error: mean over the pixels of |mean chance - share of true pixels| of their bin.

    The bins hold equally many pixels as nearly as equal chances allow (those are never parted).
    """
    chance, truth = _counted(counted, chance, truth)
    levels, level, size = np.unique(np.float64(chance), return_inverse=True, return_counts=True)
    bin_of_level = ((np.cumsum(size) - size / 2) * bins / size.sum()).astype(int)
    place = bin_of_level[level]
    gap = np.bincount(place, levels[level] - truth)
    return float(np.abs(gap).sum() / size.sum())


def auroc(score: np.ndarray, positive: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Chance that a positive pixel has a higher score than a negative one, ties counting half; NaN without either."""
    from scipy.stats import rankdata

    score, positive = _counted(counted, score, positive)
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return float("nan")
    return float((rankdata(score)[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def energy_distance(samples: np.ndarray, raters: np.ndarray) -> float:
    """Squared generalised energy distance of samples (S, H, W) to raters (R, H, W), both bool, with d = 1 - IoU.

    2 E d(S, Y) - E d(S, S') - E d(Y, Y'), expectations over all pairs (a set is compared with itself too, so two equal
    sets are 0 apart); Kohl et al. (2018).
    """
    return (2 * _distances(samples, raters).mean() - _distances(samples, samples).mean()
            - _distances(raters, raters).mean())


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - IoU of every pair, (len(a), len(b)); 0 for two empty masks."""
    a, b = (np.float64(v.reshape(len(v), -1)) for v in (a, b))
    overlap = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - overlap
    return np.where(union > 0, 1 - overlap / np.maximum(union, 1), 0.0)


def _numbered(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids renumbered 0, 1, 2 ... (0 stays background, also where there is none), flat, and the pixels of each."""
    flat = np.concatenate(([0], ids.ravel()))
    _, numbers = np.unique(flat, return_inverse=True)
    return numbers[1:], np.bincount(numbers[1:], minlength=numbers.max() + 1)


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _counted(counted: np.ndarray | None, *values: np.ndarray) -> list[np.ndarray]:
    return [v.ravel() if counted is None else v[counted] for v in values]
