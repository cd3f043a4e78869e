"""Several methods on one measurement: what may be compared, what comes out, whose figures are best."""

import json
import math
import threading
import time

import numpy as np
import pytest
import torch

from engine import metrics
from engine.errors import InputError
from engine.io.pictures import Picture, to_pixels
from engine.runtime.execution import Failed, Working
from engine.steering import particles
from engine.steering.particles import ParticleStep
from engine.step import Step
from engine.tasks.inverse import judging, methods, solving
from engine.tasks.laboratory.inverse import compare, contest, report
from engine.tasks.laboratory.inverse.compare import Cell, Scene
from engine.tasks.laboratory.inverse.contest import EQUAL, OWN, Contest
from engine.tasks.restoration import steered

SIDE = 32
FEW = {"steps": 3, "samples": 3}


def picture() -> Picture:
    """A smooth picture with an edge, wider than high."""
    y, x = np.mgrid[-1:1:48j, -1.5:1.5:72j]
    waves = np.stack([np.sin(3 * x), np.cos(2 * y), np.tanh(8 * (x + y))], -1)
    return Picture(np.uint8(waves * 90 + 127.5))


def outcome(asked: Contest) -> tuple[Scene, list[Cell], list]:
    events = list(compare.run(asked))
    assert not [event for event in events if isinstance(event, Failed)], events
    scene, = (event for event in events if isinstance(event, Scene))
    return scene, [event for event in events if isinstance(event, Cell)], events


@pytest.mark.parametrize(("changes", "field", "words"), [
    ({"methods": ()}, "methods", "0 methods"),
    ({"methods": ("ddnm", "ddnm")}, "methods", "twice"),
    ({"methods": ("magic",)}, "method", "no steering method named 'magic'"),
    ({"methods": ("classical:Wiener",)}, "methods", "Bicubic, Total variation"),
    ({"methods": ("classical:Wiener",), "measurement": "phase"}, "methods", "It has none"),
    ({"measurement": "moonlight"}, "measurement", "no measurement"),
    ({"noise": math.nan}, "noise", "from 0 to 2"),
    ({"noise": -0.1}, "noise", "from 0 to 2"),
    ({"steps": 0}, "steps", "from 1 to 400"),
    ({"steps": 2.5}, "steps", "whole number"),
    ({"samples": 17}, "samples", "from 1 to 16"),
    ({"samples": True}, "samples", "whole number"),
    ({"seed": -1}, "seed", "whole number"),
    ({"draw": None}, "draw", "whole number"),
    ({"budget": "endless"}, "budget", "same, own, equal"),
    ({"model": "restoration"}, "model", "flowers"),
    ({"label": "oak"}, "label", "no class 'oak'"),
    ({"guidance": 3.0}, "guidance", "no class is chosen"),
])
def test_what_cannot_be_compared_is_refused_at_its_field(changes, field, words):
    with pytest.raises(InputError, match=words) as caught:
        Contest(**({"methods": ("ddnm",)} | changes))
    assert caught.value.field == field


def test_who_can_serve_and_with_how_many_steps():
    asked = Contest(("ddnm", "ddrm", "afdps", "classical:Wiener"), "blur", samples=1, steps=7)
    assert asked.noise == 0.04
    assert [(e.steps, e.calls, e.able) for e in contest.lineup(asked)] == [
        (7, 7, True), (7, 7, True), (7, 7, True), (0, 0, True)]
    own = contest.lineup(Contest(("ddnm", "red_diff"), "phase", budget=OWN))
    assert [(e.steps, e.able) for e in own] == [(0, False), (methods.own_steps("red_diff"), True)]
    assert [methods.own_steps(name) for name in ("ddrm", "ddnm", "red_diff")] == [20, 20, 100]


