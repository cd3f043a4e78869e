"""Optimal boundary conditions: one start noise, searched once on reference pictures and then used for every picture.

Ma et al. 2024 (ICLR), "Solving Diffusion ODEs with Optimal Boundary Conditions for Better Image Super-Resolution",
arXiv 2305.15357. A deterministic solver makes the result a function of start noise and condition. Which start does best
depends little on the condition, so the best of many on a few references serves others as well. Whether a model keeps to
that is measured: `Start.agreement` between disjoint references, and `gain` on pictures that the search did not see.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from engine import grids, metrics, solvers
from engine.errors import InputError
from engine.rng import Rng
from engine.schedules import Schedule

Judge = Callable[[Tensor, Tensor], Tensor]
"""judge(noise (B, *shape), which (B,) int64) -> (B,): how far the run from that noise is from that reference."""
Compare = Callable[[Tensor, Tensor], Tensor]
"""compare(x0 (B, *shape), which (B,) int64) -> (B,): how far a result is from that reference, lower is better."""
Progress = Callable[[int, int], None]
"""Called with (finished, at most) runs."""

KEPT, FIRST = 4, 2
"""Each round keeps one candidate in KEPT and doubles the references, of which the first round has FIRST."""
_FEWEST = {"references": 2 * FIRST, "candidates": 8, "checked": 8}
_STREAMS, _OTHER_STREAMS = 2**34, 2**35
"""Streams far from those of runs, which begin at 0, for candidates and for the starts that they are compared with."""
_KIND = "start noise 1 "
_FILE_BYTES = 100_000_000


@dataclass(frozen=True)
class Setup:
    """What a start was searched for, and holds for only: weights, solver, its steps and their spacing, and the shape
    (C, H, W) of a sample. solver: the name of a deterministic one, which runs with its default options."""

    model_sha256: str
    solver: str
    steps: int
    shape: tuple[int, ...]
    spacing: str = "uniform"

    @property
    def file(self) -> str:
        """Name of the file that holds this setup's start."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"start-{digest[:16]}.safetensors"


