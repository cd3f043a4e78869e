"""The functions and weights that all log-SNR solvers are made of."""

import math
from fractions import Fraction

import pytest

from engine.solvers.exponential import fit, moments, node, orders, psi


def exact_psi(z: float, k: int) -> float:
    """psi_k(z) = sum over j >= 1 of z^j / (j + k - 1)!, in rational arithmetic."""
    value, power = Fraction(0), Fraction(1)
    for j in range(1, 200):
        power *= Fraction(z)
        value += power / math.factorial(j + k - 1)
    return float(value)


@pytest.mark.parametrize("z", [1e-12, -1e-9, 1e-5, -3e-3, 0.04, -0.3, 0.999, 1.0, -1.001, 4.0, -12.0, 12.0])
def test_psi_keeps_its_digits_at_every_size(z):
    # At |z| just above 1 the recursion loses up to two digits of sixteen at the highest order.
    assert psi(z, 4) == pytest.approx([exact_psi(z, k) for k in (1, 2, 3, 4)], rel=1e-13)


@pytest.mark.parametrize("z", [-2.5, -0.1, 0.7])
@pytest.mark.parametrize("offsets", [[-1.3], [1.0], [-0.8, -2.1], [-1.1, -1.9, 1.0]])
def test_fit_integrates_polynomials_exactly(offsets, z):
    """sum_j w_j p(offset_j) equals the exact integral of the exponential against p, for each power."""
    weights = fit(offsets, moments(z, len(offsets)))
    for power in range(1, len(offsets) + 1):
        # z * integral over [0, 1] of exp(z (1 - u)) u^power du, by Gauss-free composite Simpson with 2000 intervals.
        grid = [i / 2000 for i in range(2001)]
        values = [z * math.exp(z * (1 - u)) * u**power for u in grid]
        integral = (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])) / 6000
        assert sum(w * r**power for w, r in zip(weights, offsets, strict=True)) == pytest.approx(integral, abs=1e-11)


def test_orders_grow_ease_and_stop_at_infinite_levels():
    assert node(1.0, 1e-16, 1.0).log_snr == -math.inf, "a rounded zero is no signal"
    middle = [node(t, math.sqrt(1 - t * t), t) for t in (0.9, 0.7, 0.5, 0.3, 0.1)]
    blank, clean = node(1.0, 0.0, 1.0), node(0.0, 1.0, 0.0)
    assert orders(middle, 3, ease_last=False) == [1, 2, 3, 3]
    assert orders(middle, 3, ease_last=True) == [1, 2, 2, 1]
    assert orders([*middle, clean], 3, ease_last=False) == [1, 2, 3, 3, 1]
    assert orders([blank, *middle, clean], 2, ease_last=False) == [1, 1, 2, 2, 2, 1]
    assert orders([blank, clean], 3, ease_last=True) == [1]
