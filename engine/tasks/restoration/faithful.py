"""The most faithful single estimate, and what lies between it and a sample."""

from collections.abc import Callable, Iterator

from torch import Tensor

from engine.step import Step

ORIENTATIONS = 8
"""Ways to turn and mirror a square grid. The first two are the picture and its mirror image."""


def turned(x: Tensor, number: int) -> Tensor:
    """x (..., H, W) in orientation `number`: bits 1 and 2 mirror columns and rows, bit 4 exchanges the axes."""
    x = x.flip(-1) if number & 1 else x
    x = x.flip(-2) if number & 2 else x
    return x.transpose(-1, -2) if number & 4 else x


def turned_back(x: Tensor, number: int) -> Tensor:
    """Undoes `turned`."""
    x = x.transpose(-1, -2) if number & 4 else x
    x = x.flip(-2) if number & 2 else x
    return x.flip(-1) if number & 1 else x


def estimates(denoise: Callable[..., Tensor], degraded: Tensor, start: float, count: int) -> Iterator[Step]:
    """Estimates of the clean picture (1, C, H, W), as steps; the k-th is the mean of the first k orientations.

    denoise(x, t, cond): with a picture as `cond`. At t = start nothing of the clean picture is in the state, so the
    estimate without noise is the posterior mean given the degraded picture, which no other estimate beats in mean
    squared error. Seeing the picture in several orientations averages out part of what the network gets wrong
    (self-ensemble: Timofte et al., 2016, arXiv 1511.02228). degraded (1, C, H, W) in [-1, 1].
    """
    total = degraded.new_zeros(())
    for number in range(count):
        seen = turned(degraded, number).contiguous()
        total = total + turned_back(denoise(seen.new_zeros(seen.shape), start, cond=seen), number)
        mean = total / (number + 1)
        yield Step(number + 1, count, 0.0, 0.0, mean, mean, number + 1)


def between(estimate: Tensor, sample: Tensor, diversity: float) -> Tensor:
    """From the posterior mean (diversity 0) to a sample of the posterior (1).

    The straight line between them holds the estimates of least squared error for every distance of their law from that
    of clean pictures (Freirich, Michaeli and Meir, 2021, arXiv 2107.02555).
    """
    return estimate + diversity * (sample - estimate)
