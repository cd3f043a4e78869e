"""Every solver reaches its order on the exact two-dimensional mixture (the solver cards' order table)."""

import math
from functools import cache

import pytest

from engine import grids, schedules
from engine.solvers import catalogue, solve
from tests.oracles import Mixture, normal, reference

VP = schedules.vp_linear()
LAW = Mixture()
DRAWS = 64
# 800 Runge-Kutta steps leave about 1e-10, a thousandth of the smallest error below.
REFERENCE_STEPS = 800

FREE = {"lower_order_final": False}
LOG_SNR = [
    ("ddim", {}, 1, 0.1),
    ("dpm_solver_2s", {}, 2, 0.1),
    ("dpm_solver_2s", {"variant": "taylor"}, 2, 0.1),
    ("dpm_solver_3s", {}, 3, 0.1),
    ("dpm_solver_3s", {"variant": "taylor"}, 3, 0.1),
    ("dpm_solver_2m", FREE, 2, 0.1),
    ("dpm_solver_2m", FREE | {"variant": "heun"}, 2, 0.1),
    # As published the third-order multistep rules halve the second difference, and stay at order 2.
    ("dpm_solver_3m", FREE, 2, 0.15),
    ("dpm_solver_3m", FREE | {"consistent": True}, 3, 0.2),
    ("dpmpp_2s", {}, 2, 0.1),
    ("dpmpp_3s", {}, 3, 0.1),
    ("dpmpp_2m", FREE, 2, 0.1),
    ("dpmpp_2m", FREE | {"variant": "heun"}, 2, 0.1),
    ("dpmpp_3m", FREE, 2, 0.1),
    ("dpmpp_3m", FREE | {"consistent": True}, 3, 0.15),
    ("sde_dpmpp_2m", FREE | {"eta": 0.0}, 2, 0.1),
    ("unipc_1", FREE, 2, 0.1),
    ("unipc_2", FREE, 3, 0.15),
    ("unipc_2", FREE | {"variant": "bh1"}, 3, 0.15),
    ("unipc_2", FREE | {"corrector": False}, 2, 0.1),
    ("unipc_3", FREE, 4, 0.2),
    ("unipc_3", FREE | {"variant": "bh1"}, 4, 0.2),
    ("unipc_3", FREE | {"corrector": False}, 3, 0.15),
]
UNIFORM = [("heun", {}, 2, 0.1), ("spndm", {}, 2, 0.1), ("fpndm", {}, 2, 0.1)]
OTHER_GRIDS = [("ddim", {}, 1, 0.1), ("dpmpp_2m", FREE, 2, 0.1)]


@cache
def truth(end: float):
    return reference(LAW, normal(DRAWS, 2), VP, 1.0, end, REFERENCE_STEPS)


@cache
def denoise():
    return LAW.denoiser(VP)


def error(name: str, options: dict, spacing: str, steps: int, end: float) -> float:
    times = grids.make(spacing, VP, steps, end=end)
    *_, last = solve(name, denoise(), normal(DRAWS, 2), times, VP, **options)
    return (last.x - truth(end)).norm(dim=1).mean().item()


def slope(name: str, options: dict, spacing: str, end: float, coarse: int = 80) -> float:
    return math.log2(error(name, options, spacing, coarse, end) / error(name, options, spacing, 2 * coarse, end))


@pytest.mark.parametrize(("name", "options", "order", "tolerance"), LOG_SNR)
def test_order_on_the_log_snr_grid(name, options, order, tolerance):
    assert slope(name, options, "log_snr", 1e-3) == pytest.approx(order, abs=tolerance)


@pytest.mark.parametrize(("name", "options", "order", "tolerance"), UNIFORM)
def test_order_on_the_uniform_grid(name, options, order, tolerance):
    assert slope(name, options, "uniform", 0.05) == pytest.approx(order, abs=tolerance)


@pytest.mark.parametrize("spacing", ["karras", "quadratic"])
@pytest.mark.parametrize(("name", "options", "order", "tolerance"), OTHER_GRIDS)
def test_order_on_other_grids(name, options, order, tolerance, spacing):
    assert slope(name, options, spacing, 1e-3) == pytest.approx(order, abs=tolerance)


@pytest.mark.parametrize(("name", "order"), [("dpmpp_2m", 2), ("unipc_2", 3)])
def test_order_is_there_from_few_steps_on(name, order):
    """The table's first slopes: a start-up that is too rough would show here and not at 160 steps."""
    assert slope(name, FREE, "log_snr", 1e-3, coarse=40) == pytest.approx(order, abs=0.15)


def test_fast_plan_is_of_third_order():
    """Budgets of 3k + 1 calls, whose only low-order step is the last and shortest."""
    coarse, fine = (error("dpm_solver_fast", {}, "log_snr", calls, 1e-3) for calls in (79, 160))
    # The single first-order step at the end moves the slope by less than .3 at these sizes.
    assert math.log2(coarse / fine) == pytest.approx(3, abs=0.3)


def test_the_table_covers_the_catalogue():
    same_as_ddim = {"euler", "dpm_solver_1", "dpmpp_1"}  # proven identical elsewhere
    others = {row.name for row in catalogue()
              if not row.deterministic or row.needs or row.tags & {"adaptive", "shifted"}}
    measured = {case[0] for case in LOG_SNR + UNIFORM} | {"dpm_solver_fast"} | same_as_ddim
    assert {row.name for row in catalogue()} - others <= measured


def test_the_catalogue_states_the_measured_order():
    """The order in the menu is what the default options reach, apart from easing the last steps."""
    default = {name: order for name, options, order, _ in LOG_SNR + UNIFORM if options in ({}, FREE)}
    stated = {row.name: row.order for row in catalogue()}
    assert {name: stated[name] for name in default} == default
