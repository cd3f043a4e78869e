"""Plans: what is valid, what is refused by name, and that a file gives back what was written."""

import json
import math
from dataclasses import replace

import pytest
import torch

from engine import grids, schedules
from engine.errors import InputError
from engine.solvers import solve
from engine.solvers.plan import MAX_STEPS, TEXT_BYTES, Derivative, Plan, StepPlan
from engine.solvers.plans_named import NAMES, named
from tests.engine.solvers.drawn_plans import drawn

VP = schedules.vp_linear()
FIRST = StepPlan()
SECOND = StepPlan(order=2, derivatives=(Derivative((-2,)),))
PLAN = Plan((-4.0, -1.0, 2.0, math.inf), (FIRST, SECOND, FIRST), title="small", model="m", score=0.25, found="by hand")


@pytest.mark.parametrize("seed", range(30))
def test_a_written_plan_reads_back_the_same(seed):
    plan = drawn(seed, predictions=("noise", "data", "v3"), end=math.inf if seed % 2 else 9.0)
    step = replace(plan.steps[1], gain=(1.0, 0.9, *[1.1] * len(plan.steps[1].union)))
    plan = replace(plan, steps=(plan.steps[0], step, *plan.steps[2:]), afs="zero_x0", title="a \"plan\" of ours")
    assert Plan.read(plan.write()) == plan
    assert Plan.read(plan.write().encode()).write() == plan.write()
    assert "Infinity" not in plan.write() and hash(plan) == hash(Plan.read(plan.write()))


@pytest.mark.parametrize("name", NAMES)
def test_known_solvers_are_written_and_read(name):
    plan = named(name, grids.make("log_snr", VP, 6), VP)
    assert Plan.read(plan.write()) == plan


def test_calls_count_the_steps_that_ask_the_model():
    assert PLAN.calls == 3 and replace(PLAN, afs="zero_x0").calls == 2


def test_numbers_are_kept_as_floats_so_that_equal_plans_give_equal_text():
    whole = Plan((-4, -1, 2, math.inf), PLAN.steps)
    assert whole.write() == replace(whole, log_snr=(-4.0, -1.0, 2.0, math.inf)).write()


@pytest.mark.parametrize("schedule", [VP, schedules.cosine(), schedules.edm(), schedules.flow(),
                                      schedules.vp_discrete()], ids=lambda s: s.name)
def test_times_have_the_plan_s_levels_on_every_schedule(schedule):
    times = PLAN.times(schedule)
    assert times.dtype == torch.float64 and times[-1] == 0 and (times.diff() < 0).all()
    torch.testing.assert_close(schedule.log_snr(times[:-1]), torch.tensor(PLAN.log_snr[:-1]).double(), rtol=1e-9,
                               atol=1e-9)


def test_a_plan_from_infinite_noise_starts_where_the_schedule_does():
    residual = schedules.residual()
    times = Plan((-math.inf, 0.0, 1.0), (FIRST, FIRST)).times(residual)
    assert times[0] == residual.start == 1.0


def test_a_plan_from_the_start_of_a_schedule_starts_there_exactly():
    for schedule in (VP, schedules.vp_discrete(), schedules.edm()):
        plan = replace(PLAN, log_snr=(schedule.log_snr(schedule.start), 0.0, 2.0, 4.0))
        assert plan.times(schedule)[0] == schedule.start


def test_a_plan_that_needs_more_noise_than_there_is_is_refused():
    with pytest.raises(InputError) as raised:
        replace(PLAN, log_snr=(-9.0, *PLAN.log_snr[1:])).times(VP)
    assert raised.value.field == "plan" and "-9" in raised.value.what


def test_levels_that_a_schedule_cannot_tell_apart_are_refused():
    """Near alpha = 1 the cosine schedule's time is known to 1e-14, and its noise to 1e-14 as well."""
    refused(replace(PLAN, log_snr=(-4.0, 50.0, 60.0, math.inf)).times, schedules.cosine())


