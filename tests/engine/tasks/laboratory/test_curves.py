import pytest

from engine import solvers
from engine.errors import InputError
from engine.tasks.laboratory import curves
from engine.tasks.laboratory.curves import Curves, Point


def points(wanted):
    return [event for event in curves.run(wanted) if isinstance(event, Point)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_a_power_law_is_its_power(order):
    made = [Point("ddim", n, n, n, 3.0 * n**-order) for n in (5, 10, 20, 40)]
    found, = curves.orders(made)
    assert found.measured == pytest.approx(order) and found.points == 3 and found.claimed == 1


def test_rounding_and_failures_do_not_count():
    made = [Point("ddim", n, n, n, e) for n, e in ((10, 1e-2), (20, 5e-3), (40, None), (80, 1e-15))]
    found, = curves.orders(made)
    assert found.measured == pytest.approx(1) and found.points == 2
    assert curves.orders(made[:1])[0].measured is None


def test_measured_orders_are_the_claimed_ones():
    """To t_min, where no last step of first order hides them; tolerances as in the order table of the solvers."""
    found = points(Curves("mixture", ("ddim", "dpmpp_2m", "dpm_solver_3s"), (40, 80, 160), samples=64))
    for order, tolerance in zip(curves.orders(found), (0.1, 0.15, 0.2)):
        assert order.measured == pytest.approx(order.claimed, abs=tolerance)


def test_budgets_are_kept():
    names = ("heun", "fpndm", "dpm_solver_3s", "dpm_solver_fast")
    for point in points(Curves("mixture", names, (11, 20), samples=16)):
        # One step more takes at most four calls.
        assert point.budget - 4 < point.calls <= point.budget and not point.reason


def test_too_few_calls_and_missing_plans_are_reasons():
    found = points(Curves("mixture", ("usf", "ddim"), (7,), samples=16))
    assert "plan" in found[0].reason and found[1].error > 0
    with pytest.raises(InputError, match="cannot run with 0 calls"):
        curves.most_steps(solvers.row("ddim"), 0)


@pytest.mark.parametrize("change, words", [
    ({"problem": "nothing"}, "nothing"), ({"solvers": ()}, "0 were chosen"),
    ({"solvers": ("ddim", "ddim")}, "each once"), ({"calls": tuple(range(1, 15))}, "1 to 12"),
    ({"calls": (0,)}, "from 1 to 400"), ({"calls": (2.5,)}, "whole number"),
    ({"solvers": ("dimm",)}, "dimm"), ({"fixed": {"spacing": "none"}}, "Spacing"),
    ({"fixed": {"guidance": 2.0}}, "no class is chosen"), ({"samples": -1}, "samples is -1"),
])
def test_what_cannot_be_measured_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        Curves(**{"problem": "mixture", "solvers": ("ddim",), "calls": (5,), **change})
