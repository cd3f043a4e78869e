"""DPM-Solver-v3: its orders, the solvers that it contains, and statistics as a file."""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch

from engine import estimation, exact, grids, schedules
from engine.errors import InputError
from engine.solvers import count_calls, solve
from engine.solvers.statistics import PUSH_LIMIT, RATE_LIMIT, Statistics
from tests.oracles import normal, reference

VP, EDM, RESIDUAL = schedules.vp_linear(), schedules.edm(), schedules.residual()
LAW = exact.toy()
LEVELS = estimation.levels(VP, 24)
DATA_FORM, NOISE_FORM = Statistics.constant(1, 0, 0, LEVELS), Statistics.constant(0, -1, 0, LEVELS)
FREE = {"lower_order_final": False}
PLAIN = FREE | {"corrector": "none"}


@cache
def estimated() -> Statistics:
    return estimation.estimate(LAW.denoiser(VP), VP, LAW.sample, grid=estimation.levels(VP, 120), count=256)


@cache
def truth():
    # 400 Runge-Kutta steps leave about 2e-9, a hundredth of the smallest error below.
    return reference(LAW, normal(32, 2), VP, 1.0, 1e-3, 400)


def run(steps=12, statistics=None, name="dpm_solver_v3", spacing="log_snr", schedule=VP, x=None, end=1e-3, **options):
    """All steps of a run on the toy mixture."""
    if name == "dpm_solver_v3":
        options["statistics"] = statistics or estimated()
    x, times = normal(32, 2) if x is None else x, grids.make(spacing, schedule, steps, end=end)
    return list(solve(name, LAW.denoiser(schedule), x, times, schedule, **options))


def error(steps, **options):
    return (run(steps, **options)[-1].x - truth()).norm(dim=1).mean().item()


# Method card 11.3; the tolerances are what the card's own slopes leave, .2 for the fourth order.
@pytest.mark.parametrize(("options", "order", "tolerance"), [
    ({"order": 1, "corrector": "none"}, 1, 0.1),
    ({"order": 2, "corrector": "none"}, 2, 0.1),
    ({"order": 3, "corrector": "none"}, 3, 0.15),
    ({"order": 3, "corrector": "none", "pseudo": "predictor"}, 2, 0.1),
    ({"order": 3, "corrector": "next", "pseudo": "corrector"}, 2, 0.1),
    ({"order": 2, "corrector": "next"}, 3, 0.15),
    ({"order": 3, "corrector": "same"}, 3, 0.2),
    ({"order": 3, "corrector": "next"}, 4, 0.2),
])
def test_orders(options, order, tolerance):
    """80 to 160 steps: at fourth order the error falls to 5e-7, far above what the quadrature leaves."""
    slope = math.log2(error(80, **FREE, **options) / error(160, **FREE, **options))
    assert slope == pytest.approx(order, abs=tolerance)


@pytest.mark.parametrize("spacing", ["quadratic", "karras"])
def test_nodes_need_not_lie_on_the_levels(spacing):
    """Third order on grids that never meet the table's levels: a rounded node would stop it at a part of a level."""
    slope = math.log2(error(80, spacing=spacing, order=3, **PLAIN) / error(160, spacing=spacing, order=3, **PLAIN))
    assert slope == pytest.approx(3, abs=0.25)


def test_statistics_help_where_steps_are_few():
    """The card's factors against the data form are 2.8 for one first-order budget and 8 for five third-order steps."""
    assert error(10, order=1, **PLAIN) < error(10, order=1, statistics=DATA_FORM, **PLAIN) / 2
    assert error(5, order=3, **PLAIN) < error(5, order=3, statistics=DATA_FORM, **PLAIN) / 4


@pytest.mark.parametrize(("statistics", "order", "name", "options"), [
    (DATA_FORM, 1, "ddim", {}),
    (DATA_FORM, 2, "dpmpp_2m", FREE | {"variant": "heun"}),
    (DATA_FORM, 3, "dpmpp_3m", FREE | {"variant": "heun", "consistent": True}),
    (NOISE_FORM, 1, "ddim", {}),
    (NOISE_FORM, 2, "dpm_solver_2m", FREE | {"variant": "heun"}),
    (NOISE_FORM, 3, "dpm_solver_3m", FREE | {"variant": "heun", "consistent": True}),
])
def test_constant_statistics_give_the_older_solvers(statistics, order, name, options):
    """Gauss-Legendre on panels of 1/8 leaves 1e-15 of exponentials; the rest is rounding over 12 steps."""
    ours = run(statistics=statistics, order=order, **PLAIN)[-1].x
    torch.testing.assert_close(ours, run(name=name, **options)[-1].x, rtol=0, atol=1e-11)