def test_the_searched_grid_is_the_plan_s():
    times = grids.make("searched", VP, 99, plan=PLAN)
    assert torch.equal(times, PLAN.times(VP)) and "searched" not in grids.names()
    for options in ({}, {"plan": PLAN, "rho": 2.0}, {"rho": 2.0}):
        with pytest.raises(InputError) as raised:
            grids.make("searched", VP, 5, **options)
        assert raised.value.field == "spacing"


BAD_STEPS = {
    "unknown prediction": {"prediction": "velocity"}, "number as prediction": {"prediction": 3},
    "order 0": {"order": 0}, "order 5": {"order": 5}, "order as text": {"order": "2"}, "order true": {"order": True},
    "too few derivatives": {"order": 3}, "too many derivatives": {"derivatives": (Derivative((-2,)),)},
    "start 0": {"start": 0}, "broken start": {"start": -1.5},
    "unknown corrector": {"corrector": "implicit"}, "unknown relaxation": {"corrector_relaxation": "half"},
    "relaxed without corrector": {"corrector_relaxation": "bh2"},
    "linear corrector": {"corrector": "pseudo", "corrector_relaxation": "linear"},
    "start as point": {"order": 2, "derivatives": (Derivative((-1,)),)},
    "one point for a second derivative": {"order": 3, "derivatives": (Derivative((-2, -3)), Derivative((-2,)))},
    "gain of the wrong length": {"gain": (1.0,)}, "gain not finite": {"gain": (1.0, math.inf)},
    "gain nan": {"gain": (math.nan, 1.0)}, "gain as text": {"gain": "12"}, "huge gain": {"gain": (1e9, 1.0)},
    "gain of no corrector": {"corrector_gain": (1.0, 1.0, 1.0)},
    "v3 of fifth order": {"prediction": "v3", "order": 4, "corrector": "pseudo",
                          "derivatives": (Derivative((-2, -3, -4)),) * 3},
}
BAD_POINTS = [(), (0,), (-2, -2), (1,), (-2.0,), ("-2",), (True,), "23", None, (-MAX_STEPS - 1,)]
BAD_PLANS = {
    "no steps": {"steps": (), "log_snr": (0.0,)},
    "one level too few": {"log_snr": (-4.0, 0.0, 2.0)},
    "falls": {"log_snr": (-4.0, 2.0, 1.0, math.inf)}, "rests": {"log_snr": (-4.0, 1.0, 1.0, math.inf)},
    "nan": {"log_snr": (-4.0, math.nan, 1.0, 2.0)}, "text": {"log_snr": (-4.0, "0", 1.0, 2.0)},
    "infinite inside": {"log_snr": (-4.0, 1.0, math.inf, math.inf)},
    "beyond all levels": {"log_snr": (-4.0, 1.0, 2.0, 1e5)}, "huge": {"log_snr": (-4, 1, 2, 10**400)},
    "order above history": {"steps": (SECOND, FIRST, FIRST)},
    "point above history": {"steps": (FIRST, replace(SECOND, derivatives=(Derivative((-3,)),)), FIRST)},
    "start above history": {"steps": (StepPlan(start=-2), SECOND, FIRST)},
    "second order to zero noise": {"steps": (FIRST, FIRST, SECOND)},
    "v3 to zero noise": {"steps": (FIRST, SECOND, StepPlan("v3"))},
    "point without signal": {"log_snr": (-math.inf, 0.0, 1.0, 2.0)},
    "corrected last step": {"log_snr": (-4.0, 0.0, 1.0, 2.0), "steps": (FIRST, SECOND, StepPlan(corrector="pseudo"))},
    "unknown first step": {"afs": "average"}, "no text": {"title": 5}, "score nan": {"score": math.nan},
    "never calls": {"log_snr": (-4.0, math.inf), "steps": (FIRST,), "afs": "zero_x0"},
    "too long": {"steps": (FIRST,) * (MAX_STEPS + 1), "log_snr": tuple(i / 100 for i in range(MAX_STEPS + 2))},
}


