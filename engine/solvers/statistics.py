"""Empirical model statistics: what DPM-Solver-v3 knows about a model beforehand. Zheng et al. 2023, arXiv 2310.13268.

In y = x / alpha and u = log-SNR the probability-flow ODE is dy/du = x0 - y. With three functions of u (per element of
the state), l(u), s(u) and b(u), the rest f = (1 - l) y - x0 obeys df/du = s f + b as well as a line can say, so that
g(u) = e^(-S) f - B is nearly constant and easy to extrapolate. Any bounded l, s, b give a correct solver; good ones
a quick one.

The integrals of a step are taken afresh from its own start, from cubics through the stored values, by Gauss-Legendre
quadrature, and not from running tables with rounded nodes: steps may then start and end anywhere, nothing large is ever
subtracted, and the rule leaves less than 1e-9 where the paper's trapezoids leave 1e-5.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, float16, float32, float64

from engine.errors import InputError

FILE = "statistics.safetensors"
RATE_LIMIT = 6.0
"""Bound of |s|: what a step multiplies by then stays within float32."""
PUSH_LIMIT = 1e4
"""Bound of |b|."""
_KIND = "model statistics 1 of"
_FILE_BYTES = 256_000_000
_POINTS = 4
_WIDEST = 1 / 8  # of a panel: four points then integrate e^(6u) to 1e-10


class Span(NamedTuple):
    """Integrals from a step's start (where L = S = B = 0) to its end; tensors of the statistics' shape, float64.

    decay: e^-L. growth: e^S. drift: B = int e^-S b. forced: e^-L int e^(L+S) B. moments: e^-L int e^(L+S) (u - start)^k
    for k = 0 .. 3.
    """

    decay: Tensor
    growth: Tensor
    drift: Tensor
    forced: Tensor
    moments: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Tables of l, s and b over the log-SNR; they hold for every schedule.

    log_snr: (G + 1,), evenly rising, at least 4 values. l, s, b: (G + 1, *shape), where shape is that of one sample, or
    () for one number for all elements. Beyond the table its last values hold. l is a share, from 0 to 1: ideally 1 - l
    is the mean posterior variance of x0 over (sigma / alpha)^2, the error of the estimate x / alpha. model_sha256: of
    the weights that they were estimated from, "" for none. Raises InputError for tables that do not fit, are not finite
    or beyond their bounds.
    """

    log_snr: Tensor
    l: Tensor  # noqa: E741 (the paper's letter)
    s: Tensor
    b: Tensor
    model_sha256: str = ""

    def __post_init__(self):
        grid = self.log_snr
        even = grid.ndim == 1 and len(grid) > 3 and bool(grid.isfinite().all()) and float(grid[-1] - grid[0]) > 0
        if not even or not torch.allclose(grid.diff(), (grid[-1:] - grid[:1]) / (len(grid) - 1), rtol=1e-4):
            raise _refused("The levels of the model statistics are not usable.",
                           "They must be at least 4 and rise evenly in log-SNR.")
        for name, low, high in (("l", 0, 1), ("s", -RATE_LIMIT, RATE_LIMIT), ("b", -PUSH_LIMIT, PUSH_LIMIT)):
            table = getattr(self, name)
            if table.shape != self.l.shape or len(table) != len(grid):
                raise _refused(f"The table {name} of the model statistics has the shape {list(table.shape)}.",
                               f"It must have {len(grid)} rows and agree with the others.")
            if not bool(((table >= low) & (table <= high)).all()):
                raise _refused(f"The table {name} of the model statistics is beyond its bounds.",
                               f"Every value must be a number from {low:g} to {high:g}.")

    @property
    def shape(self) -> torch.Size:
        """Shape of one sample, or () when the same numbers hold for every element."""
        return self.l.shape[1:]

    @classmethod
    def constant(cls, l: float, s: float, b: float, log_snr: Tensor) -> Self:  # noqa: E741
        """The same numbers at every level: (1, 0, 0) makes a data-form solver of it, (0, -1, 0) a noise-form one."""
        ones = torch.ones(len(log_snr), dtype=float64)
        return cls(log_snr, l * ones, s * ones, b * ones)

    def lean(self, log_snr: float) -> Tensor:
        """1 - l at one level, (*shape), float64: f = lean * x / alpha - x0."""
        return 1 - self._at(self.l, torch.tensor([log_snr], dtype=float64))[0]

    def span(self, start: float, end: float) -> Span:
        """The integrals of a step between two finite log-SNRs, start < end."""
        knots = self._knots(start, end)
        widths = knots.diff()
        levels = (knots[:-1, None] + widths[:, None] * torch.from_numpy(_NODES)).flatten()
        l, s, b = (self._at(table, levels) for table in (self.l, self.s, self.b))  # noqa: E741
        all_l, total_l = _running(l, widths)
        all_s, total_s = _running(s, widths)
        drift, total_drift = _running((-all_s).exp() * b, widths)
        # e^-L goes inside, where it cannot overflow before it is cancelled.
        weight = (all_l - total_l + all_s).exp()
        offset = _column(levels - start, weight)
        moments = tuple(_running(weight * offset**k, widths)[1] for k in range(_POINTS))
        return Span((-total_l).exp(), total_s.exp(), total_drift, _running(weight * drift, widths)[1], moments)

    def _knots(self, start: float, end: float) -> Tensor:
        """Ends of the panels: the table's levels inside the step, where cubics meet, and enough between them."""
        grid = self.log_snr.to(float64)
        inner = grid[(grid > start) & (grid < end)].tolist()
        knots = [start]
        for knot in (*inner, end):
            parts = math.ceil((knot - knots[-1]) / _WIDEST)
            knots += torch.linspace(knots[-1], knot, parts + 1, dtype=float64)[1:].tolist()
        return torch.tensor(knots, dtype=float64)

    def _at(self, table: Tensor, levels: Tensor) -> Tensor:
        """A table at levels (M,), as (M, *shape) float64: the cubic through the two nearest rows on either side."""
        cells = len(self.log_snr) - 1
        first, last = self.log_snr[[0, -1]].to(float64)
        place = ((levels - first) / (last - first) * cells).clamp(0, cells)
        left = place.floor().long().clamp(1, cells - 2)
        u = place - left
        cubic = (-u * (u - 1) * (u - 2) / 6, (u + 1) * (u - 1) * (u - 2) / 2, -(u + 1) * u * (u - 2) / 2,
                 (u + 1) * u * (u - 1) / 6)
        rows = (table[left + j].to(float64) for j in (-1, 0, 1, 2))
        return sum(_column(weight, row) * row for weight, row in zip(cubic, rows))

    def write(self, path: Path) -> None:
        """Store as safetensors, whole or not at all.

        l, which enters a step value by value, keeps 32 bits; s and b only enter through integrals, where the rounding
        of 16 bits does no harm. The hash of the model goes along.
        """
        from safetensors.torch import save

        from engine.io.files import write_whole

        tensors = {"log_snr": self.log_snr.to(float64), "l": self.l.to(float32), "s": self.s.to(float16),
                   "b": self.b.to(float16)}
        # One entry only: the library writes several in an order of chance, and equal files have equal bytes.
        metadata = {"diffuscope": f"{_KIND} {self.model_sha256}"}
        write_whole(path, save({name: value.contiguous() for name, value in tensors.items()}, metadata))

    @classmethod
    def read(cls, path: Path, model_sha256: str) -> Self:
        """The statistics in a file, which must be those of the model with this hash.

        Raises InputError when the file is missing, too large or damaged, or belongs to another model.
        """
        from safetensors import SafetensorError, safe_open

        size = path.stat().st_size if path.is_file() else -1
        if not 0 < size <= _FILE_BYTES:
            raise _refused("The model statistics are missing." if size < 0 else
                           f"The file of the model statistics has {size} bytes.",
                           f"They belong in {'/'.join(path.parts[-4:])}, with at most {_FILE_BYTES} bytes.")
        try:
            with safe_open(path, framework="pt") as file:
                kind, _, found = (file.metadata() or {}).get("diffuscope", "").rpartition(" ")
                if kind != _KIND:
                    raise _refused("The file holds no model statistics that this program knows.",
                                   "It is of another kind or from a newer program.")
                tensors = {name: file.get_tensor(name) for name in ("log_snr", "l", "s", "b")}
        except (SafetensorError, OSError):
            raise _refused("The model statistics cannot be read.", "The file is damaged.") from None
        if found != model_sha256:
            raise _refused("The statistics are those of another model.",
                           f"They are for weights {found[:12] or 'without a hash'}, this model has "
                           f"{model_sha256[:12] or 'no hash'}.")
        return cls(**tensors, model_sha256=found)


