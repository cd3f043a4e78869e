"""The view of inverse problems: values, menus, what a browser kept, what the page draws; particles in the live view."""

import math

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.steering import particles
from engine.steering.particles import ParticleStep
from engine.step import Step
from engine.tasks.laboratory.inverse import contest
from engine.tasks.laboratory.inverse.compare import Cell, Scene
from engine.tasks.laboratory.inverse.report import FIGURES
from ui import viewer
from ui.laboratory import inverse

PIXELS = np.zeros((8, 8, 3), np.uint8)


def test_defaults_and_presets_can_run():
    for values in inverse.PRESETS.values():
        asked = inverse.wanted(inverse.preset(values))
        assert all(entry.able for entry in contest.lineup(asked))
    assert inverse.wanted(inverse.defaults()).picture is None
    assert inverse.preset(inverse.PRESETS["Blur with noise"])["noise"] == 0.04


@pytest.mark.parametrize(("changes", "field"), [
    ({"methods": []}, "methods"), ({"methods": None}, "methods"), ({"steps": None}, "steps"), ({"seed": None}, "seed"),
    ({"noise": 3.0}, "noise"), ({"source": "thin air"}, "source"), ({"measurement": "x"}, "measurement")])
def test_bad_values_are_refused_at_their_control(changes, field):
    with pytest.raises(InputError) as caught:
        inverse.wanted(inverse.defaults() | changes)
    assert caught.value.field == field
    assert str(caught.value) in inverse.cost(inverse.defaults() | changes)


def test_guidance_needs_a_class():
    values = inverse.defaults() | {"label": "", "guidance": 5.0}
    assert inverse.wanted(values).guidance == 1.0
    assert inverse.wanted(values | {"label": "rose"}).guidance == 5.0


def test_another_measurement_brings_its_noise_and_its_classical_method():
    values = inverse.defaults() | {"measurement": "blur"}
    assert inverse.adapted(values)["methods"][-1] == "classical:Wiener" and inverse.adapted(values)["noise"] == 0.04
    assert inverse.adapted(values | {"methods": ["ddnm"]})["methods"] == ["ddnm"]
    phase = inverse.adapted(values | {"measurement": "phase"})
    assert not [name for name in phase["methods"] if name.startswith("classical:")]


def test_the_menu_says_who_cannot_serve():
    titles = {name: title for title, name in inverse.menu(inverse.defaults() | {"measurement": "phase", "noise": 0.1})}
    assert titles["ddnm"] == "DDNM (not for this measurement)" and titles["dps"] == "DPS"
    small = [name for _, name in inverse.menu(inverse.defaults())]
    assert "classical:bicubic" in small and "classical:Wiener" not in small


def test_what_a_browser_kept_runs_or_is_dropped():
    kept = inverse.defaults() | {"samples": 6, "source": inverse.GIVEN, "unknown": 3}
    assert inverse.cleaned(kept) == inverse.defaults() | {"samples": 6}
    for stored in (None, 5, kept | {"samples": 900}, kept | {"methods": [3]}, kept | {"label": "oak"}):
        assert inverse.cleaned(stored) == inverse.defaults()


def test_rows_and_cells_fit_together():
    values = inverse.defaults() | {"methods": ["ddnm", "dps", "classical:bicubic"], "samples": 2}
    asked = inverse.wanted(values)
    table = inverse.layout(asked, contest.lineup(asked))
    assert table["rows"] == ["The problem", "DDNM, 20 steps", "DPS, 20 steps", "Bicubic"]
    several = ["Mean", "Sample 1", "Sample 2", "Spread"]
    assert table["columns"] == [["Truth", "What was measured"], several, several, ["Result"]]
    assert inverse.layout(inverse.wanted(values | {"samples": 1}), contest.lineup(asked))["columns"][1] == ["Result"]
    scene = inverse.drawn_scene(Scene(PIXELS, PIXELS), asked)
    assert [cell["index"] for cell in scene] == [[0, 0, 0], [0, 0, 1]] and scene[1]["words"][-1] == "no noise"

    figures = {"psnr_db": 20.0, "ssim": 0.5, "psnr_mean_db": 21.26, "ssim_mean": 0.6, "spread": 0.1,
               "coverage": math.nan}
    cell = Cell(0, "ddnm", "DDNM", 20, 20, 1.3, {name: PIXELS for name in several}, figures)
    drawn = inverse.drawn(cell)
    assert [entry["index"] for entry in drawn] == [[0, 1, column] for column in range(4)]
    assert drawn[0]["words"] == ["PSNR 21.3 dB", "SSIM 0.60", "20 calls, 1.3 s"]
    assert drawn[1]["words"] == ["PSNR 20.0 dB", "SSIM 0.50"] and not drawn[2]["words"]
    assert drawn[3]["words"] == ["mean 0.10"]
    failed, = inverse.drawn(Cell(1, "dps", "DPS", 20, 0, 0.0, reason="It diverged."))
    assert failed["wide"] and failed["reason"] == "It diverged." and failed["index"] == [0, 2, 0]


def test_the_table_has_a_row_for_every_method_from_the_start():
    asked = inverse.wanted(inverse.defaults() | {"methods": ["ddnm", "ddrm", "dps"]})
    entries = contest.lineup(asked)
    cells = [Cell(0, "ddnm", "DDNM", 20, 20, 1.3, {}, {"psnr_db": 20.0, "coverage": 0.8}, ("Few count.",)),
             Cell(1, "ddrm", "DDRM", 20, 20, 1.3, {}, {"psnr_db": 22.0, "coverage": 0.9})]
    table = inverse.scores("run", asked, entries, cells)
    assert [row["name"] for row in table["rows"]] == ["DDNM", "DDRM", "DPS"]
    assert len(table["rows"][0]["values"]) == len(table["columns"]) == len(FIGURES) + 2
    assert not table["rows"][2]["values"]
    place = list(FIGURES).index("coverage")
    assert table["rows"][0]["values"][place] == {"text": "80 %", "number": 0.8, "best": False}
    assert table["rows"][1]["values"][place]["best"] and table["rows"][1]["values"][0]["text"] == "–"
    assert table["notes"][-1] == "DDNM: Few count."
    failed = inverse.scores("run", asked, entries, [Cell(2, "dps", "DPS", 20, 0, 0.0, reason="No.")])
    assert "see above" in failed["rows"][2]["told"]


def test_frames_of_an_ensemble_carry_its_weights():
    x = torch.zeros(6, 3, 16, 16)
    shares = torch.tensor([0.05, 0.5, 0.15, 0.1, 0.1, 0.1], dtype=torch.float64)
    step = ParticleStep(1, 2, 0.5, 0.5, x, x, 1, shares.log(), particles.effective_size(shares.log()))
    message = viewer.frames(step)
    assert message["weights"] == [0.05, 0.5, 0.15, 0.1] and message["largest"] == 0.5 and message["particles"] == 6
    assert message["ess"] == pytest.approx(1 / float(shares @ shares), abs=0.005) and not message["anew"]
    equal = ParticleStep(1, 2, 0.5, 0.5, x, x, 1, torch.full((6,), -math.log(6), dtype=torch.float64), 2.5)
    assert viewer.frames(equal)["anew"]
    assert "weights" not in viewer.frames(Step(1, 2, 0.5, 0.5, x, x, 1))
