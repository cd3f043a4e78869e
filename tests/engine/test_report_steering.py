"""What the section says of posterior samplers: rows come back from the tables, and each goal is judged by its rows."""

import json

import pytest

from engine import report
from engine.errors import InputError
from tests.engine.test_report import tables


def steered(method, budget="", psnr_mean_db=20.0, spectral_error=1.0, coverage=None, samples=8.0):
    return {"problem": "small4", "method": method, "budget": budget, "steps": 50.0 if budget else 0.0,
            "samples": samples, "psnr_db": 20.0, "psnr_mean_db": psnr_mean_db, "ssim_mean": 0.6,
            "spectral_error": spectral_error, "consistency": 0.01, "coverage": coverage, "seconds": 2.0, "pictures": 7}


ROWS = [steered("bicubic", samples=1.0), steered("ours, DDNM", "equal time", 21.5, 0.5, 0.85),
        steered("ours, DPS", "own steps", 19.0, 1.25, 0.6),
        steered("ours, AFDPS particles", "equal time", 19.5, 0.9, 0.9, 32.0),
        steered("ours, AFDPS particles", "own steps", 19.5, 0.9, 0.5, 32.0)]


def said(folder, rows):
    (folder / "steering.json").write_text(json.dumps(rows))
    return report.section(folder)


def test_rows_come_back_from_the_table(tmp_path):
    text = said(tmp_path, ROWS)
    rows = tables(text)[0]
    assert [row["method"] for row in rows] == [row["method"] for row in ROWS]
    assert rows[0]["steps"] == "" and rows[0]["coverage"] == "–" and rows[1]["coverage"] == "0.850"
    assert rows[1]["of the mean, dB"] == "21.50" and rows[1]["steps"] == "50"
    assert "8 samples each, 32 of AFDPS particles" in text and "over 7 held-out flowers" in text


def test_goals_are_judged_per_problem(tmp_path):
    other = [{**row, "problem": "box"} for row in ROWS[:2]]
    other[1]["psnr_mean_db"] = 20.75
    text = said(tmp_path, ROWS + other)
    assert "one. Met in 1 of 1 cases." in text and "missed in +0.75 dB." in text
    assert "error of 1. Met in 3 of 4 cases; missed in ours, DPS, own steps (1.25)." in text
    assert "80% to 97%. Met in 1 of 2 cases; missed in own steps (50%)." in text
    assert text.count("coverage of AFDPS") == 1  # the box has no particles


def test_rows_of_an_older_kind_are_refused(tmp_path):
    with pytest.raises(InputError):
        said(tmp_path, [{name: value for name, value in row.items() if name != "samples"} for row in ROWS])
