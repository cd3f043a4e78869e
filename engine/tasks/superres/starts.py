"""The searched start noise of EDiffSR: found once on training pictures, kept beside the weights, used for all pictures.

Ma et al. 2024 (ICLR, arXiv 2305.15357), see `engine.boundary`. It was searched with one solver and step count; runs
with other deterministic solvers and more or fewer steps solve the same equation, and take the same start.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

from engine import boundary, denoisers, grids, guidance, models
from engine.boundary import Judge, Setup, Start
from engine.io.pictures import Picture
from engine.models import shelf
from engine.models.model import Model
from engine.solvers import solve
from engine.tasks.superres.scaling import enlarged, shrunk

MODEL = "ediffsr"
METRIC = "structure"
REFERENCES, CANDIDATES = 16, 100
_SOLVER, _STEPS, _SPACING = "dpmpp_2m", 10, "quadratic"


def setup(model: Model) -> Setup:
    """What the start of these weights is searched for."""
    side = model.card.resolution_px
    return Setup(model.card.sha256, _SOLVER, _STEPS, (3, side, side), _SPACING)


def there() -> bool:
    """Whether the shipped weights have a searched start beside them."""
    return MODEL in shelf.names() and any((shelf.ROOT / MODEL).glob("start-*.safetensors"))


def of(model: Model) -> Start:
    """The start of these weights. Raises InputError where none was searched."""
    path = shelf.ROOT / MODEL / setup(model).file
    return _read(shelf.ROOT / MODEL, setup(model), path.stat().st_mtime_ns if path.is_file() else 0)


def evidence(start: Start) -> str:
    """A sentence on how it was found."""
    return (f"The start did best of {len(start.scores)} on {REFERENCES} training pictures, two halves of which rank "
            f"starts with a correlation of {start.agreement:.2f}. All samples have it; the seed has no effect.")


@lru_cache(maxsize=2)
def _read(folder: Path, wanted: Setup, changed_ns: int) -> Start:
    return Start.read(folder, wanted)


def judge(model: Model, sharp: list, steps: int = _STEPS, metric: str = METRIC) -> Judge:
    """Runs from a noise around the enlarged picture and compares with the sharp one; sharp: uint8 (64, 64, 3) each."""
    truths = torch.cat([Picture(picture).tensor() for picture in sharp])
    mus = torch.cat([enlarged(Picture(shrunk(picture)).tensor()) for picture in sharp])
    compare = boundary.against(truths, metric)

    def scores(noise: Tensor, which: Tensor) -> Tensor:
        return compare(drawn(model, noise, mus[which], steps), which)

    return scores


@torch.no_grad()
def drawn(model: Model, noise: Tensor, mu: Tensor, steps: int) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] from start noise of variance 1 around mu, both (B, 3, H, W)."""
    schedule = model.schedule
    alpha, sigma = schedule(schedule.start)
    denoise = guidance.clipped(partial(model.denoiser, cond=mu))
    times = grids.make(_SPACING, schedule, steps)
    *_, last = solve(_SOLVER, denoise, alpha * mu + sigma * noise, times, schedule)
    return (last.x + denoisers.reverting_shift(mu, last.t, schedule)).clamp(-1, 1)


def prepare(data: str | Path, candidates: int = CANDIDATES, folder: Path | None = None,
            on_progress: Callable[[int, int], None] | None = None) -> tuple[Path, Start]:
    """Search the start of the shipped weights on 16 training pictures under `data`, and store it beside them."""
    from engine.tasks.superres.training import SOURCES
    from engine.training import pictures

    model = models.load(MODEL)
    paths = [path for path in pictures.files(Path(data), SOURCES) if not pictures.held_out(path)]
    sharp = pictures.read([paths[i * len(paths) // REFERENCES] for i in range(REFERENCES)])
    found = boundary.search(judge(model, sharp), setup(model), references=REFERENCES, candidates=candidates,
                            metric=METRIC, on_progress=on_progress)
    return found.write(folder or shelf.ROOT / MODEL), found