def test_the_corrector_integrates_the_line_through_both_estimates():
    """Data form by hand: a DDIM step is made again with x0 going straight from the estimate at its start to that at the
    predicted state; this second estimate also makes the next step."""
    times = torch.tensor([0.8, 0.6, 0.5], dtype=torch.float64)
    (_, s0), (a1, s1), (a2, s2) = (VP(t) for t in times.tolist())
    h1, h2 = VP.log_snr(times).diff().tolist()
    x, denoise = normal(8, 2), LAW.denoiser(VP)
    first = denoise(x, 0.8)
    second = denoise(s1 / s0 * x - a1 * math.expm1(-h1) * first, 0.6)
    corrected = s1 / s0 * x - a1 * (math.expm1(-h1) * first - (1 + math.expm1(-h1) / h1) * (second - first))
    expected = s2 / s1 * corrected - a2 * math.expm1(-h2) * second
    *_, last = solve("dpm_solver_v3", denoise, x, times, VP, statistics=DATA_FORM, order=1, corrector="next")
    torch.testing.assert_close(last.x, expected, rtol=0, atol=1e-12)


def test_a_span_is_what_its_parts_make():
    """Integrals over a step from those of its halves: the rule by which g moves from one start to the next."""
    statistics = estimated()
    whole, first, second = (statistics.span(*ends) for ends in ((-2.0, 1.3), (-2.0, 0.1), (0.1, 1.3)))
    close = {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(whole.decay, first.decay * second.decay, **close)
    torch.testing.assert_close(whole.growth, first.growth * second.growth, **close)
    torch.testing.assert_close(whole.drift, first.drift + second.drift / first.growth, **close)
    torch.testing.assert_close(whole.moments[0], second.decay * first.moments[0] + first.growth * second.moments[0],
                               **close)


def test_spans_of_constants_are_known():
    span, h = Statistics.constant(0.7, -0.3, 2.0, LEVELS).span(-1.0, 2.0), 3.0
    assert float(span.decay) == pytest.approx(math.exp(-0.7 * h), rel=1e-12)
    assert float(span.growth) == pytest.approx(math.exp(-0.3 * h), rel=1e-12)
    assert float(span.drift) == pytest.approx(2 * math.expm1(0.3 * h) / 0.3, rel=1e-12)
    assert float(span.moments[0]) == pytest.approx(math.exp(-0.7 * h) * math.expm1(0.4 * h) / 0.4, rel=1e-11)
    # int e^(L+S) B with B = 2 (e^.3u - 1) / .3
    inner = 2 / 0.3 * (math.expm1(0.7 * h) / 0.7 - math.expm1(0.4 * h) / 0.4)
    assert float(span.forced) == pytest.approx(math.exp(-0.7 * h) * inner, rel=1e-11)


def test_statistics_hold_for_every_schedule():
    """The same log-SNRs on another schedule are the same problem in x / alpha."""
    times = grids.make("log_snr", VP, 8, end=1e-3)
    there = EDM.time_at(VP.log_snr(times))
    x = normal(8, 2)
    *_, ours = solve("dpm_solver_v3", LAW.denoiser(VP), x, times, VP, statistics=estimated())
    *_, theirs = solve("dpm_solver_v3", LAW.denoiser(EDM), x / VP(1.0)[0], there, EDM, statistics=estimated())
    # x / alpha is 150 times x at the start, and the digits below are lost on the way back.
    torch.testing.assert_close(theirs.x, ours.x / VP(1e-3)[0], rtol=0, atol=1e-9)


def test_the_half_corrector_waits_for_the_second_half():
    without, half, full = (run(corrector=c, half_corrector=h, **FREE)
                           for c, h in (("none", False), ("next", True), ("next", False)))
    same = [a.x.equal(b.x) for a, b in zip(without, half, strict=True)]
    # The first node that may be corrected lies at or below .5; the state after it is the first to differ.
    first = next(i for i, step in enumerate(without) if step.t <= 0.5)
    assert all(same[:first + 1]) and not any(same[first + 1:])
    assert not full[1].x.allclose(without[1].x)


def test_runs_to_zero_and_from_nothing():
    last = run(6, end=0.0)[-1]
    torch.testing.assert_close(last.x, last.x0, rtol=0, atol=0)
    times = grids.make("uniform", RESIDUAL, 5)
    x = normal(4, 2) * RESIDUAL(1.0)[1]
    for step in solve("dpm_solver_v3", LAW.denoiser(RESIDUAL), x, times, RESIDUAL, statistics=estimated()):
        assert step.x.isfinite().all() and step.sigma == pytest.approx(RESIDUAL(step.t)[1], abs=1e-12)


def test_steps_are_counted_and_samples_independent():
    statistics = Statistics(LEVELS, *(table.to(torch.float32) for table in tables(3, 8, 8)))
    times = grids.make("uniform", VP, 7)
    assert count_calls("dpm_solver_v3", times, VP, statistics=statistics) == 7
    x = normal(2, 3, 8, 8).float()
    both, alone = ([s.x for s in solve("dpm_solver_v3", lambda x, t: x / (1 + x * x), part, times, VP,
                                       statistics=statistics)] for part in (x, x[1:]))
    assert both[0].dtype == torch.float32
    for a, b in zip(both, alone, strict=True):
        torch.testing.assert_close(a[1:], b, rtol=0, atol=0)


@pytest.mark.parametrize("l", [0.0, 1.0])
@pytest.mark.parametrize("s", [-RATE_LIMIT, RATE_LIMIT])
@pytest.mark.parametrize("steps", [3, 5, 20])
def test_statistics_at_their_bounds_stay_finite(l, s, steps):  # noqa: E741
    clipped = Statistics.constant(l, s, PUSH_LIMIT, LEVELS)
    for step in run(steps, statistics=clipped, x=normal(4, 2).float()):
        assert step.x.isfinite().all()


def tables(*shape):
    """Smooth tables that differ from element to element, within half of their bounds."""
    phase = normal(*shape) + LEVELS.reshape(-1, *[1] * len(shape))
    return torch.sigmoid(-phase), phase.sin(), phase.cos() / 10


def test_round_trip(tmp_path):
    statistics = Statistics(LEVELS, *tables(3, 4, 4), model_sha256="ab" * 32)
    statistics.write(tmp_path / "statistics.safetensors")
    again = Statistics.read(tmp_path / "statistics.safetensors", "ab" * 32)
    assert again.shape == (3, 4, 4) and again.log_snr.equal(LEVELS) and again.model_sha256 == "ab" * 32
    # l is kept in 32 bits, s and b in 16.
    torch.testing.assert_close(again.l.double(), statistics.l, rtol=2**-24, atol=0)
    torch.testing.assert_close(again.s.double(), statistics.s, rtol=2**-11, atol=2**-24)
    torch.testing.assert_close(again.b.double(), statistics.b, rtol=2**-11, atol=2**-24)
    again.write(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "statistics.safetensors").read_bytes()


def test_rounding_of_the_file_does_no_harm(tmp_path):
    """Steps from the 16-bit tables keep the order: s and b are only ever integrated."""
    estimated().write(tmp_path / "statistics.safetensors")
    rounded = Statistics.read(tmp_path / "statistics.safetensors", "")
    errors = [error(steps, statistics=rounded, order=3, **PLAIN) for steps in (20, 40, 80)]
    assert all(math.log2(a / b) == pytest.approx(3, abs=0.3) for a, b in pairwise(errors))


def test_files_that_are_not_this_models_are_refused(tmp_path):
    path = tmp_path / "statistics.safetensors"
    with pytest.raises(InputError, match="missing"):
        Statistics.read(path, "ab")
    Statistics(LEVELS, *tables(2), model_sha256="ab" * 32).write(path)
    with pytest.raises(InputError, match="another model") as raised:
        Statistics.read(path, "cd" * 32)
    assert raised.value.field == "solver" and "prepare" in raised.value.fix
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:-9], b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            Statistics.read(path, "ab" * 32)


