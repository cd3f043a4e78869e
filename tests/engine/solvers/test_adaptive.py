"""Automatic step lengths: orders of the pair, error by tolerance, samples on their own, an end to every run."""

import math
from itertools import pairwise

import pytest
import torch

from engine import denoisers, grids, schedules
from engine.errors import InputError
from engine.solvers import solve
from engine.solvers.adaptive import _place, attempt
from tests.oracles import Gaussian, Mixture, normal, reference

VP, EDM, RESIDUAL = schedules.vp_linear(), schedules.edm(), schedules.residual()
LAW = Mixture()
TIMES = grids.make("log_snr", VP, 10, end=1e-3)
PAIRS = [("12", "noise"), ("12", "data"), ("23", "noise"), ("23", "data")]


def run(x=None, times=TIMES, schedule=VP, law=LAW, **options):
    x = normal(16, 2) if x is None else x
    return list(solve("dpm_solver_adaptive", law.denoiser(schedule), x, times, schedule, **options))


@pytest.mark.parametrize(("pair", "form"), PAIRS)
def test_a_trial_is_made_of_the_known_single_steps(pair, form):
    """High: the single-step solvers of the catalogue. Low of 12: DDIM. Coefficients per sample or as floats."""
    s, t = 0.6, 0.4
    x, times = normal(4, 2), torch.tensor([s, t], dtype=torch.float64)
    denoise, order = LAW.denoiser(VP), int(pair[-1])
    here = torch.full((4,), VP.log_snr(s), dtype=torch.float64)
    length = torch.full((4,), VP.log_snr(t) - VP.log_snr(s), dtype=torch.float64)
    low, high, _ = attempt(denoise, x, denoise(x, s), _place(here, VP), length, VP, order, form == "noise")
    name = {"noise": "dpm_solver", "data": "dpmpp"}[form] + f"_{order}s"
    *_, known = solve(name, denoise, x, times, VP)
    # Inner nodes go through the inverse of the schedule, known to 1e-10.
    torch.testing.assert_close(high, known.x, rtol=0, atol=1e-9)
    if pair == "12":
        *_, ddim = solve("ddim", denoise, x, times, VP)
        torch.testing.assert_close(low, ddim.x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("pair", "form"), PAIRS)
def test_one_step_errors_have_the_orders_that_the_control_assumes(pair, form):
    """Against the exact solution: h^p for the low and h^(p + 1) for the high step of a pair of order p."""
    p, x, s = int(pair[-1]), normal(32, 2), VP.time_at(-1.0)
    denoise = LAW.denoiser(VP)

    def errors(h):
        truth = reference(LAW, x, VP, s, VP.time_at(h - 1), 50)
        here, length = (torch.full((32,), v, dtype=torch.float64) for v in (-1.0, h))
        low, high, _ = attempt(denoise, x, denoise(x, s), _place(here, VP), length, VP, p, form == "noise")
        return [(y - truth).norm(dim=1).mean().item() for y in (low, high)]

    (low, high), (half_low, half_high) = errors(0.1), errors(0.05)
    # The next term of the error is h times smaller: at .1 a slope is off by some tenths at most.
    assert math.log2(low / half_low) == pytest.approx(p, abs=0.3)
    assert math.log2(high / half_high) == pytest.approx(p + 1, abs=0.3)


@pytest.mark.parametrize(("pair", "form"), PAIRS)
def test_the_error_follows_the_tolerance(pair, form):
    """RMS errors per step are kept below rtol |x| + atol with |x| near 1; a run of n steps then ends below n times
    that, and a tenfold smaller tolerance gains at least a factor of three.
    """
    x = normal(16, 2)
    truth = reference(LAW, x, VP, 1.0, 1e-3, 800)

    def error(rtol):
        steps = run(x, pair=pair, prediction=form, rtol=rtol, atol=rtol / 5)
        return (steps[-1].x - truth).norm(dim=1).mean().item(), len(steps)

    (coarse, many), (fine, more) = error(0.05), error(0.005)
    assert coarse < 0.05 * many and fine < coarse / 3 and more > many


