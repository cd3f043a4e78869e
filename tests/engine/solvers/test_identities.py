"""Solvers that are one method under two names give the same numbers; formulas are compared with the papers' text."""

import math
from itertools import pairwise

import pytest
import torch

from engine import grids, schedules
from engine.rng import Rng
from engine.solvers import solve
from engine.solvers.dpm_solver import multistep
from engine.solvers.exponential import node, path
from engine.solvers.pndm import _transfer
from engine.solvers.unipc import _rows
from tests.oracles import Mixture, normal

VP, EDM = schedules.vp_linear(), schedules.edm()
LAW = Mixture()
X = normal(16, 2, seed=3)
TIMES = grids.make("log_snr", VP, 12)
# Same arithmetic in another order: float64 rounding over a dozen steps.
ROUNDING = {"rtol": 0, "atol": 1e-12}


def run(name, times=TIMES, schedule=VP, x=X, rng=None, law=LAW, **options):
    *_, last = solve(name, law.denoiser(schedule), x, times, schedule, rng=rng, **options)
    return last.x


def one_step(name, **options):
    return run(name, torch.tensor([0.6, 0.4], dtype=torch.float64), **options)


@pytest.mark.parametrize("other", ["euler", "dpm_solver_1", "dpmpp_1"])
@pytest.mark.parametrize("schedule", [schedules.by_name(n) for n in ("vp_linear", "edm", "flow", "cosine", "residual")],
                         ids=lambda s: s.name)
def test_first_order_solvers_are_ddim(other, schedule):
    times = grids.make("uniform", schedule, 12)
    x = X * schedule(schedule.start)[1]
    torch.testing.assert_close(run(other, times, schedule, x), run("ddim", times, schedule, x), **ROUNDING)


def test_unip_2_is_2m_and_unip_3_is_the_consistent_3m():
    free = {"lower_order_final": False}
    torch.testing.assert_close(run("unipc_2", corrector=False, **free), run("dpmpp_2m", **free), **ROUNDING)
    torch.testing.assert_close(run("unipc_3", corrector=False, **free), run("dpmpp_3m", consistent=True, **free),
                               **ROUNDING)


def test_bh1_and_bh2_differ_only_through_the_fixed_half():
    """Weights that are solved for do not depend on B(h): only orders 1 and 2, which fix a half, tell the two apart."""
    nodes = path(TIMES, VP)
    first, second, third = ([_rows(nodes, 5, order, variant) for variant in ("bh1", "bh2")] for order in (1, 2, 3))
    assert third[0] == third[1]
    assert second[0][0] != second[1][0] and second[0][1].new == second[1][1].new
    assert first[0][0] == first[1][0] and first[0][1] != first[1][1]


def test_ddpm_is_ddim_with_full_noise_is_the_first_order_sde():
    small = run("ddpm", rng=Rng(5, 16))
    torch.testing.assert_close(run("ddim", rng=Rng(5, 16), eta=1.0), small, **ROUNDING)
    *_, sde = multistep(LAW.denoiser(VP), X, path(TIMES, VP), 1, eta=1.0, rng=Rng(5, 16))
    torch.testing.assert_close(sde.x, small, **ROUNDING)


@pytest.mark.parametrize("variant", ["midpoint", "heun"])
def test_sde_without_noise_is_the_ode(variant):
    assert run("sde_dpmpp_2m", eta=0.0, variant=variant).equal(run("dpmpp_2m", variant=variant))


@pytest.mark.parametrize(("name", "options"), [
    ("ddim", {}), ("heun", {}), ("dpm_solver_2s", {}), ("dpm_solver_3s", {}), ("dpm_solver_fast", {}),
    ("dpm_solver_3m", {}), ("dpmpp_2s", {}), ("dpmpp_3s", {}), ("dpmpp_2m", {}), ("dpmpp_3m", {"consistent": True}),
    ("unipc_2", {}), ("unipc_3", {}), ("ddpm", {}), ("sde_dpmpp_2m", {})])
