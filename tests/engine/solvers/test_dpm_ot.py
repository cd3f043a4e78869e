"""DPM-OT as a solver: its jump, its steps, its edges, its file, and what it gains on the exact mixture."""

import math

import pytest
import torch

from engine import denoisers, exact, grids, schedules
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers import solve
from engine.solvers.transport import FILE, Transport, read, shifted
from engine.transport import prepare
from tests.oracles import normal

VP = schedules.vp_linear()
LAW = exact.toy()
LOG_SNR = -0.5
ALPHA, SIGMA = VP(VP.time_at(LOG_SNR))


def small(**changes) -> Transport:
    return Transport(**{"targets": normal(6, 2, seed=1), "heights": 0.1 * normal(6, seed=2), "alpha": ALPHA,
                        "sigma": SIGMA, "model_sha256": "c0ffee"} | changes)


def run(x, times, schedule=VP, transport=None, **options):
    return list(solve("dpm_ot", LAW.denoiser(schedule), x, times, schedule, transport=transport or small(), **options))


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_begin_at_the_targets_level(steps):
    denoise = denoisers.counted(LAW.denoiser(VP))
    times, x = grids.make("uniform", VP, steps), normal(4, 2)
    made = list(solve("dpm_ot", denoise, x, times, VP, transport=small()))
    assert [s.index for s in made] == list(range(1, steps + 1)) and made[-1].nfe == denoise.calls == steps
    assert made[-1].t == 0 and made[-1].sigma == 0 and made[-1].x.equal(made[-1].x0)
    level = VP.time_at(LOG_SNR)
    *_, plain = solve("ddim", LAW.denoiser(VP), small().carry(x / VP(1.0)[1]), shifted(times, level), VP)
    torch.testing.assert_close(made[-1].x, plain.x, rtol=0, atol=1e-12)


def test_the_spacing_is_kept():
    times = grids.make("log_snr", VP, 9)
    moved = shifted(times, 0.4)
    assert moved[0] == 0.4 and moved[-1] == 0
    torch.testing.assert_close(moved.diff() / 0.4, times.diff())


def test_other_schedules_use_the_same_targets():
    """Variance-exploding coordinates scale the states by 1/alpha on the way; the end is the same."""
    edm, x = schedules.edm(), normal(4, 2)
    ends = [run(scale * x, grids.make("log_snr", schedule, 400), schedule)[-1].x
            for schedule, scale in ((VP, VP(1.0)[1]), (edm, 80.0))]
    # Both follow one flow from one point; 400 first-order steps leave about a hundredth.
    torch.testing.assert_close(*ends, rtol=0, atol=0.03)


@pytest.mark.parametrize("options", [{}, {"eta": 1.0}, {"blend": True}])
def test_a_batch_is_its_samples(options):
    x, times = normal(3, 2), grids.make("uniform", VP, 3)
    both = run(x, times, rng=Rng(5, 3), **options)[-1].x
    for i in range(3):
        alone = run(x[i:i + 1], times, rng=Rng(5, 1, first=i), **options)[-1].x
        torch.testing.assert_close(alone, both[i:i + 1], rtol=0, atol=1e-13)


def test_the_angle_is_that_between_the_planes():
    transport = small(angles=(0.2, 1.2))
    landing = transport.locate(normal(50, 2, seed=4))
    normals = torch.cat([transport.targets, -torch.ones(6, 1)], 1)
    normals = normals / normals.norm(dim=1, keepdim=True)
    angle = (normals[landing.index] * normals[landing.second]).sum(1).acos()
    torch.testing.assert_close(landing.angle, (angle - 0.2) / 1.0)
    assert transport.singular(landing, 0.5).equal(angle > 0.7)


def test_the_distance_is_that_to_the_nearest_wall_between_two_cells():
    transport = Transport(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double(), torch.tensor([0.0, 0.6]).double(), 1.0, 1.0)
    x = normal(20, 2)
    # <x, y_0> + 0 = <x, y_1> + .6 at x_0 = .3.
    torch.testing.assert_close(transport.locate(x).wall, (x[:, 0] - 0.3).abs())


