"""The unrolled plan: it does what the plan does, its derivatives are exact, and it becomes a plan again."""

import math

import pytest
import torch

from engine import exact, grids, schedules
from engine.errors import InputError
from engine.search.problem import distances, of_mixture
from engine.search.unrolled import MEMORY, roll, run, sensitivities, unit_states, unroll, with_free_start
from engine.solvers.plan import Plan, StepPlan
from engine.solvers.plans_named import named

SCHEDULE = schedules.vp_linear()


def plan_of(name: str, calls: int) -> Plan:
    """A named solver that is free at its start, as unrolled plans are."""
    return with_free_start(named(name, grids.make("log_snr", SCHEDULE, calls), SCHEDULE), 0.5)


def problem(schedule=SCHEDULE):
    return of_mixture(exact.toy(), schedule, steps=100)


@pytest.mark.parametrize("name", ["ddim", "dpm_solver_2m", "dpmpp_2m", "dpmpp_3m", "unipc_2", "unipc_3"])
def test_unrolling_and_rolling_up_change_nothing(name):
    plan, law = plan_of(name, 6), problem()
    rolled = roll(*unroll(plan, SCHEDULE), SCHEDULE)
    # The rolled plan ends at log-SNR 9 instead of infinity, where the states differ by nothing: only rounding is left.
    assert rolled.calls == plan.calls
    assert law.error(rolled, 0, 32) == pytest.approx(law.error(plan, 0, 32), rel=1e-9)


def test_long_plans_keep_what_lies_within_their_memory():
    plan, law = plan_of("dpmpp_3m", MEMORY + 6), problem()
    rolled = roll(*unroll(plan, SCHEDULE), SCHEDULE)
    assert law.error(rolled, 0, 32) == pytest.approx(law.error(plan, 0, 32), rel=1e-6)


@pytest.mark.parametrize("other", [schedules.edm(0.002, 152.2), schedules.flow()], ids=["edm", "flow"])
def test_a_rolled_plan_is_the_same_on_every_schedule(other):
    shape, values = unroll(plan_of("dpmpp_2m", 5), SCHEDULE)
    # Weights that no named solver has.
    plan = roll(shape, values + 0.03 * torch.sin(torch.arange(len(values)).double()), SCHEDULE)
    y = torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def end(schedule):
        from engine.solvers import solve
        times, law = plan.times(schedule), exact.toy()
        alpha, sigma = schedule(float(times[0]))
        start = y * math.hypot(alpha, sigma)
        *_, last = solve("usf", law.denoiser(schedule), start, times, schedule, plan=plan)
        return last.x / math.hypot(*schedule(float(times[-1])))

    # Times are read back from levels; that costs up to 1e-9 where a schedule is flat.
    torch.testing.assert_close(end(other), end(SCHEDULE), rtol=0, atol=1e-7)


def test_forward_derivatives_equal_those_of_backpropagation():
    law = problem()
    shape, values = unroll(plan_of("unipc_2", 4), SCHEDULE)
    [y] = unit_states(law, [law.draw(0, 5)])
    last, tangents = sensitivities(law, shape, values, y, chunk=3)
    backward = torch.func.jacrev(lambda v: run(law, shape, v, y))(values)
    torch.testing.assert_close(last, run(law, shape, values, y), rtol=0, atol=1e-13)
    torch.testing.assert_close(tangents.movedim(0, -1), backward, rtol=0, atol=1e-12)


def test_the_run_equals_the_plan_that_it_is_rolled_up_to():
    law = problem()
    shape, values = unroll(plan_of("dpmpp_2m", 5), SCHEDULE)
    values = values + 0.05 * torch.cos(torch.arange(len(values)).double())
    x, wanted = law.case(3, 20)
    [y] = unit_states(law, [x])
    error = float(distances(run(law, shape, values, y), wanted).mean())
    assert law.error(roll(shape, values, SCHEDULE), 3, 20) == pytest.approx(error, rel=1e-9)


def test_levels_rise_whatever_the_parameters():
    shape, values = unroll(plan_of("ddim", 6), SCHEDULE)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        levels = shape.levels(values + 5 * torch.randn(len(values), generator=generator, dtype=torch.float64))
        assert bool((levels.diff() > 0).all())
        assert shape.low < float(levels[0])
        assert float(levels[-1]) < shape.end


def test_a_free_start_keeps_the_number_of_calls():
    plain = named("dpmpp_2m", grids.make("log_snr", SCHEDULE, 5), SCHEDULE)
    freed = with_free_start(plain, 0.5)
    assert (plain.calls, freed.calls, len(freed.steps)) == (5, 5, 6)


def test_steps_with_statistics_cannot_be_unrolled():
    levels = (SCHEDULE.log_snr(1.0), 0.0, math.inf)
    with pytest.raises(InputError, match="v3"):
        unroll(Plan(levels, (StepPlan("v3"), StepPlan())), SCHEDULE)