def test_equal_time_gives_slow_methods_fewer_steps():
    asked = Contest(("ddnm", "dps"), samples=1, steps=30, budget=EQUAL)
    yardstick, slow = contest.lineup(asked)
    # DDNM is the yardstick itself; DPS differentiates the network and takes at least twice as long.
    assert yardstick.steps == 30 and 4 <= slow.steps < 20
    assert contest.lineup(asked) == (yardstick, slow)
    assert methods.equal_steps(1.0, 0.1) == 10 and methods.equal_steps(1.0, 1.0) == 4
    assert methods.equal_steps(100.0, 0.001) == 1000


def test_a_method_that_fails_says_why_and_the_others_go_on():
    asked = Contest(("ddrm", "ddnm", "afdps"), "jpeg", picture=picture(), **FEW)
    scene, cells, events = outcome(asked)
    assert "DDRM cannot be used for JPEG" in cells[0].reason and "noise is 0" in cells[2].reason
    assert not cells[1].reason and cells[1].calls == cells[1].steps == 3
    assert list(cells[1].pictures) == ["Mean", "Sample 1", "Sample 2", "Sample 3", "Spread"]
    small = to_pixels(solving.square(picture(), SIDE))[0]
    assert np.array_equal(scene.truth[::4, ::4], small) and scene.measured.shape == (128, 128, 3)
    shown = [event for event in events if isinstance(event, Working) and event.total]
    assert shown[-1].finished == 3


def test_a_drawn_truth_depends_on_its_seed_alone():
    asked = {"methods": ("classical:bicubic",), "samples": 1}
    first, cells, _ = outcome(Contest(**asked, draw=1))
    again, _, _ = outcome(Contest(**asked, draw=1, seed=9))
    other, _, _ = outcome(Contest(**asked, draw=2))
    assert np.array_equal(first.truth, again.truth) and not np.array_equal(first.truth, other.truth)
    assert list(cells[0].pictures) == ["Result"] and cells[0].figures["psnr_db"] > 10
    cost = contest.plan(Contest(**asked, draw=1))
    assert (cost.methods, cost.calls) == (1, contest.DRAWING_STEPS) and cost.seconds > 0


def test_particles_come_with_weights_and_the_heaviest_first():
    asked = Contest(("afdps",), "blur", picture=picture(), steps=4, samples=5)
    _, (cell,), _ = outcome(asked)
    names = list(cell.pictures)
    shares = [int(name.split(": ")[1].rstrip("%")) for name in names[1:4]]
    assert names[0] == "Mean" and names[-1] == "Spread" and shares == sorted(shares, reverse=True)


def ensemble() -> ParticleStep:
    x = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    log_weights = torch.tensor([0.1, 0.6, 0.3, 0.0], dtype=torch.float64).log()
    return ParticleStep(2, 2, 0.0, 0.0, x, x, 2, log_weights, particles.effective_size(log_weights))


def test_figures_of_particles_are_weighted():
    step, case = ensemble(), solving.measured(solving.square(picture(), SIDE), "small4", 0)
    found = judging.of(step, case)
    mean = 0.1 * step.x[0] + 0.6 * step.x[1] + 0.3 * step.x[2]
    variance = sum(w * (step.x[i] - mean) ** 2 for i, w in enumerate((0.1, 0.6, 0.3))) / (1 - 0.46)

    def unit(x):
        return (x.permute(1, 2, 0).numpy() + 1) / 2

    truth = unit(case.truth[0])
    # float32 sums of three terms against float64 figures of merit
    assert found["psnr_mean_db"] == pytest.approx(metrics.psnr(unit(mean), truth), abs=1e-4)
    assert found["psnr_db"] == pytest.approx(metrics.psnr(unit(step.x[1]), truth), abs=1e-6)
    assert found["spread"] == pytest.approx(float(variance.sqrt().mean()), rel=1e-5)
    plain = judging.of(Step(2, 2, 0.0, 0.0, step.x, step.x, 2), case)
    assert plain["spread"] == pytest.approx(float(step.x.std(0).mean()), rel=1e-5)
    assert plain["coverage"] != found["coverage"]