def _refused(what: str, why: str) -> InputError:
    return InputError(what, why, "Make them anew with `python -m engine prepare`, or choose another solver.",
                      field="solver")


def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes of [0, 1], (q,), and the integrals from 0 to each node and to 1 of the polynomial through
    the values there, (q + 1, q)."""
    nodes = (np.polynomial.legendre.leggauss(_POINTS)[0] + 1) / 2
    powers = np.arange(_POINTS)
    ends = np.append(nodes, 1.0)[:, None]
    return nodes, ends ** (powers + 1) / (powers + 1) @ np.linalg.inv(nodes[:, None] ** powers)


_NODES, _INTEGRALS = _rule()


def _running(values: Tensor, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Integral from the start up to every node, (P q, *shape), and up to the end, (*shape), of values at the nodes of P
    panels, (P q, *shape)."""
    panels = values.unflatten(0, (len(widths), _POINTS))
    parts = torch.einsum("ij,pj...->pi...", torch.from_numpy(_INTEGRALS), panels)
    parts = parts * _column(widths, parts)
    after = parts[:, -1].cumsum(0)
    before = (after - parts[:, -1])[:, None]
    return (before + parts[:, :-1]).flatten(0, 1), after[-1]


def _column(weights: Tensor, values: Tensor) -> Tensor:
    """Weights of the first axis, shaped to multiply `values`."""
    return weights.reshape(-1, *[1] * (values.ndim - 1))