@pytest.mark.parametrize(("place", "value"), [("l", math.nan), ("l", 1.1), ("s", math.inf), ("s", 2 * RATE_LIMIT),
                                              ("b", -2 * PUSH_LIMIT)])
def test_tables_beyond_their_bounds_are_refused(place, value):
    parts = dict(zip("lsb", (table.clone() for table in tables(2)), strict=True))
    parts[place][3, 1] = value
    with pytest.raises(InputError, match=f"table {place}"):
        Statistics(LEVELS, **parts)


@pytest.mark.parametrize("levels", [LEVELS[:3], LEVELS.flip(0), LEVELS**3, LEVELS * math.nan])
def test_levels_must_rise_evenly(levels):
    with pytest.raises(InputError, match="levels"):
        Statistics.constant(1, 0, 0, levels)


def test_runs_without_fitting_statistics_are_refused():
    x, times = normal(2, 3, 4, 4), grids.make("log_snr", VP, 4)
    with pytest.raises(InputError, match="statistics"):
        solve("dpm_solver_v3", LAW.denoiser(VP), x, times, VP)
    with pytest.raises(InputError, match="3 x 8 x 8"):
        solve("dpm_solver_v3", LAW.denoiser(VP), x, times, VP, statistics=Statistics(LEVELS, *tables(3, 8, 8)))
