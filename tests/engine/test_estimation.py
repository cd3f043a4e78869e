"""Model statistics: their derivatives, their closed form on a Gaussian, and the file beside a model."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine import estimation, exact, grids, models, networks, schedules
from engine.denoisers import from_v
from engine.errors import InputError
from engine.models import shelf
from engine.solvers import solve
from engine.solvers.statistics import FILE, RATE_LIMIT
from tests.oracles import normal

VP, COSINE = schedules.vp_linear(), schedules.cosine()
LAW = exact.toy()
MEAN, VARIANCE = torch.tensor([0.6, -0.4]).double(), 0.2
GAUSSIAN = exact.mixture([1.0], [MEAN.tolist()], [VARIANCE])
SMALL = {"components": 4, "size": 8, "classes": 2, "widths": (16, 32), "depth": 1, "attention": 1, "embedding": 16}


def small_network():
    """A class-conditional picture network with attention whose weights are all random."""
    generator = torch.Generator().manual_seed(3)
    network = networks.build("gaussian_unet", **SMALL).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return network


@pytest.mark.parametrize("schedule", [schedules.by_name(n) for n in ("vp_linear", "cosine", "edm", "flow", "residual")],
                         ids=lambda s: s.name)
def test_derivatives_of_a_mixture_are_those_of_finite_differences(schedule):
    denoise, log_snr, h = LAW.denoiser(schedule), 0.4, 1e-4
    t = schedule.time_at(log_snr)
    x, probe = normal(16, 2) * schedule(t)[1], normal(16, 2, seed=1).sign()
    x0, along, rate = estimation.derivatives(denoise, schedule, x, log_snr, probe)
    close = {"rtol": 0, "atol": 1e-6}  # central differences in float64: h^2 = 1e-8 times a third derivative
    torch.testing.assert_close(x0, denoise(x, t), rtol=0, atol=1e-12)
    torch.testing.assert_close(along, (denoise(x + h * probe, t) - denoise(x - h * probe, t)) / (2 * h), **close)

    def at(there):
        """x0 a little further along the ODE, by the midpoint rule in y = x / alpha: dy/du = x0 - y."""
        (alpha, sigma), y, step = schedule(t), x / schedule(t)[0], there - log_snr
        middle = y + step / 2 * (LAW.posterior_mean(y, 1.0, sigma / alpha) - y)
        ratio = sigma / alpha * np.exp(-step / 2)
        end = y + step * (LAW.posterior_mean(middle, 1.0, ratio) - middle)
        return LAW.posterior_mean(end, 1.0, sigma / alpha * np.exp(-step))

    torch.testing.assert_close(rate, (at(log_snr + h) - at(log_snr - h)) / (2 * h), **close)


def test_a_change_over_a_stretch_approaches_the_derivative():
    x, probe = normal(16, 2), normal(16, 2).sign()
    exactly, *near = (estimation.derivatives(LAW.denoiser(VP), VP, x, -0.3, probe, reach)[2]
                      for reach in (0, 0.1, 0.05))
    coarse, fine = ((value - exactly).norm() for value in near)
    # A central difference: half the reach leaves a quarter of the error.
    assert float(coarse / fine) == pytest.approx(4, rel=0.1)


def test_derivatives_pass_through_a_network_with_attention():
    """A U-Net in float32: forward derivatives beside central differences, along a probe and along the ODE."""
    denoise = from_v(small_network(), COSINE)
    x, probe, log_snr, h = normal(2, 3, 8, 8).float(), normal(2, 3, 8, 8, seed=1).float().sign(), 2.0, 1e-2
    t = COSINE.time_at(log_snr)
    with sdpa_kernel(SDPBackend.MATH):
        _, along, rate = estimation.derivatives(denoise, COSINE, x, log_snr, probe)
        _, _, change = estimation.derivatives(denoise, COSINE, x, log_snr, probe, reach=1e-3)
    differences = (denoise(x + h * probe, t) - denoise(x - h * probe, t)) / (2 * h)
    # Rounding of float32 is 1e-7 / h; the time embedding turns by up to .1 radians over the reach.
    assert float((along - differences).norm() / along.norm()) < 1e-3
    assert float((rate - change).norm() / rate.norm()) < 2e-2


def gaussian_statistics(cells):
    grid = torch.linspace(-4, 4, cells + 1, dtype=torch.float64)
    return estimation.estimate(GAUSSIAN.denoiser(VP), VP, GAUSSIAN.sample, grid=grid, count=16)


def test_statistics_of_a_gaussian_are_known():
    """x0 = mean + k (y - mean) with k = v / (v + e^-2u): l = 1 - k, the rest f = -l mean is the same for all data, and
    its slope is -l' mean, l' = -2 k l."""
    found = gaussian_statistics(80)
    rho = (-2 * found.log_snr).exp()
    l = (rho / (VARIANCE + rho))[:, None]  # noqa: E741
    torch.testing.assert_close(found.l, l.expand(-1, 2), rtol=0, atol=1e-10)
    slope = found.s * -l * MEAN + found.b
    # l' is taken by differences over .1: an error of .1^2 / 6 times the third derivative, at the ends twice that.
    torch.testing.assert_close(slope, 2 * l * (1 - l) * MEAN, rtol=0, atol=5e-3)


def test_with_its_statistics_a_gaussian_takes_one_step():
    """g is constant, so first order is exact but for the tables: their error falls with the square of the spacing."""
    times = torch.tensor([VP.time_at(-3.0), VP.time_at(3.0)], dtype=torch.float64)
    x = normal(16, 2)
    (start_alpha, start_sigma), (alpha, sigma) = VP(times[0].item()), VP(times[1].item())
    spread = ((alpha**2 * VARIANCE + sigma**2) / (start_alpha**2 * VARIANCE + start_sigma**2)) ** 0.5
    exactly = alpha * MEAN + spread * (x - start_alpha * MEAN)

    def error(name, **options):
        *_, last = solve(name, GAUSSIAN.denoiser(VP), x, times, VP, **options)
        return (last.x - exactly).abs().max().item()

    coarse, fine = (error("dpm_solver_v3", statistics=gaussian_statistics(cells)) for cells in (40, 80))
    assert fine < error("ddim") / 50
    assert coarse / fine == pytest.approx(4, rel=0.25)


def test_levels_share_their_random_numbers():
    """The same data, noise and probes at every level: a level's numbers do not depend on the others, and follow u as
    smoothly as the law does. Independent draws would jump by 1 / sqrt(count) instead."""
    grid = torch.linspace(-2, 2, 41, dtype=torch.float64)
    whole, part = (estimation.estimate(LAW.denoiser(VP), VP, LAW.sample, grid=g, count=32, seed=5)
                   for g in (grid, grid[::2]))
    torch.testing.assert_close(whole.l[::2], part.l, rtol=0, atol=1e-12)
    bends = whole.l.diff(n=2, dim=0).abs().max()
    assert float(bends) < 0.1**2 * 2  # the second derivative of a sigmoid-like l stays below 2
    other = estimation.estimate(LAW.denoiser(VP), VP, LAW.sample, grid=grid, count=32, seed=6)
    assert not other.l.allclose(whole.l, atol=1e-3)


def test_batches_do_not_matter():
    one, many = (estimation.estimate(LAW.denoiser(VP), VP, LAW.sample, grid=torch.linspace(-2, 2, 5), count=30,
                                     batch=batch) for batch in (30, 7))
    for name in "lsb":
        torch.testing.assert_close(getattr(one, name), getattr(many, name), rtol=1e-9, atol=1e-9)


def test_elements_that_never_change_stay_finite():
    """A dead pixel has no variance to divide by, and one datum has none at all."""
    for count in (1, 8):
        found = estimation.estimate(lambda x, t: x * 0 + 0.3, VP, lambda n, g: torch.full((n, 3), 0.3).double(),
                                    count=count, grid=estimation.levels(VP, 20))
        assert all(bool(table.isfinite().all()) for table in (found.l, found.s, found.b))
        assert float(found.s.abs().max()) <= RATE_LIMIT
        for step in solve("dpm_solver_v3", lambda x, t: x * 0 + 0.3, normal(2, 3), grids.make("log_snr", VP, 6), VP,
                          statistics=found):
            assert step.x.isfinite().all()
        torch.testing.assert_close(step.x, torch.full((2, 3), 0.3).double())


def test_a_model_that_gives_no_numbers_is_refused():
    with pytest.raises(InputError, match="not finite"):
        estimation.estimate(lambda x, t: x / 0, VP, LAW.sample, count=2)


@pytest.fixture
def small_model(tmp_path, monkeypatch):
    """The name of a shipped model with random weights."""
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    card = models.Card(name="small", title="small", architecture={"kind": "gaussian_unet", "options": SMALL},
                       schedule={"name": "cosine"}, prediction="v", resolution_px=8, classes=["a", "b"])
    models.save(small_network(), card, tmp_path / "small")
    return "small"


def test_statistics_are_stored_beside_the_model(small_model, tmp_path):
    assert estimation.stored(small_model) is None
    seen = []
    path = estimation.prepare(small_model, count=4, cells=4, on_progress=lambda done, of: seen.append((done, of)))
    assert path == tmp_path / small_model / FILE and seen == [(i, 5) for i in range(1, 6)]
    found = estimation.stored(small_model)
    assert found.shape == (3, 8, 8) and found.model_sha256 == models.card(small_model).sha256
    before = path.read_bytes()
    assert estimation.prepare(small_model, count=4, cells=4).read_bytes() == before
    models.save(networks.build("gaussian_unet", **SMALL), models.card(small_model), tmp_path / small_model)
    with pytest.raises(InputError, match="another model"):
        estimation.stored(small_model)


def test_pictures_of_a_folder_serve_as_data(small_model, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(np.full((20, 30, 3), 40 * i, np.uint8)).save(folder / f"{i}.png")
    drawn = estimation._pictures(folder, 8, 12, torch.Generator().manual_seed(0))
    greys = (drawn[:, 0, 0, 0] * 127.5 + 127.5).round().tolist()
    assert drawn.shape == (12, 3, 8, 8) and set(greys) <= {0, 40, 80, 120, 160}
    estimation.prepare(small_model, folder, count=2, cells=4)
    assert estimation.stored(small_model) is not None
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no training pictures"):
        estimation.prepare(small_model, tmp_path / "empty", count=2, cells=4)


def test_models_that_restore_are_refused(small_model, tmp_path):
    models.card(small_model).model_copy(update={"prediction": "resnoise"}).write(tmp_path / small_model)
    with pytest.raises(InputError, match="restores"):
        estimation.prepare(small_model)
