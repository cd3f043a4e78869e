"""The search and the refinement on the two-dimensional mixture: better plans, on noise that neither has seen."""

import json
import math

import pytest

from engine import exact, grids, schedules
from engine.errors import InputError
from engine.search import of_mixture, refine, search, together
from engine.search.refine import METHODS
from engine.solvers.plan import Plan
from engine.solvers.plans_named import named

SCHEDULE = schedules.vp_linear()
CALLS = 5


@pytest.fixture(scope="module")
def toy():
    return of_mixture(exact.toy(), SCHEDULE, steps=100)


def best_known(problem) -> float:
    """Error of the best of three known solvers over three spacings, on noise of its own."""
    return min(problem.error(named(name, grids.make(spacing, SCHEDULE, CALLS), SCHEDULE), 7, 64)
               for name in ("dpmpp_2m", "dpmpp_3m", "unipc_3") for spacing in ("log_snr", "karras", "uniform"))


@pytest.fixture(scope="module")
def start() -> Plan:
    return named("dpmpp_2m", grids.make("log_snr", SCHEDULE, CALLS), SCHEDULE)


def test_a_small_search_beats_the_known_solvers(toy):
    found = search(toy, CALLS, evaluations=40, samples=16)
    assert found.calls == CALLS
    assert toy.error(found, 7, 64) < best_known(toy)
    assert Plan.read(found.write()) == found


def test_a_stopped_search_goes_on_from_its_file_to_the_same_plan(toy, tmp_path):
    def state(name):
        return {"evaluations": 20, "samples": 4, "resume_from": tmp_path / name}

    class Stop(Exception):
        pass

    def stop(progress):
        if progress.stage.startswith("stage 2"):
            raise Stop

    whole = search(toy, 3, **state("whole.json"))
    with pytest.raises(Stop):
        search(toy, 3, **state("parts.json"), on_progress=stop)
    before = len(json.loads((tmp_path / "parts.json").read_text())["errors"])
    assert search(toy, 3, **state("parts.json")) == whole
    assert before < len(json.loads((tmp_path / "parts.json").read_text())["errors"])


def test_the_file_of_another_search_is_refused(toy, tmp_path):
    path = tmp_path / "state.json"
    search(toy, 3, evaluations=10, samples=2, minutes=0, resume_from=path)
    with pytest.raises(InputError, match="for calls '3'"):
        search(toy, 4, evaluations=10, samples=2, resume_from=path)
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="not readable"):
        search(toy, 3, evaluations=10, samples=2, resume_from=path)


def test_progress_is_told_and_time_is_kept(toy):
    told = []
    found = search(toy, 3, evaluations=200, samples=2, minutes=0, on_progress=told.append)
    assert [(p.stage, p.done) for p in told] == [("seeds", 1)]
    assert math.isfinite(found.score)


@pytest.mark.parametrize(("method", "steps", "gain"), [(METHODS[0], 8, 10), (METHODS[1], 60, 2)])
def test_refinement_divides_the_error_on_unseen_noise(toy, start, method, steps, gain):
    refined = refine(start, toy, steps, samples=96, batch=96, method=method)
    assert toy.error(refined, 7, 64) < toy.error(start, 7, 64) / gain
    assert refined.calls == CALLS


def test_a_plan_refined_on_pairs_of_components_serves_all_three(toy, start):
    pairs = [of_mixture(exact.toy().part(pair), SCHEDULE, steps=100) for pair in ([0, 1], [0, 2], [1, 2])]
    refined = refine(start, together(*pairs), 8, samples=96, batch=96)
    assert toy.error(refined, 7, 64) < best_known(toy) / 2


def test_no_steps_that_help_leave_the_best_plan(toy, start):
    refined = refine(start, toy, 6, samples=48, batch=48)
    again = refine(refined, toy, 1, samples=48, batch=48)
    assert again.score <= refined.score * (1 + 1e-6)  # unrolling and rolling up round


@pytest.mark.parametrize("setting", [{"method": "newton"}, {"steps": 0}, {"samples": 0}, {"batch": -1}])
def test_unusable_settings_of_the_refinement_are_refused(toy, start, setting):
    with pytest.raises(InputError):
        refine(start, toy, **{"steps": 1, **setting})


@pytest.mark.parametrize("setting", [{"evaluations": 3}, {"samples": 0}, {"calls": 1}])
def test_unusable_settings_of_the_search_are_refused(toy, setting):
    with pytest.raises(InputError):
        search(toy, **{"calls": 4, **setting})
