from dataclasses import replace

import pytest
import torch

from engine import grids, schedules, solvers
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers.plans_named import named
from engine.solvers.statistics import Statistics
from engine.tasks.laboratory import resources
from engine.tasks.laboratory.compare import Axis, Comparison

SCHEDULE = schedules.vp_discrete("linear")


@pytest.fixture
def assets(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "ASSETS", tmp_path)
    (tmp_path / "plans").mkdir()
    return tmp_path


def plan(calls, solver="dpmpp_2m", **about):
    return replace(named(solver, grids.make("log_snr", SCHEDULE, calls), SCHEDULE), model="mixture", **about)


def test_the_best_plan_of_the_problem_with_so_many_calls_is_taken(assets):
    for i, found in enumerate((plan(5, score=0.2), plan(5, title="best", score=0.1), plan(5), plan(8),
                               plan(5, title="of other weights", model_sha256="a" * 64, score=0.0))):
        (assets / "plans" / f"{i}.json").write_text(found.write())
    assert resources.plan("mixture", 5).title == "best"
    assert resources.plan("mixture", 5, given=[plan(5, title="mine")]).title == "mine"
    with pytest.raises(InputError, match=r"There are plans of 5, 8 calls"):
        resources.plan("mixture", 6)
    with pytest.raises(InputError, match="There is none"):
        resources.plan("patches", 5)


def test_a_damaged_plan_is_named_as_such(assets):
    (assets / "plans" / "bad.json").write_text("{")
    with pytest.raises(InputError, match="plan"):
        resources.plan("mixture", 5)


def test_a_plan_of_a_solver_runs_as_that_solver(assets):
    """The times and the steps of DPM-Solver++ 2M as a plan: equal to 1e-10."""
    (assets / "plans" / "p.json").write_text(plan(6, "dpmpp_2m").write())
    wanted = Comparison((Axis("solver", ("usf", "dpmpp_2m")),), {"steps": 6})
    first, second = (wanted.prepare((i,)) for i in range(2))
    assert first.calls == second.calls == 6
    ends = [[*run.steps(Rng(0, 4))][-1].x for run in (first, second)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-10)


def test_statistics_are_read_from_beside_the_problem(assets):
    row = solvers.row("dpm_solver_v3")
    with pytest.raises(InputError, match=r"problems/mixture/statistics\.safetensors"):
        resources.resources(row, "mixture", 5)
    made = Statistics.constant(1, 0, 0, torch.linspace(-6, 6, 25, dtype=torch.float64))
    (assets / "problems" / "mixture").mkdir(parents=True)
    made.write(assets / "problems" / "mixture" / "statistics.safetensors")
    found = resources.resources(row, "mixture", 5)["statistics"]
    torch.testing.assert_close(found.l, made.l.float(), check_dtype=False)
    assert "statistics" in resources.resources(solvers.row("usf"), "mixture", 5, given=[plan(5)])
