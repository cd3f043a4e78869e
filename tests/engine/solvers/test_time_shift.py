"""Time-Shift: its base without a window, the table search of the paper, and states whose true time is known."""

import math

import pytest
import torch

from engine import grids, schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers import solve
from engine.solvers.time_shift import Place, nearest, shifted
from tests.oracles import Mixture, normal

VP, DISCRETE, FLOW = schedules.vp_linear(), schedules.vp_discrete("linear"), schedules.flow()
BASES = ["ddpm", "ddim", "fpndm", "dpmpp_2m"]
MODES = ["state", "target"]
WIDE = 100
SIZE = 400


def run(name, denoise, x, times, schedule=DISCRETE, **options):
    return list(solve(name, denoise, x, times, schedule, rng=Rng(5, len(x)), **options))


def nothing(x, t):
    """The posterior mean when all data are the point 0: states are pure noise, and their variance is sigma^2."""
    return torch.zeros_like(x)


def curved(x, t):
    return x / (1 + x * x)


def unit_noise(count, seed=0):
    """Noise whose sample variance is exactly 1 in every sample."""
    z = normal(count, SIZE, seed=seed)
    z = z - z.mean(1, keepdim=True)
    return z / z.std(1, keepdim=True)


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", BASES)
def test_without_a_window_it_is_its_base_bit_for_bit(base, mode, window):
    x, times = normal(3, 5).float(), grids.make("uniform", DISCRETE, 9)
    ours = run("time_shift", curved, x, times, base=base, mode=mode, window=window)
    theirs = run(base, curved, x, times)
    for step, other in zip(ours, theirs, strict=True):
        assert step.x.equal(other.x) and step.x0.equal(other.x0) and (step.t, step.nfe) == (other.t, other.nfe)


@pytest.mark.parametrize("spacing", ["uniform", "log_snr"])
@pytest.mark.parametrize("base", BASES)
def test_moves_with_times_per_sample_are_the_base(base, spacing):
    """The same arithmetic in tensors, also above sigma = 0 and where a high cutoff leaves every time in place."""
    for schedule, end in ((DISCRETE, 0.0), (VP, 1e-3), (schedules.residual(), 0.0)):
        if base == "fpndm" and spacing != "uniform":
            continue
        law, times = Mixture(), grids.make(spacing, schedule, 9, end=end)
        x = normal(4, 2) * schedule(schedule.start)[1]
        *_, theirs = run(base, law.denoiser(schedule), x, times, schedule)
        for cutoff, half in ((1000, 3), (0, 0)):
            *_, ours = shifted(law.denoiser(schedule), x, times, schedule, Rng(5, 4), base=base, mode="state",
                               half=half, cutoff=cutoff)
            assert ours.nfe == theirs.nfe
            # float64 in another order, over nine steps with factors up to alpha_t / alpha_s = 150.
            torch.testing.assert_close(ours.x, theirs.x, rtol=0, atol=1e-11)


def test_the_search_is_the_paper_s_table_search():
    """argmin over integer tau in [t - w/2, t + w/2] of |var - (1 - alphabar_tau)|, on the table of 1000 steps."""
    table = 1 - torch.cumprod(1 - torch.tensor(schedules.beta_table("linear"), dtype=torch.float64), 0)
    steps, window = 10, 12
    times, seen = grids.make("uniform", DISCRETE, steps), []

    def spy(x, t):
        seen.append((x, t))
        return nothing(x, t)

    x = unit_noise(3) * torch.tensor([[0.98], [1.0], [1.03]]).double()
    run("time_shift", spy, x, times, window=window, cutoff=350)
    moved = 0
    for i, (state, t) in enumerate(seen):
        centre = 1000 - 100 * i - 1
        if i and times[i - 1] > 0.35:
            near = torch.arange(centre - window // 2, centre + window // 2 + 1)
            want = near[(state.var(1)[:, None] - table[near]).abs().argmin(1)]
            torch.testing.assert_close(DISCRETE.model_time(t), want.double(), rtol=0, atol=1e-9)
            moved += int((want != centre).sum())
        else:
            assert float(DISCRETE.model_time(torch.as_tensor(t))) == pytest.approx(max(centre, 0), abs=1e-9)
    assert moved > 3


@pytest.mark.parametrize(("base", "schedule"), [("ddim", DISCRETE), ("dpmpp_2m", DISCRETE), ("fpndm", DISCRETE),
                                                ("ddim", FLOW)])
def test_states_with_too_much_noise_are_given_their_true_time(base, schedule):
    """Data at 0, start noise 1 % too strong or weak: after the first step the state's time is known from its variance,
    and the next state has the right noise up to the distance of the nearest candidate. The base keeps the excess.
    """
    times = grids.make("uniform", schedule, 5, start=0.6, to_zero=False)
    wrong = torch.tensor([1.01, 0.99]).double()
    x = unit_noise(2) * schedule(0.6)[1] * wrong[:, None]
    for step in run(base, nothing, x, times, schedule):
        torch.testing.assert_close(step.x.std(1) / step.sigma, wrong, rtol=0, atol=1e-9)
    ours = run("time_shift", nothing, x, times, schedule, base=base, window=WIDE, cutoff=300)
    for i in (1, 2):
        # Candidates are a thousandth apart, and log sigma is steepest at the lowest, a third of the step down.
        lowest = times[i].item() - (times[0] - times[1]).item() / 3
        gap = math.log(schedule(lowest + 1e-3)[1] / schedule(lowest)[1])
        excess = (ours[i].x.std(1) / ours[i].sigma).log().abs()
        # Nearest in sigma^2 is half a gap of sigma^2 away, in log sigma 1 + gap times as much.
        assert (excess <= gap / 2 * (1 + gap)).all() and gap < 0.006


def test_states_that_keep_their_promise_are_left_alone():
    x, times = unit_noise(2), grids.make("uniform", VP, 6)
    x = x * VP(1.0)[1]
    for mode, same in (("state", True), ("target", False)):
        ours = run("time_shift", nothing, x, times, VP, window=40, mode=mode)[1].x
        theirs = run("ddim", nothing, x, times, VP)[1].x
        # "target" compares the variance before the step with the noise after it, and so always shifts upwards.
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12) is same


