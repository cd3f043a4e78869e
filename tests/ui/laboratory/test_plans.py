"""Plans that a person gives: what is taken, what is refused and why, and the stored ones."""

import json
from dataclasses import replace

import pytest

from engine import grids, schedules
from engine.errors import InputError
from engine.solvers.plan import TEXT_BYTES
from engine.solvers.plans_named import named
from engine.tasks.laboratory import resources
from ui.laboratory import compare, curves, plans

SCHEDULE = schedules.vp_discrete("linear")


def plan(calls=5, **about):
    made = named("dpmpp_2m", grids.make("log_snr", SCHEDULE, calls), SCHEDULE)
    return replace(made, model="mixture", **about)


def _changed(**change):
    return json.dumps(json.loads(plan().write()) | change)


def _falling():
    levels = json.loads(plan().write())["log_snr"]
    return _changed(log_snr=[levels[0], levels[0] - 1, *levels[2:]])


@pytest.fixture
def put(tmp_path):
    def written(text, name="a.json"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


@pytest.mark.parametrize(("text", "words"), [
    (_falling(), r"log-SNR goes from .* It must rise"), (_changed(version=2), "version is 2"),
    ("no JSON at all", "not readable"), (b"\xff\xfe\x00", "not readable"), ("", "not readable"),
    ("[1, 2]", "no plan"), (_changed(steps=[]), "0 steps"), (_changed(surprise=1), "unknown setting"),
    ("[" * 100_000, "not readable"), (b"1" * (TEXT_BYTES + 1), f"The limit is {TEXT_BYTES}")])
def test_what_is_no_plan_is_refused_at_the_upload(put, text, words):
    with pytest.raises(InputError, match=words) as caught:
        plans.read(put(text))
    assert caught.value.field == "plan"


def test_a_file_that_is_gone_is_asked_for_again(tmp_path):
    with pytest.raises(InputError, match="no longer here") as caught:
        plans.read(str(tmp_path / "gone.json"))
    assert caught.value.field == "plan" and str(tmp_path) not in str(caught.value)


def test_good_files_stay_and_the_first_bad_one_is_told(put):
    good, bad = put(plan(5).write()), put("x", "b.json")
    assert plans.sorted_out([bad, good])[0] == [good] and "not readable" in str(plans.sorted_out([bad, good])[1])
    assert plans.sorted_out([good]) == ([good], None) and plans.sorted_out(None) == ([], None)
    many, trouble = plans.sorted_out([good] * (plans.MOST_FILES + 1))
    assert len(many) == plans.MOST_FILES and "The limit is" in str(trouble)


def test_the_text_inside_a_plan_is_not_shown(put):
    told = plans.told([put(plan(7, title="<script>", score=0.25).write())])
    assert told == "<ul><li>Plan 1: 7 calls, error 0.25</li></ul>" and plans.told([]) == ""


def test_a_comparison_and_curves_run_the_plan(put, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "ASSETS", tmp_path)
    files = [put(plan(7).write())]
    values = compare.defaults() | {"down_values": ["usf"], "across_values": ["7"]}
    assert compare.cost(values, files).startswith("<p>1 run, 7 network calls")
    assert compare.cost(values).startswith("<p>1 run, 0 network calls")
    wanted = curves.measurement(curves.defaults() | {"solvers": ["usf"], "calls": ["7"]}, plans.read_all(files))
    assert wanted.prepare("usf", 7).calls == 7
    assert "It must rise" in compare.cost(values, [put(_falling(), "b.json")])


def test_stored_plans_are_listed_by_problem_and_calls(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "ASSETS", tmp_path)
    (tmp_path / "plans").mkdir()
    for i, found in enumerate((plan(8), plan(5, score=0.2), plan(5), replace(plan(5), model="gone"))):
        (tmp_path / "plans" / f"{i}.json").write_text(found.write())
    found = plans.stored()
    assert list(found) == ["mixture_05.json", "mixture_05_more.json", "mixture_08.json"]
    assert found["mixture_05.json"][0] == "Mixture in the plane: 5 calls, error 0.2"
    (tmp_path / "plans" / "bad.json").write_text("{")
    assert plans.stored() == {}