def test_quantiles_cover_where_enough_samples_count_whatever_their_law():
    generator = torch.Generator().manual_seed(3)
    draws = torch.rand(61, 40_000, generator=generator).log().neg()
    # Exponential draws: 60 equal ones between quantiles cover 90 % of one more draw, with a standard error of 0.0015.
    assert judging.coverage(draws[1:], draws[:1]) == pytest.approx(0.9, abs=0.006)
    halves = torch.cat([draws[1:], 5 + draws[1:]])
    weights = torch.cat([torch.full((60,), 1 / 60), torch.zeros(60)])
    assert judging.coverage(halves, draws[:1], weights) == judging.coverage(draws[1:], draws[:1])


def test_restoration_gives_weighted_arrays():
    step = ensemble()
    found, notes = steered._weighted(step, {})
    mean = 0.1 * step.x[0] + 0.6 * step.x[1] + 0.3 * step.x[2]
    assert np.abs(found["mean"].values[::8, ::8].astype(int) - to_pixels(mean[None])[0].astype(int)).max() <= 1
    assert np.array_equal(found["samples"].values[0][::8, ::8], to_pixels(step.x[1:2])[0])
    spread = particles.spread(step.x, step.log_weights).mean(0) * 127.5
    assert found["spread"].values[::8, ::8] == pytest.approx(spread.numpy(), rel=1e-5)
    assert "60 %, 30 %, 10 %, 0 %" in notes[0] and len(notes) == 1
    lonely = torch.tensor([0.0, -50.0, -50.0, -50.0], dtype=torch.float64)
    collapsed = ParticleStep(2, 2, 0.0, 0.0, step.x, step.x, 2, lonely, 1.0)
    assert "only 1.0 count" in steered._weighted(collapsed, {})[1][1]


def _cell(index: int, **figures: float) -> Cell:
    return Cell(index, "ddnm", "DDNM", 3, 3, 0.1, {}, figures)


def test_the_best_figure_is_what_each_figure_means():
    cells = [_cell(0, psnr_db=20.0, spectral_error=0.3, consistency=0.2, coverage=1.0, spread=0.1),
             _cell(1, psnr_db=25.0, spectral_error=0.1, consistency=1.1, coverage=0.84, spread=0.2),
             _cell(2, psnr_db=25.001, spectral_error=math.nan, consistency=4.0),
             Cell(3, "ddrm", "DDRM", 3, 0, 0.0, reason="No.")]
    noisy = report.best(Contest(("ddnm",), "blur"), cells)
    assert noisy == {"psnr_db": {1, 2}, "spectral_error": {1}, "consistency": {1}, "coverage": {1}}
    assert report.best(Contest(("ddnm",), "small4"), cells)["consistency"] == {0}
    assert report.best(Contest(("ddnm",)), cells[:1]) == {}


def test_sheet_and_json_hold_everything():
    asked = Contest(("ddnm", "ddrm", "classical:bicubic"), picture=picture(), noise=0.1, **FEW)
    scene, cells, _ = outcome(asked)
    sheet = report.contact_sheet(asked, scene, cells)
    for shown in (scene.truth, scene.measured, *(p for cell in cells for p in cell.pictures.values())):
        line = shown[64].tobytes()
        assert any(line in row.tobytes() for row in sheet)
    told = json.loads(report.to_json(asked, cells))
    assert told["settings"]["picture"] == "given" and told["settings"]["noise"] == 0.1
    assert [cell["method"] for cell in told["cells"]] == ["ddnm", "ddrm", "classical:bicubic"]
    assert told["cells"][0]["coverage"] > 0 and told["cells"][2]["coverage"] is None


def test_closing_ends_the_computation_within_a_step():
    events = compare.run(Contest(("ddnm",), steps=400, samples=1))
    for event in events:
        if isinstance(event, Working) and event.finished > 2:
            break
    events.close()
    end = time.monotonic() + 5
    while time.monotonic() < end and any(thread.name == "run" for thread in threading.enumerate()):
        time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "run"]
