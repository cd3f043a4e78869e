import json
import threading
import time

import numpy as np
import pytest

from engine.errors import InputError
from engine.models import shelf
from engine.runtime.execution import Failed, Working
from engine.runtime.settings import limits
from engine.tasks.laboratory import axes, compare, runs
from engine.tasks.laboratory.compare import Axis, Cell, Comparison

from .test_problems import store

FEW = {"fixed": {}, "samples": 16}


def cells(comparison):
    events = list(compare.run(comparison))
    assert not [e for e in events if isinstance(e, Failed)], events
    return {e.index: e for e in events if isinstance(e, Cell)}


@pytest.mark.parametrize("chosen, fixed, samples, words", [
    ([("steps", (1,)), ("seed", (1,)), ("spacing", ("uniform",)), ("solver", ("ddim",))], {}, 0, "4 axes"),
    ([("steps", (1,)), ("steps", (2,))], {}, 0, "chosen twice"),
    ([("steps", (1,))], {"steps": 3}, 0, "chosen twice"),
    ([("steps", ())], {}, 0, "0 values"),
    ([("steps", (5, 5))], {}, 0, "equal"),
    ([("steps", tuple(range(1, 22))), ("seed", tuple(range(20)))], {}, 0, "420 cells.*limit is 400"),
    ([("stepz", (1,))], {}, 0, "no axis named 'stepz'"),
    ([("option:etaa", (1,))], {}, 0, "no axis named"),
    ([("solver", ("dimm",))], {}, 0, "Solver is 'dimm'.*ddim"),
    ([("solver", ("resfusion",))], {}, 0, "Solver is 'resfusion'"),
    ([("problem", ("nothing",))], {}, 0, "Problem or model is 'nothing'"),
    ([("steps", (2.5,))], {}, 0, "whole number from 1 to 1000"),
    ([("guidance", (float("nan"),))], {}, 0, "Guidance is 'nan'"),
    ([("steps", (True,))], {}, 0, "Steps is 'True'"),
    ([("option:eta", (3.0,))], {}, 0, "from 0 to 1"),
    ([("label", ("rose",))], {}, 0, "Class is 'rose'"),
    ([("steps", (5,))], {"guidance": 3.0}, 0, "no class is chosen"),
    ([("steps", (5,))], {}, 10**6, "samples is 1000000"),
])
def test_what_cannot_be_compared_is_refused_in_words(chosen, fixed, samples, words):
    with pytest.raises(InputError, match=words):
        Comparison(tuple(Axis(*pair) for pair in chosen), fixed, samples)


def test_every_axis_has_a_title_and_its_values_too():
    for name in (*axes.AXES, *axes.options()):
        assert axes.title(name)
        assert all(axes.value_title(name, value) for value in axes.choices(name))


def test_cells_share_their_noise_and_come_in_order():
    """DDIM and Euler are the same method and the first step of every solver is DDIM's: equal noise, equal ends."""
    found = cells(Comparison((Axis("solver", ("ddim", "euler", "dpmpp_2m")), Axis("steps", (1, 8))), **FEW))
    assert list(found) == [(i, j) for i in range(3) for j in range(2)]
    assert found[0, 1].error == pytest.approx(found[1, 1].error, rel=1e-9)
    assert found[0, 0].error == pytest.approx(found[2, 0].error, rel=1e-9)
    assert found[2, 1].error < found[0, 1].error
    for cell in found.values():
        assert cell.calls == cell.settings["steps"] and not cell.reason
        assert cell.picture.dtype == np.uint8 and cell.picture.ndim == 3


def test_the_cost_is_told_first_and_what_is_known_costs_nothing():
    wanted = Comparison((Axis("solver", ("ddim", "heun")), Axis("steps", (4, 8))), {"seed": 123}, 16)
    before = compare.plan(wanted)
    found = cells(wanted)
    assert before.cells == 4 and before.calls == sum(cell.calls for cell in found.values()) == 4 + 8 + 7 + 15
    assert before.reference_calls == 4 * runs.EXACT_STEPS and before.seconds > 0
    assert compare.plan(wanted).reference_calls == 0


def test_a_cell_that_fails_says_why_and_the_rest_goes_on():
    found = cells(Comparison((Axis("solver", ("usf", "spndm", "ddim")), Axis("spacing", ("log_snr", "uniform"))),
                             {"steps": 4}, 16))
    assert "no searched plan of 4 calls" in found[0, 1].reason or "does not take uniform" in found[0, 1].reason
    assert "does not take log_snr spacing" in found[1, 0].reason and found[1, 0].picture is None
    assert not found[1, 1].reason and not found[2, 0].reason


def test_a_solver_for_one_spacing_gets_it_unless_spacing_is_compared():
    found = cells(Comparison((Axis("solver", ("spndm",)),), {"spacing": "log_snr"}, 16))
    assert not found[0,].reason


