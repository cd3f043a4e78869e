"""DPM-Solver++ (data form): 1, 2S, 3S, 2M, 3M and the stochastic 2M. Lu et al. 2022, arXiv 2211.01095."""

from collections.abc import Iterator

from torch import Tensor

from engine.options import Option
from engine.solvers.dpm_solver import LOWER_ORDER_FINAL, MULTI_FORM, SINGLE_FORM, THIRD_ORDER, multistep, single
from engine.solvers.exponential import path
from engine.solvers.loops import Denoise
from engine.solvers.registry import solver
from engine.step import Step

_PAPER = "Lu et al. 2022, arXiv 2211.01095, "


@solver("dpmpp_1", title="DPM-Solver++ 1", order=1, steps=(5, 20, 100), paper=_PAPER + "equation 8 with k = 1",
        hint="First order, 1 call per step. 20 to 100 steps. The same step as DDIM.")
def dpmpp_1(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """x_t = (sigma_t/sigma_s) x - alpha_t expm1(-h) x0. Order 1, one call per step, deterministic, any grid.

    >>> for step in dpmpp_1(denoise, x, grids.make("uniform", schedule, 20), schedule): ...
    """
    return multistep(denoise, x, path(times, schedule), 1)


@solver("dpmpp_2s", title="DPM-Solver++ 2S (single step)", order=2, nfe_per_step=2, steps=(3, 10, 50),
        calls=lambda n: 2 * n - 1, options=(SINGLE_FORM,), paper=_PAPER + "algorithm 1",
        hint="Second order, 2 calls per step. 8 to 25 steps. 2M gives more for the same number of calls.")
def dpmpp_2s(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *,
             variant: str = "midpoint") -> Iterator[Step]:
    """One inner node at half the step in log-SNR. Order 2, two calls per step (one next to alpha = 0 or sigma = 0).

    >>> for step in dpmpp_2s(denoise, x, grids.make("log_snr", schedule, 10), schedule): ...
    """
    return single(denoise, x, path(times, schedule), schedule, 2, variant)


@solver("dpmpp_3s", title="DPM-Solver++ 3S (single step)", order=3, nfe_per_step=3, steps=(2, 7, 40),
        calls=lambda n: 3 * n - 2, options=(SINGLE_FORM,), paper=_PAPER + "third order of the authors' code",
        hint="Third order, 3 calls per step. 5 to 15 steps, log-SNR spacing.")
def dpmpp_3s(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *,
             variant: str = "midpoint") -> Iterator[Step]:
    """Inner nodes at 1/3 and 2/3 of the step. Order 3, three calls per step (one next to alpha = 0 or sigma = 0).

    >>> for step in dpmpp_3s(denoise, x, grids.make("log_snr", schedule, 7), schedule): ...
    """
    return single(denoise, x, path(times, schedule), schedule, 3, variant)


@solver("dpmpp_2m", title="DPM-Solver++ 2M", order=2, steps=(5, 20, 100), options=(MULTI_FORM, LOWER_ORDER_FINAL),
        paper=_PAPER + "algorithm 2",
        hint="Second order, 1 call per step. 15 to 30 steps. The best first choice, with or without guidance.")
def dpmpp_2m(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variant: str = "midpoint",
             lower_order_final: bool = True) -> Iterator[Step]:
    """x_t = (sigma_t/sigma_s) x - alpha_t expm1(-h) D, D = x0 + (x0 - x0_before)/(2r), r = h_before/h (midpoint).

    Order 2, one call per step, deterministic, any schedule and grid.

    >>> for step in dpmpp_2m(denoise, x, grids.make("uniform", schedule, 20), schedule): ...
    """
    return multistep(denoise, x, path(times, schedule), 2, variant, lower_order_final)


@solver("dpmpp_3m", title="DPM-Solver++ 3M", order=2, steps=(6, 20, 100),
        options=(THIRD_ORDER, MULTI_FORM, LOWER_ORDER_FINAL), paper=_PAPER + "multistep form of the authors' code",
        hint="Second order as published, third with the option, 1 call per step. 15 to 50 steps, log-SNR spacing.")
def dpmpp_3m(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, consistent: bool = False,
             variant: str = "midpoint", lower_order_final: bool = True) -> Iterator[Step]:
    """Parabola through the last three estimates of x0. One call per step, deterministic, any grid.

    Order 3 with `consistent` (equal to UniP-3). As published its second difference lacks a factor 2: order 2.

    >>> for step in dpmpp_3m(denoise, x, grids.make("log_snr", schedule, 20), schedule, consistent=True): ...
    """
    return multistep(denoise, x, path(times, schedule), 3, variant, lower_order_final, consistent)


@solver("sde_dpmpp_2m", title="SDE-DPM-Solver++ 2M", order=2, deterministic=False, steps=(10, 25, 100),
        options=(Option("eta", "Noise", 1.0, "1 is the full reverse SDE, 0 is DPM-Solver++ 2M.", 0.0, 1.0),
                 MULTI_FORM, LOWER_ORDER_FINAL), paper=_PAPER + "appendix, equation of SDE-DPM-Solver++ 2M",
        hint="Second order, 1 call per step, random. 20 to 50 steps. Richer detail than 2M, other result per seed.")
def sde_dpmpp_2m(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, eta: float = 1.0,
                 variant: str = "midpoint", lower_order_final: bool = True) -> Iterator[Step]:
    """x_t = (sigma_t/sigma_s) e^(-eta h) x - alpha_t expm1(z) D + sigma_t sqrt(1 - e^(-2 eta h)) noise, z = -(1+eta) h.

    One call per step, stochastic, any schedule and grid; no noise into sigma = 0.

    >>> for step in sde_dpmpp_2m(denoise, x, grids.make("log_snr", schedule, 25), schedule, rng=Rng(0, 1)): ...
    """
    return multistep(denoise, x, path(times, schedule), 2, variant, lower_order_final, eta=eta, rng=rng)