def test_each_sample_goes_its_own_way():
    """Members of a batch meet the same times, lengths and verdicts as alone, to the last bit."""
    x = torch.cat([normal(3, 2), 3 * normal(1, 2, seed=4)])
    heard = []

    def spy(x, t):
        heard.append(denoisers.times_of(t, x))
        # Elementwise, so that it rounds alike in every batch.
        return x / (1 + x * x) * denoisers.spread(1 - t / 2, x)

    *_, together = solve("dpm_solver_adaptive", spy, x, TIMES, VP, rtol=0.002)
    assert any(len(t.unique()) > 1 for t in heard)
    calls = []
    for i in range(4):
        *_, alone = solve("dpm_solver_adaptive", spy, x[i:i + 1], TIMES, VP, rtol=0.002)
        assert alone.x.equal(together.x[i:i + 1])
        calls.append(alone.nfe)
    assert max(calls) <= together.nfe and len(set(calls)) > 1


def test_a_sample_that_has_arrived_is_not_touched_again():
    easy, hard = torch.zeros(1, 2).double(), 3 * normal(1, 2, seed=4)
    steps = run(torch.cat([easy, hard]), law=Gaussian(torch.zeros(2).double(), torch.eye(2).double() / 20))
    at_end = [step.x[0] for step in steps if step.x[0].equal(steps[-1].x[0])]
    assert len(at_end) > 1


@pytest.mark.parametrize(("pair", "calls"), [("12", 2), ("23", 3)])
def test_calls_are_those_of_the_trials(pair, calls):
    """p per trial; a trial that nobody passes keeps its first call, because nothing moved."""
    counted = denoisers.counted(LAW.denoiser(VP))
    rejected, before, x = 0, 0, normal(1, 2, seed=4)
    for step in solve("dpm_solver_adaptive", counted, x, TIMES, VP, pair=pair, rtol=0.01):
        assert step.nfe == counted.calls == before + calls - rejected
        rejected, before, x = int(step.x.equal(x)), step.nfe, step.x
    assert step.index == step.total and step.t == TIMES[-1]


def test_rejected_trials_do_not_move():
    steps = run(normal(1, 2), rtol=1e-3, atol=1e-4)
    assert any(a.x.equal(b.x) for a, b in pairwise(steps))
    assert all(a.t >= b.t and a.index + 1 == b.index <= b.total for a, b in pairwise(steps))


@pytest.mark.parametrize("schedule", [VP, EDM, schedules.flow(), schedules.vp_discrete("cosine"), RESIDUAL],
                         ids=lambda s: s.name)
def test_any_schedule_to_clean_data(schedule):
    """A Gaussian law has an exact flow; also from alpha = 0 and to sigma = 0, both beyond any log-SNR."""
    law = Gaussian.random(3)
    start = schedule.start
    x = normal(8, 3) * math.hypot(*schedule(start))
    times = grids.make("uniform", schedule, 3)
    *_, before, last = run(x, times, schedule, law, rtol=1e-3, atol=1e-4)
    assert last.x.equal(last.x0) and last.t == last.sigma == 0 and last.index == last.total
    assert before.t <= schedule.t_min + 1e-12
    # What is left: the tolerance over some 40 steps, the step to 0 of size sigma(t_min) |x0 - E x0|, and from alpha = 0
    # the first step to alpha = .03.
    assert (last.x - law.flow(x, schedule, start, 0.0)).abs().mean() < 0.02


def test_a_point_of_data_needs_no_small_steps():
    """Constant x0: both orders are exact, every trial passes, and the length doubles from a half up to the end."""
    steps = list(solve("dpm_solver_adaptive", lambda x, t: torch.ones_like(x), normal(2, 3), TIMES, VP))
    distance = VP.log_snr(1e-3) - VP.log_snr(1.0)
    assert len(steps) == math.ceil(math.log2(distance / 0.5 + 1))
    alpha, sigma = VP(1e-3)
    exact = alpha + sigma * (normal(2, 3) - VP(1.0)[0]) / VP(1.0)[1]
    torch.testing.assert_close(steps[-1].x, exact, rtol=0, atol=1e-9)


def test_a_run_that_does_not_get_through_says_where_it_stands():
    with pytest.raises(InputError) as raised:
        run(rtol=1e-7, atol=1e-9, trials=20)
    assert raised.value.field == "trials"
    assert "20 trial steps" in str(raised.value) and "noise level" in str(raised.value)
    with pytest.raises(InputError):
        list(solve("dpm_solver_adaptive", lambda x, t: x * math.nan, normal(1, 2), TIMES, VP, trials=15))


@pytest.mark.parametrize(("name", "value"), [("pair", "34"), ("rtol", -0.1), ("atol", 0.0), ("trials", 0),
                                             ("prediction", "v")])
def test_wrong_options_are_refused(name, value):
    with pytest.raises(InputError) as raised:
        run(**{name: value})
    assert raised.value.field == name
