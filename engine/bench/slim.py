"""What slim networks cost and what they lose: the flowers prior beside the students that were distilled from it."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from engine import grids, models, solvers, spectra, training
from engine.bench.kernel_distance import features, kernel_distance
from engine.bench.table import Row, Table
from engine.models import weights
from engine.models.card import FILE
from engine.models.model import Model
from engine.networks import parameter_count
from engine.networks.cost import picture_multiply_adds
from engine.rng import Rng
from engine.training import flowers
from engine.training.slim import STUDENTS, TEACHER

PICTURES, STEPS, SEED = 512, 20, 7
_TOGETHER, _EVERY = 64, 3
# Power of 8-bit rounding of brightness in [-1, 1]: below it a spectrum says nothing about a stored picture.
_ROUNDING_POWER = (2 / 255) ** 2 / 12


def measure(quick: bool, data: Path | None = None) -> list[Table]:
    """Multiply-adds, parameters, kernel distance and spectral errors of the teacher and of the students that are there.

    Students are shipped, or lie where training puts them. All make pictures from the same noise, classes in turn, 20
    steps of DPM-Solver++ 2M, no guidance. They are compared with every third training picture under `data`, as is usual
    for such distances, because held-out ones are too few; what the held-out ones have themselves is the first row.
    Without data they are compared with pictures that the teacher made from other noise.
    """
    if TEACHER not in models.names():
        return []
    found = {name: models.load(place) for name, place in _places()}
    count = 8 if quick else PICTURES
    rows = []
    if data is None:
        real, whose = pictures_of(found[TEACHER], count, SEED + 1), "pictures of the teacher"
    else:
        side = found[TEACHER].card.resolution_px
        real, whose = flowers.squares(data, side, held_out=False, every=_EVERY), "training pictures"
        kept = flowers.squares(data, side, held_out=True)
        rows = [_row(f"{len(kept)} held-out pictures", None, kept, real)]
    rows += [_row(name, model, pictures_of(model, count, SEED), real) for name, model in found.items()]
    return [Table(f"Slim models: {count} pictures in {STEPS} steps against {len(real)} {whose}, multiply-adds of one "
                  "call", rows)]


def pictures_of(model: Model, count: int, seed: int) -> Tensor:
    """Pictures (count, 3, H, W) in [-1, 1] of a class-conditional model, the classes in turn."""
    side, schedule, made = model.card.resolution_px, model.schedule, []
    times = grids.make("log_snr", schedule, STEPS)
    for first in range(0, count, _TOGETHER):
        some = min(_TOGETHER, count - first)
        label = torch.arange(first, first + some) % len(model.card.classes)
        x = Rng(seed, some, first).normal(3, side, side)
        with torch.no_grad():
            *_, last = solvers.solve("dpmpp_2m", lambda x, t, label=label: model.denoiser(x, t, label=label), x, times,
                                     schedule)
        made.append(last.x.clamp(-1, 1))
    return torch.cat(made)


def spectral_errors(made: Tensor, real: Tensor) -> tuple[float, float, float]:
    """Error of the mean power of the pictures, of its top third of frequencies alone, and the power that they have
    above a quarter cycle per pixel as a multiple of the real ones'."""
    (frequency, own), (_, goal) = spectra.mean_power(made), spectra.mean_power(real)
    own, goal = own + _ROUNDING_POWER, goal + _ROUNDING_POWER
    high = frequency > 0.25
    return (spectra.power_error(own, goal, frequency), spectra.power_error(own, goal, frequency, high_only=True),
            float(own[high].sum() / goal[high].sum()))


def _places() -> Iterator[tuple[str, str]]:
    """Name of each model that is there, and what `models.load` finds it by."""
    for name in (TEACHER, *STUDENTS):
        folder = training.home(name)
        if name in models.names():
            yield name, name
        elif (folder / FILE).is_file() and (folder / weights.FILE).is_file():
            yield name, f"local:{folder}"


def _row(name: str, model: Model | None, made: Tensor, real: Tensor) -> Row:
    distance, deviation = kernel_distance(features(made), features(real))
    error, high, ratio = spectral_errors(made, real)
    side = real.shape[-1]
    adds = None if model is None else picture_multiply_adds(model.network, (3, side, side), len(model.card.classes))
    return {"model": name, "multiply-adds, millions": None if adds is None else round(adds / 1e6, 1),
            "parameters, millions": None if model is None else round(parameter_count(model.network) / 1e6, 2),
            "kernel distance": round(distance, 2), "deviation": round(deviation, 2),
            "spectral error": round(error, 3), "top third": round(high, 3), "power above 1/4": round(ratio, 3)}
