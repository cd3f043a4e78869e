"""DPM-Solver with automatic step lengths: two orders share their calls, and their difference sets the next step."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.denoisers import counted, spread
from engine.errors import InputError
from engine.options import Option
from engine.solvers.exponential import Node, node, path, update
from engine.solvers.loops import Denoise, combine
from engine.solvers.registry import solver
from engine.step import Step

# The authors' code starts with .05; a longer first trial is checked like any other and saves a tenth to a quarter of
# the calls on the exact mixtures.
_FIRST_STEP = 0.5
_SAFETY = 0.9
# A trial changes the step at most by these factors, so that one lucky or overflowing trial does not decide the run.
_SHRINK, _GROW = 0.1, 2.0
# Orders 23 on the exact mixtures and on pictures of 32 px; a batch waits for its slowest sample.
_USUAL_CALLS = 30


class Place(NamedTuple):
    """Where each sample stands: log_snr, t, alpha, sigma, float64, (B,)."""

    log_snr: Tensor
    t: Tensor
    alpha: Tensor
    sigma: Tensor


@solver("dpm_solver_adaptive", title="DPM-Solver adaptive", order=3, nfe_per_step=3, steps=(1, 20, 100),
        tags=("adaptive",), calls=lambda n: _USUAL_CALLS,
        paper="Lu et al. 2022, arXiv 2206.00927, adaptive step size (DPM-Solver-12 and -23)",
        options=(Option("pair", "Orders", "23", choices=("12", "23"),
                        help="12: 2 calls per trial. 23: 3 calls per trial, longer steps."),
                 Option("prediction", "Form", "data", choices=("data", "noise"),
                        help="Data as in DPM-Solver++, steadier and shorter with guidance; noise as in the paper."),
                 Option("rtol", "Relative tolerance", 0.05, "Error allowed per step, as a share of the state.", 0.0),
                 Option("atol", "Absolute tolerance", 0.0078, "Error allowed per step where the state is near 0; the "
                        "default is a grey level of pictures in [-1, 1].", 1e-9),
                 Option("trials", "Most trials", 300, "The run gives up after so many trial steps.", 1, 5000)),
        hint="Third order, about 30 calls whatever the steps are set to: the tolerance decides their number.")
def dpm_solver_adaptive(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, pair: str = "23",
                        prediction: str = "data", rtol: float = 0.05, atol: float = 0.0078,
                        trials: int = 300) -> Iterator[Step]:
    """Single steps of order p - 1 and p from the same calls, pair "12" or "23"; p calls per trial, deterministic.

    E = RMS((high - low) / max(atol, rtol max(|low|, |low before|))) over a sample's numbers. E <= 1 accepts the step of
    order p; the next length in log-SNR is 0.9 h E^(-1/p). Every sample has its own time, length and verdict, so batch
    mates change nothing but the number of calls, which is that of the slowest. A trial that no sample passes keeps its
    first call. Only the ends of `times` are used; the first trial is half a unit long.

    One Step per trial, also when it is rejected. Its t is that of the noisiest sample, its total an estimate from the
    present lengths. An end without noise is reached from t_min by one more call (x = x0), a start without signal
    leaves to t_max by a first-order step. Raises InputError when `trials` do not suffice, which is also how an
    estimate that is not finite ends.

    >>> for step in dpm_solver_adaptive(denoise, x, grids.make("uniform", schedule, 20), schedule, rtol=.01): ...
    """
    denoise = counted(denoise)
    start, *_, end = path(times, schedule)
    done, tail = 0, int(end.sigma == 0)
    if not math.isfinite(start.log_snr):
        following = _node(min(schedule.t_max, start.t), schedule)
        x0 = denoise(x, start.t)
        x, start, done = combine(x, x0, update(start, following), ()), following, 1
        yield Step(1, 2 + tail, start.t, start.sigma, x, x0, denoise.calls)
    last = end if end.sigma > 0 else _node(min(schedule.t_min, start.t / 2), schedule)
    for step in _controlled(denoise, x, start, last, schedule, int(pair[-1]), prediction == "noise", rtol, atol,
                            trials):
        done += 1
        yield Step(done, done + step.total - step.index + tail, step.t, step.sigma, step.x, step.x0, step.nfe)
    if tail:
        x0 = denoise(step.x, last.t)
        yield Step(done + 1, done + 1, end.t, end.sigma, x0, x0, denoise.calls)


def _controlled(denoise: Denoise, x: Tensor, start: Node, end: Node, schedule, order: int, noise: bool, rtol: float,
                atol: float, trials: int) -> Iterator[Step]:
    """From start to end, both of finite log-SNR, one Step per trial; the last Step's total is its index."""
    here = torch.full((len(x),), start.log_snr, dtype=torch.float64)
    length = torch.full_like(here, _FIRST_STEP)
    before, x0 = x, None
    for trial in range(1, trials + 1):
        left = end.log_snr - here
        length = torch.minimum(length, left)
        place = _place(here, schedule)
        if x0 is None:
            x0 = denoise(x, place.t)
        low, high, x0_inside = attempt(denoise, x, x0, place, length, schedule, order, noise)
        allowed = torch.maximum(low.abs(), before.abs()).mul_(rtol).clamp_min_(atol)
        error = ((high - low) / allowed).reshape(len(x), -1).square().mean(1).sqrt().cpu().double()
        passed = error <= 1
        here = torch.where(passed, torch.where(length < left, here + length, end.log_snr), here)
        if passed.any():
            chosen = passed.reshape(-1, *[1] * (x.ndim - 1)).to(x.device)
            x, before, x0 = torch.where(chosen, high, x), torch.where(chosen, low, before), None
        length = length * (_SAFETY * error ** (-1 / order)).nan_to_num(_SHRINK, posinf=_GROW).clamp(_SHRINK, _GROW)
        to_go = int(((end.log_snr - here) / length.clamp_min(1e-9)).max().ceil())
        at = _node(float(schedule.time_at(here.min())), schedule) if to_go else end
        yield Step(trial, trial + to_go, at.t, at.sigma, x, x0_inside, denoise.calls)
        if not to_go:
            return
    raise InputError(f"The adaptive solver did not get through in {trials} trial steps.",
                     f"It stands at noise level {at.sigma:.3g} of {end.sigma:.3g}, with steps of {length.min():.2g} in "
                     "log-SNR.", "Please raise the tolerances or the most trials, or lower the guidance.", "trials")