def test_target_mode_goes_to_the_shifted_time_and_tells_the_network_the_nominal_one():
    times, heard = grids.make("uniform", DISCRETE, 5), []
    x = unit_noise(1)
    steps = run("time_shift", lambda x, t: (heard.append(float(t)), nothing(x, t))[1], x, times, mode="target",
                window=20, cutoff=300)
    assert heard == pytest.approx(times[:-1].tolist(), abs=1e-12)
    # Every variance is above all candidates' until the cutoff: the highest, ten indices up, is taken. The first step
    # and those to .2 and 0 go to the nominal time.
    reached = [times[1].item(), times[2].item() + 0.01, times[3].item() + 0.01, times[4].item()]
    expected = x.clone()
    for start, end, step in zip(times.tolist(), reached, steps, strict=False):
        expected = expected * (DISCRETE(end)[1] / DISCRETE(start)[1])
        torch.testing.assert_close(step.x, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", BASES)
def test_every_sample_has_its_own_time(base, mode):
    x, times = normal(3, SIZE) * torch.tensor([[0.9], [1.0], [1.1]]).double(), grids.make("uniform", DISCRETE, 6)
    options = {"base": base, "mode": mode, "window": WIDE}
    *_, both = solve("time_shift", curved, x, times, DISCRETE, rng=Rng(9, 3), **options)
    for i in range(3):
        *_, alone = solve("time_shift", curved, x[i:i + 1], times, DISCRETE, rng=Rng(9, 1, first=i), **options)
        assert alone.x.equal(both.x[i:i + 1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", BASES)
def test_wide_windows_keep_times_falling(base, mode):
    """100 steps with a window of 40 of them: no step may go backwards or stand still, few numbers per sample or not."""
    times = grids.make("uniform", DISCRETE, 100)
    for x in (normal(2, 3), normal(2, 1)):
        for step in run("time_shift", curved, x, times, base=base, mode=mode, window=400, cutoff=0):
            assert step.x.isfinite().all() and step.x.abs().max() < 100


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("base", BASES)
def test_few_steps_are_legal(base, steps):
    *_, last = run("time_shift", curved, normal(2, 30), grids.make("uniform", VP, steps), VP, base=base, window=80)
    assert last.x.equal(last.x0) and last.x.isfinite().all() and last.index == last.total == steps


def test_the_nearest_candidate_by_variance_without_its_bias():
    """n - 1 counts: two numbers a apart have variance a^2 / 2."""
    sigma = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64)
    found = nearest(torch.tensor([[0.0, 0.2 * 2**0.5], [1.0, 1.7]]).double(), Place(sigma, sigma, sigma))
    assert found.t.tolist() == [0.2, 0.5]


def test_what_cannot_run_is_refused():
    x = normal(1, 4)
    with pytest.raises(InputError) as raised:
        run("time_shift", curved, x, grids.make("log_snr", VP, 6), VP, base="fpndm")
    assert raised.value.field == "spacing"
    with pytest.raises(InputError) as raised:
        list(solve("time_shift", curved, x, grids.make("uniform", VP, 6), VP, base="ddpm"))
    assert raised.value.field == "rng"
    for name, value in (("window", 3.5), ("window", -1), ("cutoff", 2000), ("mode", "both"), ("base", "heun")):
        with pytest.raises(InputError) as raised:
            run("time_shift", curved, x, grids.make("uniform", VP, 6), VP, **{name: value})
        assert raised.value.field == name
