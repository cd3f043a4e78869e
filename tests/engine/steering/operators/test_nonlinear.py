"""Measurements that are not linear: definitions, derivatives, and JPEG against the reference implementation."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import InputError
from engine.steering.operators import HDR, JPEG, PhaseRetrieval
from tests.oracles import normal


def smooth(size=64):
    """A picture (1, 3, size, size) within [-0.8, 0.8] whose colours change slowly and whose brightness does not."""
    rows, columns = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    colours = [0.5 * torch.sin(rows / 19 + k) * torch.cos(columns / (16 + 4 * k)) for k in range(3)]
    return torch.stack(colours)[None] + 0.2 * torch.sin(rows * columns / 90)


def stored(picture, quality):
    """What Pillow's encoder and decoder make of it, colour at half the resolution."""
    pixels = ((picture[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return torch.tensor(np.asarray(Image.open(buffer))).double().permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize("quality", [5, 20, 50, 90])
def test_jpeg_loses_what_the_reference_implementation_loses(quality):
    picture = smooth()
    ours, theirs = JPEG(quality).H(picture), stored(picture, quality)
    # Pillow also rounds to 8 bits at each stage and smooths the colours that it enlarges.
    assert (ours - theirs).abs().mean() < 0.3 * (picture - theirs).abs().mean() + 1 / 127.5
    lost = [float((stored - picture).square().mean()) for stored in (ours, theirs)]
    assert lost[0] == pytest.approx(lost[1], rel=0.15, abs=(1 / 127.5) ** 2)


def test_grey_jpeg_agrees_with_the_reference_to_its_rounding():
    grey = smooth().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    gap = (JPEG(30).H(grey) - stored(grey, 30)).abs() * 127.5
    assert gap.mean() < 0.7 and gap.quantile(0.95) < 2  # levels of 255


@pytest.mark.parametrize("quality", [1, 10, 50, 100])
def test_storing_a_stored_picture_changes_nothing(quality):
    operator = JPEG(quality)
    once = operator.H(0.5 * smooth())  # faint enough for no colour to be cut off
    assert torch.allclose(operator.H(operator.pinv(once)), once, atol=1e-9)


def test_better_quality_loses_less():
    errors = [(JPEG(quality).H(smooth()) - smooth()).square().mean() for quality in (5, 20, 50, 80)]
    assert errors == sorted(errors, reverse=True)


def test_the_gradient_of_jpeg_passes_through_the_rounding():
    x = (0.1 * normal(1, 3, 16, 16)).requires_grad_()
    (gradient,) = torch.autograd.grad(JPEG(10).H(x).sum(), x)
    # The sum of a picture depends on its block averages alone, which a file keeps up to rounding.
    assert torch.allclose(gradient, torch.ones_like(x), atol=1e-6)


def test_phase_retrieval_keeps_the_energy_and_forgets_where_things_are():
    operator, x = PhaseRetrieval(), normal(1, 3, 8, 12)
    seen = operator.H(x)
    assert seen.shape == (1, 3, 16, 24)
    assert torch.allclose(seen.square().sum(), x.square().sum())
    assert torch.allclose(operator.H(x.flip(-1, -2)), seen) and torch.allclose(operator.H(-x), seen)
    assert not torch.allclose(operator.H(x.flip(-1)), seen)


@pytest.mark.parametrize("operator", [PhaseRetrieval(), PhaseRetrieval(1.5), HDR()])
def test_derivatives_agree_with_differences(operator):
    assert torch.autograd.gradcheck(operator.H, (0.3 * normal(1, 1, 4, 4)).requires_grad_())
    assert operator.differentiable and not operator.linear


def test_hdr_cuts_off_the_bright_and_the_dark():
    x = torch.tensor([-0.8, -0.5, 0.1, 0.4, 0.9])
    seen = HDR().H(x)
    assert torch.allclose(seen, torch.tensor([-1.0, -1.0, 0.2, 0.8, 1.0]))
    assert torch.equal(HDR().H(HDR().pinv(seen)), seen)


@pytest.mark.parametrize(("make", "field"), [
    (lambda: JPEG(0), "quality"), (lambda: JPEG(101), "quality"), (lambda: JPEG(49.5), "quality"),
    (lambda: JPEG(True), "quality"), (lambda: PhaseRetrieval(0.5), "oversample"),
    (lambda: PhaseRetrieval(math.nan), "oversample")])
def test_settings_that_cannot_be_used_name_their_field(make, field):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.field == field


@pytest.mark.parametrize("shape", [(1, 3, 24, 32), (1, 1, 16, 16)])
def test_jpeg_refuses_pictures_that_it_cannot_store(shape):
    with pytest.raises(InputError):
        JPEG(50).check(shape)