def test_vp_and_edm_coordinates_give_the_same_path(name, options):
    """x/alpha at noise level sigma/alpha is the same problem, whatever the schedule calls it."""
    alpha, sigma = VP(TIMES)
    *_, vp = solve(name, LAW.denoiser(VP), X, TIMES, VP, rng=Rng(1, 16), **options)
    *_, edm = solve(name, LAW.denoiser(EDM), X / alpha[0], sigma / alpha, EDM, rng=Rng(1, 16), **options)
    # Inner nodes also go through the inverse of the schedule, known to 1e-10.
    inner = name.endswith(("2s", "3s", "fast"))
    torch.testing.assert_close(vp.x / alpha[-1], edm.x, rtol=0, atol=1e-9 if inner else 1e-12)


def test_the_transfer_function_of_pndm_is_ddim():
    """phi as its paper writes it, with a and b the squared alphas."""
    for s, t in [(0.9, 0.7), (0.5, 0.499), (0.3, 0.01)]:
        start, end = node(s, *VP(s)), node(t, *VP(t))
        a, b = start.alpha**2, end.alpha**2
        on_e = -(b - a) / (math.sqrt(a) * (math.sqrt((1 - b) * a) + math.sqrt((1 - a) * b)))
        assert _transfer(start, end) == pytest.approx((math.sqrt(b / a), on_e), rel=1e-11)


def test_single_steps_of_dpm_solver_read_as_in_the_paper():
    """One step of -2 and -3 (noise form) and of ++2S (data form), written out as in the papers."""
    s, t = node(0.6, *VP(0.6)), node(0.4, *VP(0.4))
    h = t.log_snr - s.log_snr
    x0 = LAW.denoiser(VP)

    def inner(r):
        time = VP.time_at(s.log_snr + r * h)
        return node(time, *VP(time))

    def eps(x, n):
        return (x - n.alpha * x0(x, n.t)) / n.sigma

    e, half = eps(X, s), inner(1 / 2)
    u = half.alpha / s.alpha * X - half.sigma * math.expm1(h / 2) * e
    second = t.alpha / s.alpha * X - t.sigma * math.expm1(h) * (e + eps(u, half) - e)
    torch.testing.assert_close(one_step("dpm_solver_2s"), second, **ROUNDING)

    a, b = inner(1 / 3), inner(2 / 3)
    u1 = a.alpha / s.alpha * X - a.sigma * math.expm1(h / 3) * e
    d1 = eps(u1, a) - e
    u2 = (b.alpha / s.alpha * X - b.sigma * math.expm1(2 * h / 3) * e
          - b.sigma * 2 * (math.expm1(2 * h / 3) / (2 * h / 3) - 1) * d1)
    third = (t.alpha / s.alpha * X - t.sigma * math.expm1(h) * e
             - t.sigma * 3 / 2 * (math.expm1(h) / h - 1) * (eps(u2, b) - e))
    torch.testing.assert_close(one_step("dpm_solver_3s"), third, **ROUNDING)

    m, u = x0(X, s.t), half.sigma / s.sigma * X - half.alpha * math.expm1(-h / 2) * x0(X, s.t)
    data = t.sigma / s.sigma * X - t.alpha * math.expm1(-h) * (m + (x0(u, half.t) - m))
    torch.testing.assert_close(one_step("dpmpp_2s"), data, **ROUNDING)


def test_heun_is_the_trapezoid_rule_of_edm():
    """Algorithm 1 of EDM, literally, on its own schedule."""
    times = grids.make("karras", EDM, 6)
    x = reference = X * 80
    x0 = LAW.denoiser(EDM)
    for sigma, following in pairwise(times.tolist()):
        slope = (reference - x0(reference, sigma)) / sigma
        ahead = reference + (following - sigma) * slope
        if following:
            slope = (slope + (ahead - x0(ahead, following)) / following) / 2
            ahead = reference + (following - sigma) * slope
        reference = ahead
    torch.testing.assert_close(run("heun", times, EDM, x), reference, **ROUNDING)
