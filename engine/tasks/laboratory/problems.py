"""What solvers are compared on: laws whose answer is known, and the shipped models that make pictures from noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from engine import exact, guidance, models, schedules
from engine.denoisers import Denoiser, on_schedule
from engine.errors import InputError
from engine.models import shelf
from engine.models.card import FILE, Card
from engine.rng import Rng
from engine.schedules import Schedule
from engine.tasks.laboratory import views
from engine.tasks.laboratory.resources import resources

__all__ = ["SCHEDULES", "Known", "Learned", "Problem", "fitting", "load", "names", "resources"]

_FROM_NOISE = frozenset({"eps", "v", "x0", "score", "velocity"})
"""Predictions that need nothing but the noisy state; the others are of models that start from a picture."""
_OF_PICTURES = frozenset({"wavelet_unet", "gaussian_unet"})
"""Networks that may draw pictures from noise alone."""
SCHEDULES = ("vp_linear", "cosine", "edm", "flow")
"""Noise schedules that any problem can be run on; the same log-SNR is the same problem."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A law of data with its denoiser. States are (B, *shape) of `dtype`.

    exact: the denoiser is known in closed form. labels: names of the classes. samples: (usual, most) per run.
    unit: what the error of a run is. quality_title: what its quality is, and which way is better. sha256: of a model's
    weights, "" for a known law.
    """

    name: str
    title: str
    about: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    trained: Schedule
    labels: tuple[str, ...]
    exact: bool
    samples: tuple[int, int]
    unit: str
    quality_title: str
    sha256: str

    def schedule(self, name: str = "own") -> Schedule:
        """The schedule of that name; "own" is the one that the model was trained on."""
        return self.trained if name == "own" else schedules.by_name(name)

    def denoiser(self, schedule: str = "own", weight: float = 1.0, label: str = "") -> Denoiser:
        """denoise(x_t, t) -> x0, guided towards a class with that weight, or of no class in particular.

        Raises InputError as `check` does.
        """
        self.check(weight, label)
        denoise = self._plain(schedule)
        if not self.labels:
            return denoise
        none = torch.tensor([len(self.labels)])
        told = torch.tensor([self.labels.index(label)]) if label else none
        return guidance.classifier_free(denoise, {"label": told}, {"label": none}, weight)

    def check(self, weight: float, label: str) -> None:
        """Raises InputError for an unknown class, or a guidance weight other than 1 without a class."""
        if label not in ("", *self.labels):
            raise InputError(f"{self.title} has no class {label[:40]!r}.",
                             fix="Choose one of " + (", ".join(self.labels) or "none") + ".", field="label")
        if not label and weight != 1:
            raise InputError(f"The guidance is {weight:g} and no class is chosen.", "Guidance goes towards a class.",
                             "Choose a class, or guidance 1." if self.labels else "Choose guidance 1.", "guidance")

    def noise(self, rng: Rng, schedule: str = "own") -> Tensor:
        """Start states of a run, one per stream of `rng`, for data of about unit variance."""
        used = self.schedule(schedule)
        alpha, sigma = used(used.start)
        return rng.normal(*self.shape).to(self.dtype) * (alpha * alpha + sigma * sigma) ** 0.5

    def distance(self, x: Tensor, reference: Tensor) -> float:
        """Mean over the samples of their distance from the reference, in `unit`."""
        raise NotImplementedError

    def quality(self, x: Tensor, reference: Tensor) -> float:
        """How good the samples are as a set, see `quality_title`. reference: the fine solution from the same noise."""
        raise NotImplementedError

    def show(self, x: Tensor) -> np.ndarray:
        """The samples as one picture (H, W, 3) uint8."""
        raise NotImplementedError

    def _plain(self, schedule: str) -> Denoiser:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Known(Problem):
    """A Gaussian mixture. law: made on first use, because fitting one takes a second."""

    make: Callable[[], exact.Mixture]

    @property
    def law(self) -> exact.Mixture:
        """The mixture itself."""
        return self.make()

    def distance(self, x: Tensor, reference: Tensor) -> float:
        return float((x - reference).flatten(1).norm(dim=1).mean())

    def quality(self, x: Tensor, reference: Tensor) -> float:
        return views.energy_distance(x.flatten(1), _draws(self.make))

    def show(self, x: Tensor) -> np.ndarray:
        return views.scatter(x, self.law) if self.shape == (2,) else views.grey_tiles(x.reshape(-1, 8, 8))

    def _plain(self, schedule: str) -> Denoiser:
        return self.law.denoiser(self.schedule(schedule))


@cache
def _draws(make: Callable[[], exact.Mixture]) -> Tensor:
    return make().sample(2000, torch.Generator().manual_seed(1))


@dataclass(frozen=True, eq=False)
class Learned(Problem):
    """A model that makes pictures from noise. Its weights are read when it first denoises."""

    def distance(self, x: Tensor, reference: Tensor) -> float:
        return float((x - reference).float().square().flatten(1).mean(1).sqrt().mean())

    def quality(self, x: Tensor, reference: Tensor) -> float:
        return views.spectral_error(x, reference)

    def show(self, x: Tensor) -> np.ndarray:
        return views.colour_tiles(x)

    def _plain(self, schedule: str) -> Denoiser:
        model = models.load(self.name)
        if schedule == "own":
            return model.denoiser
        return on_schedule(model.denoiser, model.schedule, self.schedule(schedule))


def names() -> tuple[str, ...]:
    """The known laws, then the shipped models that need nothing but noise and perhaps a class."""
    return (*_LAWS, *(name for name in models.names() if _generates(_card(name))))


def load(name: str) -> Problem:
    """The problem of that name. Weights are not read yet.

    Raises InputError with the known names.
    """
    if name in _LAWS:
        return _LAWS[name]
    if name not in names():
        raise InputError(f"There is no problem named {str(name)[:40]!r}.", "A model must make pictures from noise.",
                         "Choose one of " + ", ".join(names()) + ".", "problem")
    return _learned(_card(name))


def _card(name: str) -> Card:
    return _read(name, (shelf.folder(name) / FILE).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(name: str, changed_ns: int) -> Card:
    return models.card(name)


def fitting(name: str) -> tuple[exact.Mixture, ...]:
    """The laws that searched plans for a known problem are fitted on: other components than those it is scored on.

    For the mixture its three pairs of components, for the patches components found in other patches.
    """
    if name == "patches":
        return (exact.patches(seed=1),)
    law = load(name).law
    return tuple(law.part(torch.tensor(pair)) for pair in combinations(range(len(law.weights)), 2))


def _generates(card: Card) -> bool:
    """Whether the model makes pictures and needs none to start from."""
    return card.prediction in _FROM_NOISE and card.architecture.kind in _OF_PICTURES and not (
        card.architecture.options.get("cond_channels"))


def _learned(card: Card) -> Learned:
    side = card.resolution_px
    return Learned(card.name, card.title, card.note or " ".join(card.failures),
                   (card.architecture.options.get("channels", 3), side, side), torch.float32,
                   schedules.by_name(card.schedule.name, **card.schedule.options), tuple(card.classes), False, (4, 16),
                   "root mean square difference from the fine solution, pictures in [-1, 1]",
                   "Spectral error against the fine solution: 0 is the same sharpness, 0.3 a factor of two",
                   card.sha256)


def _known(name: str, title: str, about: str, make: Callable[[], exact.Mixture], size: int, samples: tuple[int, int],
           labels: tuple[str, ...] = ()) -> Known:
    return Known(name, title, about, (size,), torch.float64, schedules.vp_discrete("linear"), labels, True, samples,
                 "mean distance from the exact solution",
                 "Energy distance to 2000 exact draws: 0 is the same law, chance moves it a little", "", make)


_LAWS = {problem.name: problem for problem in (
    _known("mixture", "Mixture in the plane", "Three Gaussians, each a class; the exact answer is known.",
           cache(exact.toy), 2, (512, 4096), ("right", "left", "bottom")),
    _known("patches", "Patches of photographs", "512 Gaussians in 64 dimensions, from 8 x 8 pixel patches of four "
           "photographs; the exact answer is known.", exact.patches, 64, (128, 1024)),
)}
