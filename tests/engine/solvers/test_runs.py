"""What every solver owes its caller: exact counts, full steps, clean ends, any number of steps, no shared state."""

import math

import pytest
import torch

from engine import denoisers, grids, schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers import catalogue, count_calls, row, self_sufficient, solve
from tests.oracles import Gaussian, normal

VP, RESIDUAL = schedules.vp_linear(), schedules.residual()
NAMES = [entry.name for entry in self_sufficient()]
# The adaptive one chooses its own times; Time-Shift moves times by what pictures look like and solves no ODE.
STEPPED = [name for name in NAMES if "adaptive" not in row(name).tags]
DETERMINISTIC = [name for name in STEPPED if row(name).deterministic and "shifted" not in row(name).tags]
RANDOM = [name for name in NAMES if not row(name).deterministic]
LAW = Gaussian(torch.tensor([0.4, -0.2]).double(), torch.diag(torch.tensor([0.3, 0.05]).double()))


def home(name):
    """The schedule that a solver is at home on."""
    return RESIDUAL if "residual" in row(name).tags else VP


def rational(x, t):
    """A curved estimate from elementwise arithmetic that rounds alike in every batch."""
    return x / (1 + x * x) * (1 - denoisers.spread(t, x) / 2)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 16])
@pytest.mark.parametrize("name", STEPPED)
def test_steps_are_complete_and_counted(name, steps):
    schedule = home(name)
    times = grids.make("uniform", schedule, steps)
    counted = denoisers.counted(rational)
    made, estimates = [], []

    def spy(x, t):
        estimates.append(counted(x, t))
        return estimates[-1]

    for step in solve(name, spy, normal(2, 3), times, schedule, rng=Rng(0, 2)):
        made.append(step)
        assert step.nfe == counted.calls and step.x0 is estimates[-1]
        assert step.sigma == pytest.approx(schedule(step.t)[1], abs=1e-12)
    assert [s.index for s in made] == list(range(1, made[-1].total + 1)) and made[-1].total == len(made)
    assert made[-1].t == 0 and made[-1].sigma == 0
    assert counted.calls == row(name).calls(steps) == count_calls(name, times, schedule)
    if name != "dpm_solver_fast":
        assert [s.t for s in made] == times[1:].tolist()


@pytest.mark.parametrize(("name", "calls"), [
    ("ddim", 10), ("dpmpp_2m", 10), ("unipc_3", 10), ("fpndm", 19), ("spndm", 11), ("heun", 20), ("dpm_solver_2s", 20),
    ("dpmpp_3s", 30), ("dpm_solver_fast", 10)])
def test_calls_of_runs_that_end_above_zero(name, calls):
    """The papers' counts N, N + 9, N + 1, 2N, 3N; an end at zero saves the inner calls of the last step."""
    assert count_calls(name, grids.make("uniform", VP, 10, end=1e-3), VP) == calls


@pytest.mark.parametrize("budget", range(1, 20))
@pytest.mark.parametrize("schedule", [VP, RESIDUAL], ids=lambda s: s.name)
@pytest.mark.parametrize("end", [0.0, 0.01])
def test_fast_spends_exactly_its_budget(budget, schedule, end):
    assert count_calls("dpm_solver_fast", grids.make("uniform", schedule, budget, end=end), schedule) == budget


@pytest.mark.parametrize("name", NAMES)
def test_the_step_to_zero_returns_the_estimate(name):
    *_, last = solve(name, rational, normal(2, 3), grids.make("uniform", home(name), 6), home(name), rng=Rng(0, 2))
    torch.testing.assert_close(last.x, last.x0, rtol=0, atol=0)