def test_blending():
    targets = torch.tensor([[1.0, 0.4], [-1.0, 0.4]]).double()
    transport = Transport(targets, torch.zeros(2).double(), ALPHA, SIGMA, (0.0, math.pi))
    at_the_wall, inside, fresh = torch.zeros(1, 2).double(), torch.tensor([[9.0, 0.0]]).double(), normal(1, 2)
    # Half of either: the variance of the noise halves, and the fresh noise brings it back.
    torch.testing.assert_close(transport.blend(at_the_wall, fresh, 1.0),
                               targets.mean(0, keepdim=True) + SIGMA * math.sqrt(0.5) * fresh)
    torch.testing.assert_close(transport.blend(inside, fresh, 1.0), targets[:1])
    assert transport.blend(at_the_wall, fresh, 0.0).equal(transport.carry(at_the_wall))


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'|, 0 for equal laws."""
    return (2 * torch.cdist(a, b).mean() - torch.pdist(a).mean() - torch.pdist(b).mean()).item()


def test_few_steps_come_nearer_to_the_law_than_ddim():
    """The jump skips the noisy part, where a few long steps of DDIM lose most."""
    transport, _ = prepare(LAW.denoiser(VP), VP, (2,), count=400, log_snr=LOG_SNR, iterations=300)
    x, times = normal(2000, 2, seed=11), grids.make("uniform", VP, 4)
    truth = LAW.sample(2000, torch.Generator().manual_seed(12))
    *_, plain = solve("ddim", LAW.denoiser(VP), x, times, VP)
    ours = run(x, times, transport=transport)[-1]
    assert energy_distance(ours.x, truth) < energy_distance(plain.x, truth) / 2


def test_the_file_keeps_everything(tmp_path):
    transport = small(angles=(0.1, 1.0), source="data")
    kept = read(transport.write(tmp_path / FILE), "c0ffee")
    torch.testing.assert_close(kept.targets.double(), transport.targets, rtol=2**-11, atol=0)
    torch.testing.assert_close(kept.heights.double(), transport.heights, rtol=2**-24, atol=0)
    assert (kept.alpha, kept.sigma, kept.angles, kept.model_sha256, kept.source) == (
        ALPHA, SIGMA, (0.1, 1.0), "c0ffee", "data")
    assert read(kept.write(tmp_path / FILE)).targets.equal(kept.targets)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = small().write(tmp_path / FILE)
    whole = path.read_bytes()
    with pytest.raises(InputError, match="another model"):
        read(path, "beef")
    for data in (b"", whole[:-4], whole.replace(b"level", b"lavel"), whole.replace(b'"format":"1"', b'"format":"2"'),
                 whole.replace(b"heights", b"weights")):
        assert data != whole
        path.write_bytes(data)
        with pytest.raises(InputError):
            read(path)
    with pytest.raises(InputError):
        read(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("changes", [
    {"heights": torch.zeros(5)}, {"targets": torch.zeros(1, 2), "heights": torch.zeros(1)}, {"sigma": 0.0},
    {"alpha": math.nan}, {"heights": torch.full((6,), math.inf)}, {"angles": (1.0, 0.5)}])
def test_impossible_transports_are_refused(changes):
    with pytest.raises(InputError) as raised:
        small(**changes)
    assert raised.value.field == "transport"


@pytest.mark.parametrize(("changes", "field"), [
    ({"x": normal(4, 3)}, "transport"), ({"start": 0.2}, "transport"), ({"end": 0.9}, "transport"),
    ({"blend": True}, "rng"), ({"eta": 1.0}, "rng"), ({"eta": 2.0}, "eta"), ({"transport": None}, "solver")])
def test_runs_that_cannot_be_are_refused(changes, field):
    transport = changes.pop("transport", small())
    times = grids.make("uniform", VP, 3, start=changes.pop("start", 1.0), end=changes.pop("end", 0.0))
    with pytest.raises(InputError) as raised:
        list(solve("dpm_ot", LAW.denoiser(VP), changes.pop("x", normal(4, 2)), times, VP, transport=transport,
                   **changes))
    assert raised.value.field == field
