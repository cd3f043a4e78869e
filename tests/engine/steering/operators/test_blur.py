"""Blur: kernels, periodic borders, lost frequencies, and kernels that cannot be used."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.errors import InputError
from engine.steering.operators import Blur, GaussianBlur, MotionBlur
from tests.oracles import normal

LOPSIDED = torch.tensor([[0, 1, 4, 0, 0], [2, 9, 3, 1, 0], [0, 1, 2, 0, 5.0]])


@pytest.mark.parametrize("size", [(8, 12), (9, 7)])
def test_blur_is_a_convolution_whose_borders_wrap_around(size):
    x, kernel = normal(2, 1, *size), LOPSIDED.double() / LOPSIDED.sum()
    wrapped = F.pad(x, (2, 2, 1, 1), mode="circular")
    wanted = F.conv2d(wrapped, kernel.flip(0, 1)[None, None])
    assert torch.allclose(Blur(LOPSIDED, cutoff=0).H(x), wanted, atol=1e-12)


def test_blur_keeps_the_brightness_whatever_the_kernel_is_scaled_to():
    flat = torch.full((1, 3, 16, 16), 0.4)
    for operator in (Blur(255 * LOPSIDED), GaussianBlur(1.5), MotionBlur(7, 45)):
        assert torch.allclose(operator.H(flat), flat, atol=1e-6)


def test_a_gaussian_has_its_standard_deviation():
    point = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    point[..., 16, 16] = 1
    spread = GaussianBlur(2.0, cutoff=0).H(point)[0, 0]
    offsets = torch.arange(33) - 16.0
    assert (spread.sum(0) * offsets ** 2).sum() ** 0.5 == pytest.approx(2.0, rel=0.02)  # cutting at 3 loses 1.4 %


@pytest.mark.parametrize(("angle", "along", "across"), [(0, 1, 0), (90, 0, 1), (180, 1, 0)])
def test_motion_runs_along_its_angle(angle, along, across):
    kernel = MotionBlur(9, angle).kernel
    offsets = torch.arange(len(kernel)) - len(kernel) // 2
    columns, rows = kernel.sum(0) @ (offsets ** 2).double(), kernel.sum(1) @ (offsets ** 2).double()
    # A line of length 9 has the variance 9^2 / 12; sharing points among pixels adds up to 1 / 4.
    assert columns == pytest.approx(along * 6.75, abs=0.4) and rows == pytest.approx(across * 6.75, abs=0.4)


def test_motion_at_45_degrees_goes_up_to_the_right():
    kernel = MotionBlur(9, 45).kernel
    centre = len(kernel) // 2
    assert kernel[centre - 2, centre + 2] > 0.05 and kernel[centre + 2, centre + 2] < 1e-12


def test_lost_frequencies_bound_how_far_noise_is_raised():
    operator, noise = GaussianBlur(2.0, cutoff=0.1), normal(1, 1, 32, 32)
    assert operator.pinv(noise).norm() < noise.norm() / 0.1
    response = torch.fft.rfft2(operator.H(noise)).abs() / torch.fft.rfft2(noise).abs()
    assert ((response < 1e-9) | (response > 0.1 - 1e-9)).all() and (response < 1e-9).any()


@pytest.mark.parametrize(("kernel", "says"), [
    (torch.ones(4, 5), "odd"), (torch.ones(5), "rows and columns"), (torch.ones(0, 0), "rows and columns"),
    (torch.zeros(5, 5), "zero"), (torch.full((3, 3), math.nan), "not finite"),
    (torch.tensor([[1.0, math.inf, 1.0]]), "not finite"), (torch.tensor([[1.0, -2.0, 1.0]]), "positive"),
    (-torch.ones(3, 3), "positive"), (np.zeros((3, 3), np.uint8), "zero")])
def test_kernels_that_cannot_be_used_say_why(kernel, says):
    with pytest.raises(InputError, match=says) as error:
        Blur(kernel)
    assert error.value.field == "kernel" and error.value.fix


def test_a_kernel_larger_than_the_picture_is_refused():
    with pytest.raises(InputError, match="9 x 3 px") as error:
        Blur(torch.ones(3, 9)).check((1, 3, 8, 8))
    assert error.value.field == "kernel"


def test_an_uploaded_8_bit_kernel_is_the_same_as_its_float():
    kernel = np.uint8([[0, 10, 0], [30, 200, 10], [0, 5, 0]])
    assert torch.equal(Blur(kernel).kernel, Blur(torch.tensor(kernel) / 1.0).kernel)


@pytest.mark.parametrize("make", [lambda: GaussianBlur(0.0), lambda: GaussianBlur(math.nan), lambda: MotionBlur(-1.0),
                                  lambda: MotionBlur(5, math.inf)])
def test_blurs_of_no_width_are_refused(make):
    with pytest.raises(InputError):
        make()