def test_options_go_to_the_solvers_that_have_them():
    """Fixed, an option is left out where it is unknown; as an axis it is a reason. Noise leaves no error to tell."""
    fixed = cells(Comparison((Axis("solver", ("ddim", "dpmpp_2m")),), {"option:eta": 1, "steps": 5}, 16))
    assert fixed[0,].error is None and fixed[1,].error is not None
    varied = cells(Comparison((Axis("solver", ("ddim", "dpmpp_2m")), Axis("option:eta", (0, 0.5))), {"steps": 5}, 16))
    assert varied[0, 0].error is not None and varied[0, 1].error is None
    assert "no option 'eta'" in varied[1, 0].reason


def test_a_diverging_cell_ends_at_its_step(monkeypatch):
    wanted = Comparison((Axis("schedule", ("edm", "own")), Axis("seed", (3, 4))), {"steps": 6}, 16)
    known = Comparison((Axis("schedule", ("edm", "own")),), {"steps": 6, "seed": 3}, 16)
    assert not any(cell.reason for cell in cells(known).values())
    monkeypatch.setenv("DIFFUSCOPE_STATE_BOUND", "6")
    limits.cache_clear()
    try:
        found = cells(wanted)
    finally:
        monkeypatch.undo()
        limits.cache_clear()
    assert "DPM-Solver++ 2M diverged at step 1 of 6" in found[0, 0].reason and found[0, 0].calls == 1
    assert "The fine solution diverged" in found[0, 1].reason and found[0, 1].calls == 0
    assert not found[1, 0].reason and not found[1, 1].reason


def test_guidance_and_classes_on_the_mixture():
    """Weight 0 is no class at all: the same end, and its own fine solution is the same too."""
    found = cells(Comparison((Axis("guidance", (0.0, 1.0, 3.0)),), {"label": "left", "steps": 6}, 16))
    plain = cells(Comparison((Axis("label", ("", "left")),), {"steps": 6}, 16))
    assert found[0,].error == pytest.approx(plain[0,].error, rel=1e-9)
    assert found[1,].error == pytest.approx(plain[1,].error, rel=1e-9)
    assert found[2,].error != found[1,].error


def test_closing_ends_the_computation_within_a_step():
    wanted = Comparison((Axis("seed", tuple(range(50))),), {"steps": 1000, "solver": "ddim"}, 16)
    events = compare.run(wanted)
    for event in events:
        if isinstance(event, Working) and event.finished > 20:
            break
    events.close()
    end = time.monotonic() + 5
    while time.monotonic() < end and any(t.name == "run" for t in threading.enumerate()):
        time.sleep(0.02)
    assert not [t for t in threading.enumerate() if t.name == "run"]


def test_steps_are_counted_through_and_shown():
    events = list(compare.run(Comparison((Axis("seed", (7, 8)),), {"steps": 30}, 16)))
    shown = [e for e in events if isinstance(e, Working) and e.total]
    assert shown and shown[-1].finished == shown[-1].total
    assert [e.finished for e in shown] == sorted(e.finished for e in shown)


def test_the_sheet_holds_every_picture_and_its_labels():
    wanted = Comparison((Axis("seed", (0, 1)), Axis("solver", ("ddim", "spndm")), Axis("steps", (2, 3))),
                        {"spacing": "uniform"}, 16)
    found = cells(wanted)
    sheet = compare.contact_sheet(wanted, list(found.values()))
    assert sheet.dtype == np.uint8
    for cell in found.values():
        line = cell.picture[80].tobytes()
        assert any(line in row.tobytes() for row in sheet)
    part = compare.contact_sheet(wanted, list(found.values())[:1])
    assert part.shape[1] == sheet.shape[1]


def test_json_tells_all_and_gives_the_comparison_back():
    wanted = Comparison((Axis("solver", ("ddim", "usf")), Axis("option:eta", (0.0, 0.5))), {"steps": 4, "seed": 9}, 16)
    text = compare.to_json(wanted, list(cells(wanted).values()))
    told = json.loads(text)
    assert [cell["index"] for cell in told["cells"]] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert told["cells"][0]["error"] > 0 and told["cells"][1]["error"] is None and told["cells"][2]["reason"]
    assert compare.from_json(text) == wanted


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"version": 2}', "[" * 100_000,
                                  '{"version": 1, "task": "laboratory", "axes": [{"name": 5, "values": 3}]}'])
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises(InputError, match="no comparison"):
        compare.from_json(text)


def test_a_model_is_compared_like_a_law(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    monkeypatch.setattr(runs, "FINE_STEPS", 40)
    store(tmp_path, classes=("cat", "dog"))
    wanted = Comparison((Axis("solver", ("ddim", "dpmpp_2m")), Axis("steps", (3, 12))),
                        {"problem": "tiny", "label": "dog", "guidance": 2.0}, 2)
    assert compare.plan(wanted).reference_calls == 40
    found = cells(wanted)
    assert found[0, 1].error < found[0, 0].error and found[1, 1].error < found[0, 1].error
    assert all(cell.quality >= 0 for cell in found.values())
