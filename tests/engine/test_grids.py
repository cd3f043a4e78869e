import math

import pytest
import torch

from engine import grids, schedules
from engine.errors import InputError

SCHEDULES = [schedules.vp_linear(), schedules.vp_discrete(), schedules.vp_discrete("cosine"), schedules.cosine(),
             schedules.edm(), schedules.flow(), schedules.residual()]
ALL = pytest.mark.parametrize("schedule", SCHEDULES, ids=[s.name for s in SCHEDULES])
NAMES = pytest.mark.parametrize("name", grids.names())


@ALL
@NAMES
@pytest.mark.parametrize("steps", [1, 2, 7, 200])
def test_a_grid_falls_strictly_from_the_start_to_zero(schedule, name, steps):
    times = grids.make(name, schedule, steps)
    assert times.dtype == torch.float64 and times.shape == (steps + 1,)
    assert times[0] == schedule.start and times[-1] == 0
    assert (times.diff() < 0).all()


@ALL
@NAMES
def test_a_grid_may_stop_before_zero(schedule, name):
    assert grids.make(name, schedule, 5, to_zero=False)[-1] == schedule.t_min
    middle = schedule.time_at(0.0)
    part = grids.make(name, schedule, 5, start=middle, end=middle / 4)
    assert part[0] == middle and part[-1] == middle / 4 and (part.diff() < 0).all()


@ALL
def test_log_snr_grid_is_even_in_log_snr(schedule):
    levels = schedule.log_snr(grids.make("log_snr", schedule, 10, start=schedule.t_max, to_zero=False))
    steps = levels.diff()
    assert torch.allclose(steps, steps.mean().expand(10), rtol=1e-8)


@ALL
def test_karras_grid_is_even_in_the_root_of_the_noise_ratio(schedule):
    times = grids.make("karras", schedule, 10, start=schedule.t_max, to_zero=False, rho=5.0)
    steps = (-schedule.log_snr(times) / 5).exp().diff()
    assert torch.allclose(steps, steps.mean().expand(10), rtol=1e-8)


def test_karras_grid_has_the_published_levels():
    times = grids.make("karras", schedules.edm(), 17, to_zero=False)
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    assert torch.allclose(times, torch.tensor([(high + i / 17 * (low - high)) ** 7 for i in range(18)],
                                              dtype=torch.float64), rtol=1e-12)


def test_uniform_and_quadratic_grids_are_even_in_time_and_in_its_root():
    schedule = schedules.vp_linear()
    assert torch.allclose(grids.make("uniform", schedule, 4), torch.tensor([1, 0.75, 0.5, 0.25, 0]).double())
    assert torch.allclose(grids.make("quadratic", schedule, 4), torch.tensor([16, 9, 4, 1, 0]).double() / 16)


def test_level_grids_keep_their_inner_times_when_the_last_becomes_zero():
    for name in ("log_snr", "karras"):
        open_grid, closed = (grids.make(name, schedules.cosine(), 6, to_zero=flag) for flag in (False, True))
        assert torch.equal(open_grid[:-1], closed[:-1])


def test_a_level_grid_from_infinite_noise_is_laid_from_the_last_finite_level():
    schedule = schedules.residual()
    times = grids.make("log_snr", schedule, 6)
    assert times[0] == 1.0 and schedule.log_snr(times[0].item()) == -math.inf
    inner = grids.make("log_snr", schedule, 6, start=schedule.t_max)
    assert torch.equal(times[1:], inner[1:])


@NAMES
def test_a_start_below_t_min_still_works(name):
    times = grids.make(name, schedules.vp_linear(), 3, start=5e-4)
    assert times[0] == 5e-4 and times[-1] == 0 and (times.diff() < 0).all()


@pytest.mark.parametrize(("name", "steps", "options", "field"), [
    ("even", 5, {}, "spacing"),
    ("uniform", 0, {}, "steps"),
    ("uniform", 5, {"rho": 3.0}, "rho"),
    ("karras", 5, {"rho": 0.0}, "rho"),
    ("uniform", 5, {"start": 2.0}, "start"),
    ("uniform", 5, {"start": 0.5, "end": 0.5}, "start"),
    ("log_snr", 5, {"end": -0.1}, "start"),
    ("log_snr", 5, {"start": math.nan}, "start"),
])
def test_impossible_grids_are_refused_with_the_setting_named(name, steps, options, field):
    with pytest.raises(InputError) as caught:
        grids.make(name, schedules.vp_linear(), steps, **options)
    assert caught.value.field == field