@dataclass(frozen=True, eq=False)
class Start:
    """The start noise that was found, and the evidence for it.

    noise: (C, H, W) of variance 1, to be multiplied with the schedule's first sigma. scores: (K,) of all candidates in
    the first round, for a histogram; chosen: the index of this one. metric: what the scores measure. agreement:
    Spearman's rank correlation of the scores on two disjoint halves of the references, over `checked` candidates that
    nothing has selected. Raises InputError for values that do not fit or are not finite.
    """

    noise: Tensor
    setup: Setup
    scores: Tensor
    chosen: int
    agreement: float
    checked: int
    metric: str

    def __post_init__(self):
        if tuple(self.noise.shape) != self.setup.shape or not bool(self.noise.isfinite().all()):
            raise _refused(f"The searched start has the shape {list(self.noise.shape)} or holds gaps.",
                           f"It must be {list(self.setup.shape)} finite numbers.")
        there = self.scores.ndim == 1 and 0 <= self.chosen < len(self.scores)
        if not there or self.checked < 2 or not -1 <= self.agreement <= 1:
            raise _refused("The evidence for the searched start does not fit together.", "The file is damaged.")

    @property
    def shared(self) -> bool:
        """Whether references agree on the ranks by more than two standard errors of unrelated ones."""
        return self.agreement > 2 / math.sqrt(self.checked - 1)

    def at(self, height: int, width: int) -> Tensor:
        """The noise for another size, (C, height, width): mirrored at its edges, or its first rows and columns."""
        rows, columns = (_mirrored(n, side) for n, side in zip((height, width), self.noise.shape[-2:]))
        return self.noise[..., rows[:, None], columns]

    def write(self, folder: Path) -> Path:
        """Store it as a safetensors file in this folder, whole or not at all."""
        from safetensors.torch import save

        from engine.io.files import write_whole

        about = {"setup": asdict(self.setup), "chosen": self.chosen, "agreement": self.agreement,
                 "checked": self.checked, "metric": self.metric}
        tensors = {"noise": self.noise.float().contiguous(), "scores": self.scores.double().contiguous()}
        # One entry only: the library writes several in an order of chance, and equal files have equal bytes.
        return write_whole(folder / self.setup.file, save(tensors, {"diffuscope": _KIND + json.dumps(about)}))

    @classmethod
    def read(cls, folder: Path, setup: Setup) -> Self:
        """The start of this setup. Raises InputError when none was searched, or its file is damaged or another's."""
        from safetensors.torch import load

        from engine.io.files import read_bytes
        from engine.models.weights import check_header

        path = folder / setup.file
        if not path.is_file():
            raise _refused(f"No start was searched for {setup.solver} in {setup.steps} steps at {setup.shape[-1]} x "
                           f"{setup.shape[-2]} px.", "A start holds for one model, solver, step count and size.")
        data = read_bytes(path, _FILE_BYTES, "start")
        if check_header(data).keys() != {"noise", "scores"}:
            raise _refused("The file holds no searched start.", "It has other tensors.")
        try:
            note = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])["__metadata__"]["diffuscope"]
            about = json.loads(note.removeprefix(_KIND))
            found = Setup(**about["setup"] | {"shape": tuple(about["setup"]["shape"])})
            chosen, checked, agreement = int(about["chosen"]), int(about["checked"]), float(about["agreement"])
            metric = str(about["metric"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _refused("The searched start cannot be read.", "Its description is damaged or newer.") from None
        if found != setup:
            raise _refused("The searched start belongs to another setup.",
                           f"It was made for {found.solver} in {found.steps} steps.")
        tensors = load(data)
        return cls(tensors["noise"].float(), setup, tensors["scores"].double(), chosen, agreement, checked, metric)


@dataclass(frozen=True)
class Gain:
    """Mean scores on references that the search did not see, lower is better.

    error: standard error over the references of (random - searched). rank: share of random starts that did better.
    """

    searched: float
    random: float
    zero: float
    error: float
    rank: float

    @property
    def clear(self) -> bool:
        """Whether the searched start beats the mean random one by more than a standard error."""
        return self.random - self.searched > self.error


def judge(setup: Setup, denoise: Callable[..., Tensor], schedule: Schedule, compare: Compare,
          conditions: Mapping[str, Tensor] | None = None) -> Judge:
    """The judge that runs the setup's solver from sigma * noise and compares where it ends.

    conditions: by keyword of the denoiser, (R, *) each, one row per reference. Raises InputError for a solver that
    draws noise or needs more than the denoiser, and for an unknown solver or spacing.
    """
    entry = solvers.row(setup.solver)
    if not entry.deterministic or entry.needs:
        able = ", ".join(r.title for r in solvers.self_sufficient() if r.deterministic)
        raise InputError(f"{entry.title} cannot be used for a search of the start.",
                         "Its result is not a function of the start alone.", f"Choose one of {able}.", "solver")
    times = grids.make(setup.spacing, schedule, setup.steps)
    sigma = schedule(times[0].item())[1]

    def scores(noise: Tensor, which: Tensor) -> Tensor:
        given = {name: value[which] for name, value in (conditions or {}).items()}
        with torch.no_grad():
            *_, last = solvers.solve(setup.solver, lambda x, t: denoise(x, t, **given), sigma * noise, times, schedule)
            return compare(last.x, which)

    return scores


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "structure": lambda a, b: 1 - metrics.ssim(a, b),
    "edges": lambda a, b: metrics.mae(a, b) + metrics.gmsd(a, b),
    "distance": lambda a, b: 10 ** (-metrics.psnr(a, b) / 20),
}
"""How far a picture is from the truth. A start does best at what chose it: "distance" favours smooth pictures."""


def against(truths: Tensor, metric: str = "structure", shift: Tensor | None = None) -> Compare:
    """Compares results with pictures (R, 3, H, W) in [-1, 1] by a name in METRICS.

    shift: what to add to a result where the solver runs in shifted coordinates, (R, 3, H, W).
    """
    measure, wanted = METRICS[metric], _unit(truths)

    def compare(x0: Tensor, which: Tensor) -> Tensor:
        found = _unit(x0 if shift is None else x0 + shift[which].to(x0))
        return torch.tensor([measure(a, wanted[i]) for a, i in zip(found, which.tolist())], dtype=torch.float64)

    return compare


def rounds(candidates: int, references: int) -> list[tuple[int, int]]:
    """(candidates left, references used) of each round of successive halving, until all references are used."""
    found = [(candidates, min(FIRST, references))]
    while found[-1][1] < references and found[-1][0] > 1:
        left, used = found[-1]
        found.append((math.ceil(left / KEPT), min(2 * used, references)))
    return found


def most_runs(candidates: int, references: int, checked: int) -> int:
    """Runs of the solver that a search makes at most; candidates that are both checked and kept are run only once."""
    steps = rounds(candidates, references)
    new = [left * (used - before) for (left, used), before in zip(steps, [0] + [used for _, used in steps])]
    return sum(new) + min(checked, candidates) * (references - steps[0][1])


def search(judge: Judge, setup: Setup, *, references: int, candidates: int = 100, checked: int = 24, seed: int = 0,
           batch: int = 16, metric: str = "structure", on_progress: Progress | None = None) -> Start:
    """The best of `candidates` random starts on the references 0 .. references - 1, by successive halving.

    `checked` of them, the first ones drawn, are run on all references for `Start.agreement`. batch: runs at a time; it
    changes nothing else. The same seed finds the same start. Raises InputError for numbers that are too small and where
    no start leads to finite scores.
    """
    for name, value in (("references", references), ("candidates", candidates), ("checked", checked)):
        if value < _FEWEST[name]:
            raise InputError(f"{name} is {value}.", f"It must be at least {_FEWEST[name]}.", field=name)
    checked = min(checked, candidates)
    noise = Rng(seed, candidates, first=_STREAMS).normal(*setup.shape)
    table = _Table(judge, noise, references, batch, on_progress, most_runs(candidates, references, checked))
    found = table.scores(torch.arange(checked), torch.arange(references))
    agreement = spearman(found[:, ::2].mean(1), found[:, 1::2].mean(1))
    left = torch.arange(candidates)
    for count, used in rounds(candidates, references):
        # Stable, so that equal scores are decided by the order of drawing.
        left = left[:count]
        means = table.scores(left, torch.arange(used)).mean(1)
        if used == FIRST:
            first = means
        means, order = means.sort(stable=True)
        left = left[order]
    if not means[0].isfinite():
        raise InputError(f"None of {candidates} starts led to a finite result.", "The runs diverged.",
                         "Take more steps or another solver.", "solver")
    chosen = int(left[0])
    return Start(noise[chosen].clone(), setup, first, chosen, agreement, checked, metric)


def gain(judge: Judge, start: Start, references: int, *, others: int = 32, seed: int = 0, batch: int = 16) -> Gain:
    """The searched start against `others` fresh random starts and the start at zero, on a judge of new references."""
    fresh = Rng(seed, others, first=_OTHER_STREAMS).normal(*start.setup.shape)
    noise = torch.cat([start.noise[None], torch.zeros_like(start.noise)[None], fresh])
    scores = _Table(judge, noise, references, batch).scores(torch.arange(len(noise)), torch.arange(references))
    better = scores[2:].mean(0) - scores[0]
    searched, zero, *rest = scores.mean(1).tolist()
    return Gain(searched, sum(rest) / others, zero, float(better.std() / math.sqrt(references)),
                sum(score < searched for score in rest) / others)


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of two lists of scores (K,); 0 where one of them is all the same."""
    from scipy.stats import rankdata

    a, b = (rankdata(scores.numpy()) for scores in (a, b))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else 0.0


class _Table:
    """Scores of candidates (rows) on references (columns), each run at most once."""

    def __init__(self, judge: Judge, noise: Tensor, references: int, batch: int, on_progress: Progress | None = None,
                 most: int = 0):
        self.judge, self.noise, self.batch, self.on_progress, self.most = judge, noise, batch, on_progress, most
        self.values = torch.zeros(len(noise), references, dtype=torch.float64)
        self.known = torch.zeros(len(noise), references, dtype=torch.bool)

    def scores(self, candidates: Tensor, references: Tensor) -> Tensor:
        """(candidates, references); what is missing is run. Scores that are not numbers count as infinite."""
        cells = torch.cartesian_prod(candidates, references)
        for part in cells[~self.known[*cells.T]].split(self.batch):
            row, column = part.T
            found = self.judge(self.noise[row], column).to("cpu", torch.float64)
            self.values[row, column] = found.nan_to_num(math.inf, math.inf, math.inf)
            self.known[row, column] = True
            if self.on_progress:
                self.on_progress(int(self.known.sum()), self.most)
        return self.values[candidates][:, references]


def _unit(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] as (B, H, W, 3) in [0, 1]."""
    return ((pictures.detach().cpu().float() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def _mirrored(count: int, side: int) -> Tensor:
    """0, 1, .. side - 1, side - 1, .. 0, 0, ..: indices (count,) of rows mirrored at the edges."""
    place = torch.arange(count) % (2 * side)
    return torch.minimum(place, 2 * side - 1 - place)


def _refused(what: str, why: str) -> InputError:
    return InputError(what, why, "Search one, or use a random start.", "start")
