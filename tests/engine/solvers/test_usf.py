"""The solver of all plans: it repeats the known solvers, and what it adds to them is exact where it should be."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine import grids, schedules
from engine.denoisers import counted
from engine.errors import InputError
from engine.solvers import count_calls, exponential, forms, solve
from engine.solvers.plan import RELAXATIONS, Derivative, Plan, StepPlan
from engine.solvers.plans_named import named
from engine.solvers.statistics import Statistics
from engine.solvers.usf import compile, execute, relaxation, usf
from tests.engine.solvers.drawn_plans import drawn
from tests.oracles import Mixture, normal, reference

VP = schedules.vp_linear()
LAW = Mixture()
FREE = {"lower_order_final": False}
KNOWN = [("ddim", {}), ("dpm_solver_1", {}), ("dpmpp_1", {}),
         ("dpm_solver_2s", {}), ("dpm_solver_2s", {"variant": "taylor"}),
         ("dpm_solver_3s", {}), ("dpm_solver_3s", {"variant": "taylor"}), ("dpmpp_2s", {}), ("dpmpp_3s", {}),
         ("dpmpp_3s", {"variant": "taylor"}), ("dpm_solver_2m", {}), ("dpm_solver_2m", {"variant": "heun"}),
         ("dpmpp_2m", {}), ("dpmpp_2m", {"variant": "heun"} | FREE), ("dpm_solver_3m", {"consistent": True} | FREE),
         ("dpmpp_3m", {"consistent": True}), ("unipc_1", {}), ("unipc_1", {"variant": "bh1"}), ("unipc_2", {}),
         ("unipc_2", {"variant": "bh1"} | FREE), ("unipc_2", {"corrector": False}), ("unipc_3", {}),
         ("unipc_3", {"variant": "bh1"} | FREE), ("unipc_3", {"corrector": False})]
SEEDS = range(12)


def run(plan, x, denoise=None, schedule=VP, **options):
    *_, last = solve("usf", denoise or LAW.denoiser(schedule), x, plan.times(schedule), schedule, plan=plan, **options)
    return last


@pytest.mark.parametrize("schedule", [VP, schedules.edm(), schedules.vp_discrete(), schedules.residual()],
                         ids=lambda s: s.name)
@pytest.mark.parametrize(("name", "options"), KNOWN)
def test_known_solvers_as_plans_repeat_the_direct_code(name, options, schedule):
    times = grids.make("log_snr", schedule, 7)
    plan = named(name, times, schedule, **options)
    x = normal(16, 2) * schedule(schedule.start)[1]
    *_, direct = solve(name, LAW.denoiser(schedule), x, times, schedule, **options)
    planned = run(plan, x, schedule=schedule)
    # Both compute the same numbers in another order; times go through log-SNR and back.
    torch.testing.assert_close(planned.x, direct.x, rtol=0, atol=1e-10)
    assert planned.nfe == direct.nfe == plan.calls


def test_every_state_on_the_way_is_the_direct_one():
    times = grids.make("karras", VP, 9)
    plan = named("unipc_3", times, VP)
    both = [solve("unipc_3", LAW.denoiser(VP), normal(4, 2), times, VP),
            solve("usf", LAW.denoiser(VP), normal(4, 2), plan.times(VP), VP, plan=plan)]
    for direct, planned in zip(*both, strict=True):
        torch.testing.assert_close(planned.x, direct.x, rtol=0, atol=1e-10)
        torch.testing.assert_close(planned.x0, direct.x0, rtol=0, atol=1e-10)
        assert (planned.index, planned.total, planned.nfe) == (direct.index, direct.total, direct.nfe)
        assert planned.t == pytest.approx(direct.t, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_plan_is_exact_for_a_single_point(seed):
    """Where x0 and eps never change, no decision of a plan matters."""
    point = torch.tensor([0.7, -1.3]).double()
    plan = drawn(seed, end=6.0 if seed % 2 else math.inf)
    x = normal(4, 2)
    times = plan.times(VP)
    (first_alpha, first_sigma), (alpha, sigma) = VP(times[0].item()), VP(times[-1].item())
    exact = alpha * point + sigma / first_sigma * (x - first_alpha * point)
    torch.testing.assert_close(run(plan, x, lambda x, t: point.expand_as(x)).x, exact, rtol=0, atol=1e-9)


def integral(f, low, high):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    at = (nodes + 1) / 2 * (high - low) + low
    return float((weights * f(at)).sum() * (high - low) / 2)


@pytest.mark.parametrize("seed", range(40))
def test_steps_integrate_the_polynomials_that_their_estimates_know(seed):
    """Row by row, predictor and corrector: weights on the estimates against the exact integral by quadrature."""
    plan = drawn(seed, end=4.0)
    plan = replace(plan, steps=tuple(_unrelaxed(step) for step in plan.steps))
    levels, program = plan.log_snr, compile(plan, VP)
    for i, step in enumerate(plan.steps):
        start, (alpha, sigma) = levels[Plan.node(i, step.start)], VP(program.times[i + 1])
        known = min([step.order - 1, *(len(d.points) for d in step.derivatives)])
        for row, power in ((program.predict[i], known), *[(r, step.order) for r in program.correct[i + 1:i + 2] if r]):
            def f(u, power=power, start=start):
                return (u - start) ** power

            if step.prediction == "data":
                made = sum(w * f(levels[node]) for kind, node, w in row if kind == "x0")
                exact = sigma * integral(lambda u: np.exp(u) * f(u), start, levels[i + 1])
            else:
                # Data weights of -alpha/sigma each: eps is (x - alpha x0) / sigma.
                made = sum(-math.exp(-levels[node]) * w * f(levels[node]) for kind, node, w in row if kind == "x0")
                exact = -alpha * integral(lambda u: np.exp(-u) * f(u), start, levels[i + 1])
            assert made == pytest.approx(exact, rel=1e-8, abs=1e-10)


def _unrelaxed(step):
    derivatives = tuple(Derivative(d.points) for d in step.derivatives)
    return replace(step, derivatives=derivatives, corrector_relaxation="none")


@pytest.mark.parametrize("prediction", ["noise", "data"])
def test_a_corrector_adds_an_order_in_either_form(prediction):
    """UniPC-3 has order 4 in data form and in noise form (card, table 0.1)."""
    x = normal(32, 2)
    exact = reference(LAW, x, VP, 1.0, 1e-3, 800)

    def error(steps):
        plan = named("unipc_3", grids.make("log_snr", VP, steps, end=1e-3), VP, **FREE)
        plan = replace(plan, steps=tuple(replace(step, prediction=prediction) for step in plan.steps))
        return (run(plan, x).x - exact).norm(dim=1).mean().item()

    assert math.log2(error(80) / error(160)) == pytest.approx(4, abs=0.25)


@pytest.mark.parametrize("name", RELAXATIONS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_relaxations_are_one_plus_a_term_of_the_first_order(name, sign):
    coarse, fine = (abs(relaxation(name, 0.3, sign * h, h) - 1) for h in (1e-2, 5e-3))
    assert coarse < 0.01 and (name == "none" or coarse / fine == pytest.approx(2, rel=0.02))


@pytest.mark.parametrize("z", [-2.3, -0.4, 0.7, 3.1])
def test_relaxations_are_the_published_ones(z):
    growth = math.expm1(z)
    assert relaxation("bh2", 0, z, 1) == pytest.approx(z / 2 * growth / (growth - z), rel=1e-12)
    assert relaxation("bh1", 0, z, 1) == pytest.approx(z * z / 2 / (growth - z), rel=1e-12)
    assert relaxation("plus", 0, z, 1) == 1 + growth / 2 and relaxation("minus", 0, z, 1) == 1 - growth / 2
    assert relaxation("linear", 0.2, z, 1.5) == pytest.approx(1.3)


def test_gains_multiply_what_they_say():
    """x_t = g0 ratio x + g1 (1 - ..) x0 + g2 c (m_2 - m_1): differences to the plan without gains, one at a time."""
    step = StepPlan(order=2, derivatives=(Derivative((-2,)),))
    levels = (-4.0, -2.0, 0.5, 2.0)

    def weights(gain):
        plan = Plan(levels, (StepPlan(), replace(step, gain=gain), StepPlan()))
        return {(kind, node): w for kind, node, w in compile(plan, VP).predict[1]}

    plain, times = weights(()), Plan(levels, (StepPlan(), step, StepPlan())).times(VP).tolist()
    (_, before), (alpha, after) = VP(times[1]), VP(times[2])
    assert weights((1, 1, 1)) == plain
    assert weights((1.5, 1, 1))["seen", 1] == pytest.approx(1.5 * after / before, rel=1e-12)
    doubled = weights((1, 2.0, 1))["x0", 1] - plain["x0", 1]
    assert doubled == pytest.approx(-alpha * math.expm1(-2.5), rel=1e-12)
    assert weights((1, 1, 3.0))["x0", 0] == pytest.approx(3 * plain["x0", 0], rel=1e-12)
    assert sum(w for (kind, _), w in weights((1, 1, 3.0)).items() if kind == "x0") == pytest.approx(
        -alpha * math.expm1(-2.5), rel=1e-12)


def test_gains_of_zero_leave_zero():
    plan = Plan((-4.0, 1.0, math.inf), (StepPlan(), StepPlan(gain=(0.0, 0.0))))
    assert not run(plan, normal(2, 2)).x.any()


def test_the_free_first_step_takes_zero_for_an_answer_and_costs_nothing():
    plan = replace(drawn(3), afs="zero_x0")
    asked = counted(LAW.denoiser(VP))
    steps = list(solve("usf", asked, normal(4, 2), plan.times(VP), VP, plan=plan))

    def told(x, t):
        return torch.zeros_like(x) if t == 1.0 or t == plan.times(VP)[0] else LAW.denoiser(VP)(x, t)

    assert steps[0].nfe == 0 and not steps[0].x0.any()
    assert steps[-1].nfe == asked.calls == plan.calls == count_calls("usf", plan.times(VP), VP, plan=plan)
    torch.testing.assert_close(steps[-1].x, run(replace(plan, afs="none"), normal(4, 2), told).x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_are_complete_and_nothing_handed_out_changes(seed):
    plan, x = drawn(seed), normal(2, 3)
    before, kept = x.clone(), []
    for step in solve("usf", lambda x, t: x / (1 + x * x) * (1 - t / 2), x, plan.times(VP), VP, plan=plan):
        kept.append((step, step.x.clone(), step.x0.clone()))
        assert step.sigma == VP(step.t)[1] and step.index == len(kept) and step.nfe == len(kept)
    assert [s.t for s, *_ in kept] == plan.times(VP)[1:].tolist()
    assert x.equal(before)
    assert all(step.x.equal(state) and step.x0.equal(estimate) for step, state, estimate in kept)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_is_its_samples_and_float32_stays(seed):
    plan, x = drawn(seed), normal(2, 3, 5).float()

    def both(x):
        return run(plan, x, lambda x, t: x / (1 + x * x) * (1 - t / 2)).x

    assert both(x).dtype == torch.float32
    torch.testing.assert_close(both(x)[1:], both(x[1:]), rtol=0, atol=0)


def test_noise_form_keeps_the_digits_of_float32_where_there_is_hardly_signal():
    plan = replace(drawn(1, predictions=("noise",)), log_snr=(-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, math.inf))
    plan = replace(plan, steps=tuple(_unrelaxed(s) for s in plan.steps))
    x = normal(8, 2).float()
    torch.testing.assert_close(run(plan, x).x.double(), run(plan, x.double()).x, rtol=0, atol=1e-3)


def test_memory_holds_only_what_later_steps_use():
    """UniPC-3 looks back two levels from each new one, over any number of steps."""
    program = compile(named("unipc_3", grids.make("log_snr", VP, 40), VP), VP)
    assert all(i + 1 - oldest <= 3 for i, oldest in enumerate(program.oldest()))


def loss(plan, program):
    *_, last = execute(LAW.denoiser(VP), normal(8, 2), program)
    return last.x.square().mean()


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_gradients_of_levels_are_those_of_finite_differences(seed):
    """Backpropagation through the loop against runs of the plan with its levels moved, which never see a tensor."""
    plan = drawn(seed, steps=5)
    levels = torch.tensor(plan.log_snr, dtype=torch.float64, requires_grad=True)
    program = compile(plan, VP, log_snr=levels)
    value = loss(plan, program)
    assert value.item() == pytest.approx(loss(plan, compile(plan, VP)).item(), rel=1e-10)
    gradient, = torch.autograd.grad(value, levels)
    step = 1e-5
    for i in range(1, 5):
        ends = []
        for sign in (1, -1):
            moved = list(plan.log_snr)
            moved[i] += sign * step
            ends.append(loss(plan, compile(replace(plan, log_snr=tuple(moved)), VP)).item())
        # Central differences: third derivatives leave 1e-10, rounding 1e-11.
        assert gradient[i].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)
    assert gradient.isfinite().all() and gradient[-1] == 0


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_gradients_of_gains_are_those_of_finite_differences(seed):
    plan = drawn(seed, steps=5)
    plan = replace(plan, steps=tuple(
        replace(s, gain=(1.0,) * (2 + len(s.union)),
                corrector_gain=(1.0,) * (3 + len(s.union)) if s.corrector != "none" else ()) for s in plan.steps))
    gains = [torch.ones(len(s.gain), dtype=torch.float64, requires_grad=True) for s in plan.steps]
    others = [torch.ones(len(s.corrector_gain), dtype=torch.float64, requires_grad=True) for s in plan.steps]
    # A single step makes the states between its ends superfluous, and their gains with them.
    gradients = torch.autograd.grad(loss(plan, compile(plan, VP, gains=gains, corrector_gains=others)),
                                    [*gains, *others], materialize_grads=True)
    places = [(field, i) for field in ("gain", "corrector_gain") for i in range(len(plan.steps))]
    step = 1e-6
    for (field, i), gradient in zip(places, gradients, strict=True):
        for j, slope in enumerate(gradient.tolist()):
            ends = [loss(plan, compile(_nudged(plan, field, i, j, sign * step), VP)).item() for sign in (1, -1)]
            assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)


def _nudged(plan, field, i, j, by):
    values = list(getattr(plan.steps[i], field))
    values[j] += by
    return replace(plan, steps=(*plan.steps[:i], replace(plan.steps[i], **{field: tuple(values)}), *plan.steps[i + 1:]))


@pytest.mark.parametrize("z", [-12.0, -1.0, -0.3, -1e-6, 1e-6, 0.3, 1.0, 12.0])
def test_moments_by_quadrature_are_those_of_the_recursion(z):
    made = forms.moments(torch.tensor(z).double(), 4)
    assert [m.item() for m in made] == pytest.approx(exponential.moments(float(torch.tensor(z).double()), 4), rel=1e-12)


LEVELS = torch.linspace(-8, 12, 41, dtype=torch.float64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("constants", "prediction"), [((1.0, 0.0, 0.0), "data"), ((0.0, -1.0, 0.0), "noise")])
def test_v3_with_trivial_statistics_is_the_data_or_the_noise_form(seed, constants, prediction):
    plan = drawn(seed, steps=6, predictions=("v3",), end=5.0)
    # Relaxations are of the step's argument, whose sign differs between the forms.
    plan = replace(plan, steps=tuple(_unrelaxed(step) for step in plan.steps))
    same = replace(plan, steps=tuple(replace(step, prediction=prediction) for step in plan.steps))
    program = compile(plan, VP, statistics=Statistics.constant(*constants, LEVELS))
    *_, made = execute(LAW.denoiser(VP), normal(8, 2), program)
    # The quadrature of the statistics' integrals leaves 1e-9 per step; sharp extrapolations enlarge it.
    torch.testing.assert_close(made.x, run(same, normal(8, 2)).x, rtol=1e-7, atol=1e-7)


def test_v3_steps_are_those_of_dpm_solver_v3():
    wave = (LEVELS / 3).sin()
    statistics = Statistics(LEVELS, 0.5 + wave[:, None] * torch.tensor([0.4, -0.3]).double(),
                            -0.8 * wave[:, None] * torch.tensor([1.0, 0.5]).double(),
                            0.3 * wave.cos()[:, None] * torch.tensor([0.2, 1.0]).double())
    times = grids.make("log_snr", VP, 9, end=1e-3)
    plan = named("dpmpp_3m", times, VP, lower_order_final=False)
    plan = replace(plan, steps=tuple(
        replace(_unrelaxed(step), prediction="v3", corrector="pseudo" if i < 8 else "none")
        for i, step in enumerate(plan.steps)))
    *_, direct = solve("dpm_solver_v3", LAW.denoiser(VP), normal(8, 2), times, VP, statistics=statistics,
                       corrector="next", lower_order_final=False)
    *_, planned = usf(LAW.denoiser(VP), normal(8, 2), plan.times(VP), VP, plan=plan, statistics=statistics)
    torch.testing.assert_close(planned.x, direct.x, rtol=0, atol=1e-9)


def test_v3_needs_statistics_of_this_model_and_levels_that_stay():
    plan = drawn(0, predictions=("v3",), end=5.0)
    statistics = Statistics.constant(1, 0, 0, LEVELS)
    other = Statistics(LEVELS, *(torch.zeros(41, 7).double() for _ in range(3)))
    levels = torch.tensor(plan.log_snr, dtype=torch.float64, requires_grad=True)
    for attempt in (lambda: compile(plan, VP), lambda: compile(plan, VP, statistics=statistics, log_snr=levels),
                    lambda: usf(LAW.denoiser(VP), normal(4, 2), plan.times(VP), VP, plan=plan, statistics=other)):
        with pytest.raises(InputError) as raised:
            attempt()
        assert raised.value.field == "plan"