def refused(make, *values, **named_values):
    with pytest.raises(InputError) as raised:
        make(*values, **named_values)
    assert raised.value.field == "plan" and raised.value.what and len(str(raised.value)) < 300


@pytest.mark.parametrize("case", BAD_STEPS)
def test_impossible_steps_are_refused(case):
    refused(StepPlan, **BAD_STEPS[case])


@pytest.mark.parametrize("points", BAD_POINTS, ids=str)
def test_impossible_points_are_refused(points):
    refused(Derivative, points)


@pytest.mark.parametrize(("relaxation", "coefficient"), [("half", 0.0), ("bh2", 0.5), ("linear", math.nan)])
def test_impossible_relaxations_are_refused(relaxation, coefficient):
    refused(Derivative, (-2,), relaxation, coefficient)


@pytest.mark.parametrize("case", BAD_PLANS)
def test_impossible_plans_are_refused(case):
    refused(replace, PLAN, **BAD_PLANS[case])


def changed(**fields) -> str:
    return json.dumps({**json.loads(PLAN.write()), **fields})


BAD_TEXTS = {
    "empty": "", "no json": "{", "a list": "[]", "a number": "3", "no utf-8": b"\xff\xfe\x00", "deep": "[" * 100_000,
    "too long": " " * (TEXT_BYTES + 1),
    "no version": json.dumps({"log_snr": [0, 1], "steps": [{}]}), "newer": changed(version=2),
    "version true": changed(version=True), "unknown setting": changed(speed=3), "no steps": changed(steps=None),
    "steps as text": changed(steps="abc"), "step as number": changed(steps=[1, {}, {}]),
    "unknown step setting": changed(steps=[{"ordre": 1}, {}, {}]),
    "derivative as number": changed(steps=[{}, {"order": 2, "derivatives": [3]}, {}]),
    "derivatives as number": changed(steps=[{}, {"order": 2, "derivatives": 3}, {}]),
    "derivative without points": changed(steps=[{}, {"order": 2, "derivatives": [{}]}, {}]),
    "levels as object": changed(log_snr={"0": 1}), "level as list": changed(log_snr=[-4, [1], 2, "inf"]),
    "level as other text": changed(log_snr=[-4, 1, 2, "infinity"]), "NaN": changed(log_snr=[-4, math.nan, 2, "inf"]),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_texts_that_are_no_plan_are_refused(case):
    refused(Plan.read, BAD_TEXTS[case])


def test_a_step_that_cannot_be_made_is_named_with_its_number():
    with pytest.raises(InputError, match="Step 3 of 3"):
        replace(PLAN, steps=(FIRST, FIRST, SECOND))


@pytest.mark.parametrize(("name", "options", "field"), [
    ("heun", {}, "solver"), ("nothing", {}, "solver"), ("ddim", {"eta": 0.5}, "plan"), ("ddim", {"eta": 2.0}, "eta"),
    ("dpmpp_3m", {"consistent": False}, "plan"), ("dpmpp_2m", {"variant": "taylor"}, "variant"),
    ("unipc_2", {"order": 2}, "order")])
def test_solvers_and_options_that_are_no_plan_are_refused(name, options, field):
    with pytest.raises(InputError) as raised:
        named(name, grids.make("uniform", VP, 4), VP, **options)
    assert raised.value.field == field


def test_a_run_without_plan_or_over_other_times_is_refused():
    three, five = (grids.make("uniform", VP, steps) for steps in (3, 5))
    for times, options, field in ((PLAN.times(VP), {}, "solver"), (three, {"plan": PLAN}, "spacing"),
                                  (five, {"plan": PLAN}, "spacing")):
        with pytest.raises(InputError) as raised:
            list(solve("usf", lambda x, t: x, torch.zeros(1, 2), times, VP, **options))
        assert raised.value.field == field