@pytest.mark.parametrize("name", STEPPED)
def test_a_start_without_any_signal_is_legal(name):
    """The residual schedule starts at alpha = 0, where the log-SNR is minus infinity."""
    for steps in (1, 2, 3, 5):
        times = grids.make("uniform", RESIDUAL, steps)
        x = normal(4, 2) * RESIDUAL(1.0)[1]
        for step in solve(name, LAW.denoiser(RESIDUAL), x, times, RESIDUAL, rng=Rng(0, 4)):
            assert step.x.isfinite().all()
        assert step.nfe == count_calls(name, times, RESIDUAL) <= row(name).calls(steps)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_solvers_converge_from_a_start_without_signal(name):
    """Against the exact flow of a Gaussian law: eight times the steps at least divide the error by three."""
    x = normal(32, 2) * RESIDUAL(1.0)[1]
    exact = LAW.flow(x, RESIDUAL, 1.0, 0.0)

    def error(steps):
        *_, last = solve(name, LAW.denoiser(RESIDUAL), x, grids.make("uniform", RESIDUAL, steps), RESIDUAL)
        return (last.x - exact).abs().mean().item()

    assert error(64) < error(8) / 3 and error(64) < 0.02


@pytest.mark.parametrize("name", [name for name in NAMES if home(name) is VP])
def test_runs_keep_float32_and_its_digits(name):
    """Nearly no signal at the start: noise-form solvers must not multiply float32's rounding errors there."""
    schedule = schedules.vp_discrete("cosine")
    times = grids.make("uniform", schedule, 12)
    x = normal(8, 2).float()
    *_, single = solve(name, LAW.denoiser(schedule), x, times, schedule, rng=Rng(0, 8))
    *_, double = solve(name, LAW.denoiser(schedule), x.double(), times, schedule, rng=Rng(0, 8))
    assert single.x.dtype == single.x0.dtype == torch.float32
    # alpha starts at .006: 6e-8 of rounding in x are 1e-5 in x0, and the weights of F-PNDM make up to 7 times that.
    torch.testing.assert_close(single.x.double(), double.x, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_samples(name):
    schedule, x = home(name), normal(2, 3, 5, 7).float()
    times = grids.make("uniform", schedule, 6)
    *_, both = solve(name, rational, x, times, schedule, rng=Rng(9, 2))
    for i in range(2):
        *_, alone = solve(name, rational, x[i:i + 1], times, schedule, rng=Rng(9, 1, first=i))
        torch.testing.assert_close(alone.x, both.x[i:i + 1], rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_handed_out_is_never_changed(name):
    """A viewer keeps earlier steps; the start noise is reused for comparisons."""
    x = normal(1, 6)
    before, kept = x.clone(), []
    for step in solve(name, rational, x, grids.make("uniform", home(name), 6), home(name), rng=Rng(0, 1)):
        kept.append((step, step.x.clone(), step.x0.clone()))
    assert x.equal(before)
    assert all(step.x.equal(state) and step.x0.equal(estimate) for step, state, estimate in kept)


@pytest.mark.parametrize("name", RANDOM)
def test_random_solvers_ask_for_their_random_numbers(name):
    with pytest.raises(InputError) as raised:
        list(solve(name, rational, normal(1, 2), grids.make("uniform", home(name), 3), home(name)))
    assert raised.value.field == "rng"


@pytest.mark.parametrize(("name", "options", "field"), [
    ("ddim", {"eta": 1.5}, "eta"), ("ddim", {"eta": math.nan}, "eta"), ("ddim", {"eta": True}, "eta"),
    ("ddpm", {"variance": "huge"}, "variance"), ("dpmpp_3m", {"consistent": 1}, "consistent"),
    ("heun", {"eta": 1.0}, "eta"), ("no such", {}, "solver")])
def test_wrong_options_are_refused_by_name(name, options, field):
    with pytest.raises(InputError) as raised:
        solve(name, rational, normal(1, 2), grids.make("uniform", VP, 3), VP, **options)
    assert raised.value.field == field


def test_resfusion_refuses_other_schedules():
    with pytest.raises(InputError) as raised:
        solve("resfusion", rational, normal(1, 2), grids.make("uniform", VP, 3), VP, rng=Rng(0, 1))
    assert raised.value.field == "solver"


@pytest.mark.parametrize("name", [entry.name for entry in catalogue()])
def test_rows_say_what_people_need(name):
    entry = row(name)
    fewest, usual, most = entry.steps
    assert 1 <= fewest <= usual <= most and entry.title and entry.paper
    assert "order" in entry.hint and "call" in entry.hint and len(entry.hint) <= 130
    assert set(entry.spacings) <= {*grids.names(), grids.SEARCHED}
    for option in entry.options:
        assert option.help and (not option.choices or option.default in option.choices)
