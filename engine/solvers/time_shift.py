"""Time-Shift sampling: each sample's own variance says which time its state really is at. Li et al., ICLR 2024."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.denoisers import counted, spread
from engine.errors import InputError
from engine.options import Option
from engine.solvers import dpmpp, first_order, pndm
from engine.solvers.exponential import Node, orders, path
from engine.solvers.loops import Denoise
from engine.solvers.registry import solver
from engine.step import Step

_BASES = {"ddpm": first_order.ddpm, "ddim": first_order.ddim, "fpndm": pndm.fpndm, "dpmpp_2m": dpmpp.dpmpp_2m}
# Windows and cutoffs are counted as in a model that was trained on so many steps.
_INDICES = 1000


class Place(NamedTuple):
    """Where states stand: t, alpha, sigma as float64 tensors, of one time () or one per sample (B,)."""

    t: Tensor
    alpha: Tensor
    sigma: Tensor


Move = Callable[[int, Tensor, Place, Place], tuple[Tensor, Tensor]]


@solver("time_shift", title="Time-Shift", order=1, steps=(5, 10, 100), tags=("shifted",),
        paper="Li et al. 2024, arXiv 2305.15583, Time-Shift Sampler; \"target\" as in its published code",
        options=(Option("base", "Sampler", "ddim", choices=tuple(_BASES),
                        help="The sampler whose time is shifted. F-PNDM needs uniform spacing and makes 9 more calls."),
                 Option("mode", "Shifted time", "state", choices=("state", "target"),
                        help="State: where a step starts, as in the paper. Target: where it goes, as in its code."),
                 Option("window", "Window", 20, "Width of the search in thousandths of time; 0 or 1 shifts nothing. "
                        "Fewer steps want more: 5 for 100 steps, 80 for 5.", 0, 400),
                 Option("cutoff", "Least time", 300, "No shift below this time, in thousandths, where the picture's "
                        "own variance counts.", 0, 1000)),
        hint="First order, the calls of its sampler. 5 to 20 steps of pictures: undoes part of a model's own bias.")
def time_shift(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, base: str = "ddim",
               mode: str = "state", window: int = 20, cutoff: int = 300) -> Iterator[Step]:
    """A model that runs on its own states meets more or less noise than its time promises (exposure bias).

    The time tau around the nominal one whose sigma_tau^2 is nearest to the state's variance, per sample, is used
    instead: after a step as the time of the new state, for the network and the next step (mode "state"), or before a
    step as the time it goes to, while the network hears the nominal one ("target"). Candidates are `window` // 2
    thousandths of schedule.start to either side, less than a third of the way to the neighbouring times, so that times
    keep falling. Neither the last time nor those up to `cutoff` thousandths are shifted. Steps state nominal times.

    Not a solver of the ODE: it corrects states and does not converge with more steps. The variance tells a time only
    for standardised data of some hundred numbers, so pictures, not points. Calls, randomness and spacings are those of
    the base ("ddim", "ddpm" with small variance, "fpndm", "dpmpp_2m"), which is what a window of 0 or 1 gives.
    Raises InputError for "fpndm" with uneven times and "ddpm" without rng.

    >>> for step in time_shift(denoise, x, grids.make("uniform", schedule, 10), schedule, window=40): ...
    """
    if base == "fpndm" and not _even(times):
        raise InputError("Time-Shift on F-PNDM got uneven times.", "F-PNDM takes equal steps only.",
                         "Choose the uniform spacing or another sampler.", "spacing")
    if window < 2:
        return _BASES[base](denoise, x, times, schedule, rng=rng)
    return shifted(denoise, x, times, schedule, rng, base=base, mode=mode, half=window // 2, cutoff=cutoff)


def shifted(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, base: str, mode: str, half: int,
            cutoff: int) -> Iterator[Step]:
    """The run with coefficients per sample; `half` candidates to either side of each time."""
    nodes = path(times, schedule)
    count = counted(denoise)
    move = _MOVES[base](count, schedule, nodes, rng)
    nominal = [Place(*(torch.tensor(v, dtype=torch.float64) for v in (n.t, n.alpha, n.sigma))) for n in nodes]
    candidates = _candidates(nodes, schedule, half, cutoff, mode)
    here = nominal[0]
    for i, end in enumerate(nodes[1:]):
        there = nominal[i + 1]
        ahead = candidates[i + 1]
        if mode == "target" and i and ahead:
            there = nearest(x, ahead)
        x, x0 = move(i, x, here, there)
        here = nearest(x, ahead) if mode == "state" and ahead else nominal[i + 1]
        yield Step(i + 1, len(nodes) - 1, end.t, end.sigma, x, x0, count.calls)


def nearest(x: Tensor, candidates: Place) -> Place:
    """Per sample of x (B, *), the candidate (K,) whose sigma^2 is nearest to the variance of all numbers of x."""
    flat = x.reshape(len(x), -1)
    # Tensor.var rounds differently in different batches; sums over the last axis do not.
    centred = flat - flat.mean(1, keepdim=True)
    variance = centred.square().sum(1).cpu().double() / max(1, flat.shape[1] - 1)
    best = (variance[:, None] - candidates.sigma.square()).abs().argmin(1)
    return Place(*(values[best] for values in candidates))


def _candidates(nodes: list[Node], schedule, half: int, cutoff: int, mode: str) -> list[Place | None]:
    """For each node the times that may stand in for it, or None where it stays."""
    unit = schedule.start / _INDICES
    offsets = torch.arange(-half, half + 1, dtype=torch.float64) * unit
    found: list[Place | None] = [None]
    for before, node, after in zip(nodes, nodes[1:], nodes[2:]):
        decisive = before.t if mode == "state" else node.t
        if decisive <= cutoff * unit:
            found.append(None)
            continue
        room = (offsets > (after.t - node.t) / 3) & (offsets < (before.t - node.t) / 3)
        t = node.t + offsets[room]
        found.append(Place(t, *schedule(t)))
    return [*found, None]


def _even(times: Tensor) -> bool:
    gaps = times.double().diff()
    return bool(((gaps - gaps.mean()).abs() <= 1e-6 * gaps.mean().abs()).all())


def _ancestral(denoise: Denoise, schedule, nodes: list[Node], rng, eta: float) -> Move:
    if eta and rng is None:
        raise InputError("Time-Shift on DDPM draws new noise at every step.", "It was given no random numbers.",
                         "Pass rng=Rng(seed, samples).", "rng")

    def move(i: int, x: Tensor, here: Place, there: Place) -> tuple[Tensor, Tensor]:
        x0 = denoise(x, here.t)
        if not eta or nodes[i + 1].sigma == 0:
            return _transfer(x, x0, here, there), x0
        kept = _ratio(here, there)
        new = _toward(x, x0, here, there, kept * there.sigma / here.sigma)
        return new + spread(there.sigma * (1 - kept * kept).sqrt(), x) * rng.normal_like(x), x0

    return move


def _multistep(denoise: Denoise, schedule, nodes: list[Node], rng) -> Move:
    """DPM-Solver++ 2M (midpoint, eased at the end); its history remembers the times it was made at."""
    order = orders(nodes, 2, len(nodes) < 16)
    past: list[tuple[Tensor, Place]] = []

    def move(i: int, x: Tensor, here: Place, there: Place) -> tuple[Tensor, Tensor]:
        x0 = denoise(x, here.t)
        new = _transfer(x, x0, here, there)
        if order[i] == 2:
            [(older, behind)] = past
            kept = _ratio(here, there)
            reach = kept.log() / _ratio(behind, here).log()
            new = new + spread(there.alpha * (1 - kept) * reach / 2, x) * (x0 - older)
        past[:] = [(x0, here)]
        return new, x0

    return move


def _pseudo(denoise: Denoise, schedule, nodes: list[Node], rng) -> Move:
    """F-PNDM: three pseudo Runge-Kutta steps, then four noise predictions of earlier steps, newest first."""
    past: list[Tensor] = []

    def noise(x: Tensor, x0: Tensor, at: Place) -> Tensor:
        return (x - spread(at.alpha, x) * x0) / spread(at.sigma, x)

    def phi(x: Tensor, e: Tensor, here: Place, there: Place) -> Tensor:
        grown = there.alpha / here.alpha
        return spread(grown, x) * x + spread(there.sigma - grown * here.sigma, x) * e

    def move(i: int, x: Tensor, here: Place, there: Place) -> tuple[Tensor, Tensor]:
        x0 = denoise(x, here.t)
        e = noise(x, x0, here)
        if nodes[i].alpha == 0 or nodes[i + 1].sigma == 0:
            new = _transfer(x, x0, here, there)
        elif len(past) < 3:
            t = (here.t + there.t) / 2
            middle = Place(t, *schedule(t))
            half = phi(x, e, here, middle)
            e_2 = noise(half, denoise(half, t), middle)
            half = phi(x, e_2, here, middle)
            e_3 = noise(half, denoise(half, t), middle)
            end = phi(x, e_3, here, there)
            x0 = denoise(end, there.t)
            new = phi(x, (e + 2 * e_2 + 2 * e_3 + noise(end, x0, there)) / 6, here, there)
        else:
            new = phi(x, (55 * e - 59 * past[0] + 37 * past[1] - 9 * past[2]) / 24, here, there)
        past[:] = [e, *past[:2]]
        return new, x0

    return move


_MOVES: dict[str, Callable[..., Move]] = {
    "ddpm": lambda *run: _ancestral(*run, eta=1.0), "ddim": lambda *run: _ancestral(*run, eta=0.0),
    "fpndm": _pseudo, "dpmpp_2m": _multistep}


def _ratio(here: Place, there: Place) -> Tensor:
    """exp(-h) of the step, h its growth of the log-SNR."""
    return here.alpha * there.sigma / (here.sigma * there.alpha)


def _transfer(x: Tensor, x0: Tensor, here: Place, there: Place) -> Tensor:
    """DDIM's step: the same x0, the same noise."""
    return _toward(x, x0, here, there, there.sigma / here.sigma)


def _toward(x: Tensor, x0: Tensor, here: Place, there: Place, keep: Tensor) -> Tensor:
    """keep x plus as much of x0 as makes its share alpha."""
    return spread(keep, x) * x + spread(there.alpha - keep * here.alpha, x) * x0
