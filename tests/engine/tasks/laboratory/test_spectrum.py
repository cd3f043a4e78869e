"""What each step recovers, on pictures whose exact denoiser is Wiener's filter itself."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from engine import schedules
from engine.errors import InputError
from engine.tasks.laboratory import problems, spectrum
from engine.tasks.laboratory.problems import Problem
from engine.tasks.laboratory.spectrum import Recovery, Spectra

SIDE = 24


@dataclass(frozen=True, eq=False)
class _Textures(Problem):
    """Periodic Gaussian textures with one power per frequency."""

    def _plain(self, schedule):
        law = self.schedule(schedule)

        def denoise(x, t, **condition):
            alpha, sigma = law(float(torch.as_tensor(t).flatten()[0]))
            gain = alpha * _power() / (alpha**2 * _power() + sigma**2)
            return torch.fft.ifft2(gain * torch.fft.fft2(x)).real

        return denoise

    def show(self, x):
        return np.zeros((4, 4, 3), np.uint8)


def _power():
    radius = torch.hypot(torch.fft.fftfreq(SIDE)[:, None], torch.fft.fftfreq(SIDE)).double()
    return 2 / (1 + (radius / 0.12) ** 2)


@pytest.fixture
def textures(monkeypatch):
    made = _Textures("textures", "Textures", "", (3, SIDE, SIDE), torch.float64, schedules.cosine(), ("one",), False,
                     (4, 64), "", "", "")
    monkeypatch.setattr(problems, "load", lambda name: made)
    monkeypatch.setattr(spectrum, "names", lambda: ("textures",))
    monkeypatch.setattr(spectrum, "references", lambda problem: ("run",))
    monkeypatch.setattr(spectrum, "_law", lambda problem: None)


def _found(recovery):
    found, = (item for item in spectrum.run(recovery) if isinstance(item, Spectra))
    return found


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m", "heun"])
def test_the_exact_denoiser_of_textures_lies_on_wieners_curve(textures, solver):
    """Also where a solver calls the denoiser at other times than those of its steps."""
    found = _found(Recovery("textures", fixed={"solver": solver, "steps": 40}, samples=64))
    assert len(found.estimates) == 41 and found.estimates[-1].sigma == 0
    np.testing.assert_array_equal(found.measured(found.estimates[-1]), found.clean)
    for estimate in found.estimates[:-1]:
        own, linear = found.measured(estimate), found.linear(estimate)
        # The window mixes neighbouring frequencies, over which the power changes by up to a third; the first ring has
        # lost its mean. 64 x 3 channels leave 3 % of chance, the solver's own error up to 5 %.
        np.testing.assert_allclose(own[1:] / found.clean[1:], linear[1:] / found.clean[1:], atol=0.05, rtol=0.1)
    sigmas = [estimate.sigma for estimate in found.estimates]
    assert sigmas == sorted(sigmas, reverse=True)


def test_the_clean_power_is_that_of_the_textures(textures):
    found = _found(Recovery("textures", fixed={"solver": "dpmpp_2m", "steps": 40}, samples=64))
    # Averaged over its ring, and over neighbours by the window: smooth by 10 %.
    expected = 2 / (1 + (found.frequency / 0.12) ** 2)
    np.testing.assert_allclose(found.clean[1:], expected[1:], rtol=0.15)
    reached = [found.reached(estimate) for estimate in found.estimates]
    assert reached[0] == (None, None) and reached[-1] == (0.5, 0.5)
    fronts = [linear for _, linear in reached if linear is not None]
    assert fronts == sorted(fronts)


@pytest.mark.parametrize(("change", "field"), [
    ({"problem": "mixture"}, "problem"), ({"reference": "law"}, "reference"), ({"fixed": {"steps": 101}}, "steps"),
    ({"fixed": {"steps": 0}}, "steps"), ({"fixed": {"solver": "nothing"}}, "solver"), ({"samples": 65}, "samples"),
    ({"fixed": {"label": "two"}}, "label"), ({"fixed": {"guidance": 3.0}}, "guidance"),
    ({"fixed": {"seed": -1}}, "seed")])
def test_what_cannot_be_run_is_refused(textures, change, field):
    with pytest.raises(InputError) as caught:
        Recovery(**{"problem": "textures", **change})
    assert caught.value.field == field


@pytest.mark.skipif("flowers" not in spectrum.names(), reason="these weights are not installed")
def test_a_shipped_model_knows_the_spectrum_of_its_training_pictures():
    assert spectrum.references("flowers") == ("run", "law")
    found = _found(Recovery("flowers", "law", {"steps": 2, "label": "rose", "guidance": 2.0}, samples=1))
    assert found.clean.shape == found.frequency.shape == (16,) and (np.diff(found.clean) < 0).all()
    assert len(found.estimates) == 3 and found.estimates[0].x0.dtype == np.uint8
