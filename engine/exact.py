"""Problems whose answer is known: Gaussian mixtures, with every field of their diffusion in closed form.

For x0 from the mixture sum_k w_k N(mu_k, s_k^2 I) and x_t = alpha x0 + sigma eps the law of x_t is again a mixture,
with means alpha mu_k and variances v_k = alpha^2 s_k^2 + sigma^2. Density, score, posterior mean and their derivatives
follow by hand. They check solvers, measure bounds and move the playground; nothing has to be trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from engine.errors import InputError
from engine.schedules import Schedule

Level = float | Tensor


@dataclass(frozen=True, eq=False)
class Mixture:
    """sum_k weights_k N(means_k, variances_k I).

    weights (K,) positive with sum 1, means (K, d), variances (K,) positive; labels (K,) int64, the class 0 .. n - 1 of
    each component, or None. States are (B, *) and read as (B, d); levels alpha and sigma are floats or (B,). Everything
    is computed in float64; states and posterior means come back in the dtype of the state.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    labels: Tensor | None = None

    @property
    def size(self) -> int:
        """d, the numbers per sample."""
        return self.means.shape[1]

    @property
    def classes(self) -> int:
        """How many classes the labels name; 0 without labels."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    def denoiser(self, schedule: Schedule) -> Callable[..., Tensor]:
        """denoise(x_t, t, label=None) -> x0, the posterior mean; t a float or (B,). label: see `posterior_mean`."""

        def denoise(x_t: Tensor, t: Level, label: Tensor | None = None) -> Tensor:
            return self.posterior_mean(x_t, *schedule(t), label=label)

        return denoise

    def posterior_mean(self, x: Tensor, alpha: Level, sigma: Level, label: Tensor | None = None) -> Tensor:
        """E[x0 | x_t = x], (B, *). label (B,) int64: the class it is conditioned on; the index `classes` means none."""
        flat = x.flatten(1).double()
        shares, spreads, alpha, sigma = self._shares(flat, alpha, sigma, label)
        pull = shares * (alpha * self.variances.to(x.device) / spreads)
        means = (shares * (sigma * sigma / spreads)) @ self.means.to(x.device)
        return (means + pull.sum(1, keepdim=True) * flat).reshape(x.shape).to(x.dtype)

    def score(self, x: Tensor, alpha: Level = 1.0, sigma: Level = 0.0) -> Tensor:
        """grad log density of x_t at x, (B, *). Finite also at sigma = 0."""
        flat = x.flatten(1).double()
        shares, spreads, alpha, _ = self._shares(flat, alpha, sigma)
        return self._score(flat, shares / spreads, alpha).reshape(x.shape).to(x.dtype)

    def log_density(self, x: Tensor, alpha: Level = 1.0, sigma: Level = 0.0) -> Tensor:
        """log density of x_t at x, (B,) float64."""
        parts, *_ = self._log_parts(x.flatten(1).double(), alpha, sigma)
        return parts.logsumexp(1) - self.size / 2 * math.log(2 * math.pi)

    def shares(self, x: Tensor, alpha: Level = 1.0, sigma: Level = 0.0) -> Tensor:
        """Probability of each component given x_t = x, (B, K) float64."""
        return self._shares(x.flatten(1).double(), alpha, sigma)[0]

    def hessian(self, x: Tensor, alpha: Level = 1.0, sigma: Level = 0.0) -> Tensor:
        """Second derivatives of the log density of x_t at x, (B, d, d) float64.

        It gives the posterior covariance as well: Cov[x0 | x_t] = sigma^2 / alpha^2 (I + sigma^2 hessian).
        """
        flat = x.flatten(1).double()
        shares, spreads, alpha, _ = self._shares(flat, alpha, sigma)
        pulls = (_column(alpha, flat)[..., None] * self.means.to(x.device) - flat[:, None]) / spreads[..., None]
        score = (shares[..., None] * pulls).sum(1)
        outer = torch.einsum("bk,bki,bkj->bij", shares, pulls, pulls) - score[:, :, None] * score[:, None]
        return outer - (shares / spreads).sum(1)[:, None, None] * torch.eye(self.size).to(flat)

    def laplacian(self, x: Tensor, alpha: Level = 1.0, sigma: Level = 0.0) -> Tensor:
        """Trace of the hessian, which is the divergence of the score, (B,) float64."""
        flat = x.flatten(1).double()
        shares, spreads, alpha, _ = self._shares(flat, alpha, sigma)
        pulls = shares / spreads
        score = self._score(flat, pulls, alpha)
        lengths = (pulls / spreads * self._distances(flat, alpha)).sum(1)
        return lengths - score.square().sum(1) - self.size * pulls.sum(1)

    def velocity(self, x: Tensor, t: Level, schedule: Schedule) -> Tensor:
        """dx/dt of the probability-flow ODE, alpha' x0 + sigma' eps, (B, *), for t > 0."""
        flat = x.flatten(1).double()
        levels = schedule(t)
        alpha_rate, sigma_rate = (_column(rate, flat) for rate in schedule.rates(t))
        noise = -_column(levels[1], flat) * self.score(flat, *levels)
        return (alpha_rate * self.posterior_mean(flat, *levels) + sigma_rate * noise).reshape(x.shape).to(x.dtype)

    def divergence(self, x: Tensor, t: Level, schedule: Schedule) -> Tensor:
        """div of `velocity`, (B,) float64, for t > 0 and alpha > 0.

        The velocity is (alpha' / alpha) x - sigma (sigma' - sigma alpha' / alpha) score.
        """
        (alpha, sigma), (alpha_rate, sigma_rate) = schedule(t), schedule.rates(t)
        growth = alpha_rate / alpha
        return self.size * growth - sigma * (sigma_rate - sigma * growth) * self.laplacian(x, alpha, sigma)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, d) draws of x0, float64 on the CPU."""
        return self.sample_labelled(count, generator)[0]

    def sample_labelled(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws of x0 (count, d) and the component (count,) int64 that each came from."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.size, generator=generator, dtype=torch.float64)
        return self.means[which] + self.variances[which].sqrt()[:, None] * noise, which

    def marginal(self, alpha: float, sigma: float) -> "Mixture":
        """The law of x_t itself as a mixture."""
        return Mixture(self.weights, alpha * self.means, alpha**2 * self.variances + sigma**2, self.labels)

    def part(self, chosen: Tensor) -> "Mixture":
        """The mixture of some components, weights in proportion. chosen: indices or a (K,) mask."""
        weights = self.weights[chosen]
        labels = None if self.labels is None else self.labels[chosen]
        return Mixture(weights / weights.sum(), self.means[chosen], self.variances[chosen], labels)

    def of_class(self, label: int) -> "Mixture":
        """The law of one class."""
        return self.part(self.labels == label)

    def split(self, seed: int = 0) -> tuple["Mixture", "Mixture"]:
        """Two mixtures of disjoint halves of the components: one to fit on, one to score on."""
        order = torch.randperm(len(self.weights), generator=torch.Generator().manual_seed(seed))
        half = len(order) // 2
        return self.part(order[:half].sort().values), self.part(order[half:].sort().values)

    def _score(self, flat: Tensor, pulls: Tensor, alpha: Tensor) -> Tensor:
        return alpha * (pulls @ self.means.to(flat.device)) - pulls.sum(1, keepdim=True) * flat

    def _shares(self, flat: Tensor, alpha: Level, sigma: Level, label: Tensor | None = None):
        """Probabilities (B, K) of the components given x_t, spreads v_k (B or 1, K), alpha and sigma (B or 1, 1)."""
        parts, spreads, alpha, sigma = self._log_parts(flat, alpha, sigma)
        if label is not None:
            label = label.to(flat.device)[:, None]
            parts = parts.masked_fill((self.labels.to(flat.device) != label) & (label != self.classes), -math.inf)
        return parts.softmax(1), spreads, alpha, sigma

    def _log_parts(self, flat: Tensor, alpha: Level, sigma: Level):
        """log(w_k N(x; alpha mu_k, v_k)) without the factor of 2 pi, then as `_shares`."""
        alpha, sigma = _column(alpha, flat), _column(sigma, flat)
        spreads = alpha * alpha * self.variances.to(flat.device) + sigma * sigma
        constants = self.weights.to(flat.device).log() - self.size / 2 * spreads.log()
        return constants - self._distances(flat, alpha) / (2 * spreads), spreads, alpha, sigma

    def _distances(self, flat: Tensor, alpha: Tensor) -> Tensor:
        """|x - alpha mu_k|^2, (B, K)."""
        means = self.means.to(flat.device)
        if self.size <= 3:  # in few dimensions the plain form is faster than a product of matrices, and exact
            return sum((flat[:, i, None] - alpha * means[:, i]).square() for i in range(self.size))
        lengths = flat.square().sum(1, keepdim=True) + alpha * alpha * means.square().sum(1)
        return (lengths - 2 * alpha * (flat @ means.T)).clamp_min_(0)


def mixture(weights, means, variances, labels=None) -> Mixture:
    """A Mixture from nested lists or arrays; weights in any unit."""
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return Mixture(weights / weights.sum(), torch.as_tensor(means, dtype=torch.float64),
                   torch.as_tensor(variances, dtype=torch.float64),
                   None if labels is None else torch.as_tensor(labels, dtype=torch.int64))


def toy() -> Mixture:
    """The two-dimensional mixture that the orders of the solvers were measured on; each component is a class."""
    return mixture([0.5, 0.3, 0.2], [[1.0, 0.3], [-0.8, 0.9], [0.1, -1.1]], [0.25, 0.16, 0.36], [0, 1, 2])


def line() -> Mixture:
    """Three bumps in one dimension, where densities can be integrated on a grid."""
    return mixture([0.5, 0.3, 0.2], [[0.9], [-1.2], [-0.1]], [0.09, 0.05, 0.16], [0, 1, 2])


def rings(count: int = 2, width: float = 0.08) -> Mixture:
    """Concentric rings in the plane, radii 2 i / count, each a class and as heavy as it is long.

    width: standard deviation across a ring. Gaussians 1.5 widths apart merge into an even one.
    """
    means, labels = [], []
    for label in range(count):
        radius = 2 * (label + 1) / count
        number = math.ceil(2 * math.pi * radius / (1.5 * width))
        angles = torch.arange(number, dtype=torch.float64) * (2 * math.pi / number)
        means.append(radius * torch.stack([angles.cos(), angles.sin()], 1))
        labels += [label] * number
    means = torch.cat(means)
    return mixture(torch.ones(len(means)), means, torch.full((len(means),), width**2), labels)


LONGEST_TEXT = 12
_GLYPH_PX = 22


def letters(text: str = "DIFFUSE") -> Mixture:
    """Ink of a short text in the plane, each visible letter a class. Raises InputError for none, too many, or letters
    beyond ASCII, which Pillow's own font lacks.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    visible = sum(not c.isspace() for c in text)
    if not text.isascii() or not text.isprintable() or not 0 < visible <= len(text) <= LONGEST_TEXT:
        raise InputError(f"This text of {len(text)} letters cannot be drawn.",
                         f"It needs 1 to {LONGEST_TEXT} plain letters, digits or signs without accents.", field="text")
    font = ImageFont.load_default(_GLYPH_PX)
    size = math.ceil(font.getlength(text)) + 4, 2 * _GLYPH_PX
    glyphs = []
    for i, letter in enumerate(text):
        picture = Image.new("L", size)
        ImageDraw.Draw(picture).text((2 + font.getlength(text[:i]), _GLYPH_PX / 4), letter, fill=255, font=font)
        if picture.getbbox():
            glyphs.append(np.asarray(picture, float))
    return drawn(np.stack(glyphs))


def drawn(ink, most: int = 600) -> Mixture:
    """A drawing as a law in the plane: one small Gaussian per inked cell.

    ink: array (H, W), or (n, H, W) with a layer per class, values >= 0, first row on top. Cells are merged in blocks
    until at most `most` hold ink. The inked part is centred and its longer side spans [-2, 2]. Raises InputError for
    another shape, numbers that are not finite or negative, and drawings without a stroke.
    """
    import numpy as np

    ink = np.asarray(ink, float)
    if ink.ndim not in (2, 3) or not np.isfinite(ink).all() or ink.min(initial=0) < 0:
        raise InputError("The drawing is not a table of ink.", "It needs rows and columns of numbers from 0 up.",
                         field="drawing")
    if not ink.size or ink.max() == ink.min():
        raise InputError("The drawing is the same everywhere.", "It needs at least one stroke.", "Draw one.", "drawing")
    layers = ink.reshape(-1, *ink.shape[-2:])
    block = 1
    while True:
        rows, columns, weights = _cells(layers, block)
        if len(rows) <= most:
            break
        block += 1
    places = np.stack([columns, -rows], 1) * block
    low, high = places.min(0), places.max(0)
    scale = 4 / max(*(high - low), 4 * block)
    # Gaussians 0.6 cells wide merge into an even tone.
    return mixture(weights.sum(0), (places - (low + high) / 2) * scale, np.full(len(rows), (0.6 * block * scale) ** 2),
                   weights.argmax(0) if ink.ndim == 3 else None)


def _cells(layers, block: int):
    """Rows and columns of the blocks that hold more than a trace of ink, and their sums by layer, (n, cells)."""
    import numpy as np

    padded = np.pad(layers, [(0, 0), *((0, -side % block) for side in layers.shape[1:])])
    count, height, width = padded.shape
    sums = padded.reshape(count, height // block, block, width // block, block).sum((2, 4))
    rows, columns = np.nonzero(sums.sum(0) > sums.sum(0).max() / 100)
    return rows, columns, sums[:, rows, columns]


@cache
def patches(side: int = 8, components: int = 512, seed: int = 0) -> Mixture:
    """A mixture fitted to side x side grey patches of scikit-image's shipped photographs: side^2 dimensions.

    k-means clusters become components: their centres, shares, and variances within. Data have mean 0 and variance 1.
    """
    generator = torch.Generator().manual_seed(seed)
    data = _patch_data(side, 32 * components, generator)
    centres = data[torch.randperm(len(data), generator=generator)[:components]]
    for _ in range(8):
        centres, *_ = _lloyd(data, centres)
    _, counts, spreads = _lloyd(data, centres)
    # A cluster of one or two patches knows little of its width: the mean width counts as one member more.
    within = (spreads.sum() / len(data) + spreads) / (counts + 1)
    return mixture(counts.clamp_min(1), centres, within)


def _patch_data(side: int, count: int, generator: torch.Generator) -> Tensor:
    from skimage import data
    from skimage.color import rgb2gray

    found = []
    pictures = [data.astronaut, data.camera, data.coffee, data.chelsea]
    for load in pictures:
        picture = load()
        grey = torch.from_numpy(rgb2gray(picture) if picture.ndim == 3 else picture / 255.0)
        grid = grey.unfold(0, side, 1).unfold(1, side, 1)
        rows, columns = (torch.randint(n, (count // len(pictures),), generator=generator) for n in grid.shape[:2])
        found.append(grid[rows, columns].flatten(1))
    found = torch.cat(found)
    return (found - found.mean()) / found.std()


def _lloyd(data: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One round of k-means: new centres, members, and summed squared distances per dimension to the old centres.

    A centre without members moves to the patch that is served worst.
    """
    gaps = centres.square().sum(1) - 2 * data @ centres.T
    best, owner = gaps.min(1)
    distances = (best + data.square().sum(1)).clamp_min(0)
    counts = torch.bincount(owner, minlength=len(centres)).double()
    spreads = torch.zeros_like(counts).index_add_(0, owner, distances / data.shape[1])
    new = torch.zeros_like(centres).index_add_(0, owner, data) / counts.clamp_min(1)[:, None]
    empty = (counts == 0).nonzero()[:, 0]
    new[empty] = data[distances.topk(len(empty)).indices]
    return new, counts, spreads


# Below this sigma / alpha the score of a smooth law is constant to more digits than anyone compares.
_QUIET = 1e-4


def solution(denoise: Callable[..., Tensor], x: Tensor, schedule: Schedule, steps: int = 2000, *,
             start: float | None = None, end: float = 0.0) -> Tensor:
    """The state at time `end` of the probability-flow ODE through x (B, *) at time `start` (schedule.start), by RK4.

    It runs in the angle of (alpha, sigma), where the ODE is regular also without signal: with y = x / |(alpha, sigma)|
    and w = log tan(angle / 2), dy/dw = cos(angle) y - x0. At end = 0 the last stretch below sigma / alpha = 1e-4 is
    taken with a constant score, y - (y - x0) / 2. denoise is called 4 steps (+ 1) times. 2000 steps leave below
    1e-9 on `toy` and about 1e-7 on `patches`. The run may also go up in noise, start < end.
    """
    start = schedule.start if start is None else start
    alpha, sigma = schedule(start)
    first = _half_angle(alpha, sigma)
    y = x / math.hypot(alpha, sigma)
    last = _half_angle(1.0, _QUIET) if end == 0 else _half_angle(*schedule(end))
    assert math.isfinite(first) and math.isfinite(last), "only `end` may be free of noise"

    def slope(w: float, y: Tensor) -> Tensor:
        t, length, cosine = _place(schedule, w)
        return cosine * y - denoise(length * y, t)

    y = runge_kutta(slope, y, first, last, steps)
    if end != 0:
        return y * math.hypot(*schedule(end))
    t, length, cosine = _place(schedule, last)
    return (y / cosine + denoise(length * y, t)) / 2


def runge_kutta(slope: Callable[[float, Tensor], Tensor], y: Tensor, first: float, last: float, steps: int) -> Tensor:
    """y at `last` of dy/dw = slope(w, y) with y (any shape) at `first`, by the classical rule of order 4."""
    h = (last - first) / steps
    for i in range(steps):
        w = first + i * h
        k1 = slope(w, y)
        k2 = slope(w + h / 2, y + h / 2 * k1)
        k3 = slope(w + h / 2, y + h / 2 * k2)
        k4 = slope(w + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def _half_angle(alpha: float, sigma: float) -> float:
    """log tan(angle / 2) of the angle between (alpha, sigma) and the noise-free axis."""
    return math.log(sigma / (alpha + math.hypot(alpha, sigma))) if sigma > 0 else -math.inf


def _place(schedule: Schedule, w: float) -> tuple[float, float, float]:
    """Time, |(alpha, sigma)| and the cosine of the angle at w = log tan(angle / 2)."""
    log_snr = math.log(-math.sinh(w)) if w < 0 else -math.inf
    t = schedule.time_at(log_snr)
    return t, math.hypot(*schedule(t)), -math.tanh(w)


def _column(level: Level, flat: Tensor) -> Tensor:
    """A level as (B, 1) or (1, 1) float64."""
    return torch.as_tensor(level, dtype=torch.float64, device=flat.device).reshape(-1, 1)