def attempt(denoise: Denoise, x: Tensor, x0: Tensor, here: Place, length: Tensor, schedule, order: int,
            noise: bool) -> tuple[Tensor, Tensor, Tensor]:
    """One trial of every sample by its own length in log-SNR, (B,): the steps of order - 1 and of `order`, 2 or 3.

    x0: the estimate at x. Also returns the estimate at the last inner node. Equations 3.7 to 3.9 and algorithms 1, 2.
    """
    z = length if noise else -length
    first, second = (1 / 2, None) if order == 2 else (1 / 3, 2 / 3)
    end, middle = _place(here.log_snr + length, schedule), _place(here.log_snr + first * length, schedule)
    m = _predicted(x, x0, here, noise)

    def bent(to: Place, weight: Tensor, change: Tensor) -> Tensor:
        scale = to.sigma if noise else to.alpha
        return _ddim(x, x0, here, to) - spread(scale * weight, x) * change

    u = _ddim(x, x0, here, middle)
    latest = denoise(u, middle.t)
    change = _predicted(u, latest, middle, noise) - m
    straight = _ddim(x, x0, here, end)
    of_second_order = bent(end, torch.expm1(z) / (2 * first), change)
    if second is None:
        return straight, of_second_order, latest
    inner = _place(here.log_snr + second * length, schedule)
    u = bent(inner, second / first * _psi_2(second * z), change)
    latest = denoise(u, inner.t)
    change = _predicted(u, latest, inner, noise) - m
    return of_second_order, bent(end, _psi_2(z) / second, change), latest


def _place(log_snr: Tensor, schedule) -> Place:
    t = schedule.time_at(log_snr)
    return Place(log_snr, t, *schedule(t))


def _node(t: float, schedule) -> Node:
    return node(t, *schedule(t))


def _predicted(x: Tensor, x0: Tensor, at: Place, noise: bool) -> Tensor:
    return (x - spread(at.alpha, x) * x0) / spread(at.sigma, x) if noise else x0


def _ddim(x: Tensor, x0: Tensor, here: Place, there: Place) -> Tensor:
    keep = there.sigma / here.sigma
    return spread(keep, x) * x + spread(there.alpha - keep * here.alpha, x) * x0


def _psi_2(z: Tensor) -> Tensor:
    """expm1(z) / z - 1, also at z = 0, where samples that have arrived stand still."""
    return torch.where(z.abs() < 1e-5, z / 2, torch.expm1(z) / z - 1)
