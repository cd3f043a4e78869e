import json

import pytest
import torch

from engine import bench, solvers
from engine.bench import overhead
from engine.bench.diffusers_side import counterpart
from engine.errors import InputError


@pytest.fixture(scope="module")
def tables():
    pytest.importorskip("diffusers")
    return {name: bench.run(name, quick=True) for name in bench.names()}


def test_every_measurement_gives_tables_that_can_be_printed_and_stored(tables):
    assert set(tables) == {"overhead", "run", "sharing", "accuracy", "solvers", "slim"}
    for found in tables.values():
        for title, rows in found:
            assert title and rows and all(row.keys() == rows[0].keys() for row in rows)
            assert "/" not in title, "no path of this machine"
            json.dumps(rows)


def test_timed_tables_name_the_machine(tables):
    for name in ("overhead", "run", "sharing"):
        for title, _ in tables[name]:
            assert "cores" in title and f"torch {torch.__version__}" in title


def test_an_unknown_measurement_is_refused():
    with pytest.raises(InputError, match="overhead, run, sharing, accuracy, solvers, slim"):
        bench.run("speed")


def test_sharing_saves_calls_and_changes_no_picture(tables):
    (_, rows), = tables["sharing"]
    for row in rows:
        assert row["samples per call"] > 1.5
    exact, = (row for row in rows if row["dtype"] == "float32")
    assert exact["difference"] < 1e-4, "the promise of the design, in float32"


def test_the_whole_run_shows_first_and_last(tables):
    (_, rows), = tables["run"]
    assert all(row["previews"] >= 2 for row in rows)


def test_uniform_rows_agree_with_diffusers_where_the_method_is_the_same(tables):
    (_, rows), = tables["accuracy"]
    rows = {(row["solver"], row["spacing"]): row for row in rows}
    for name in ("ddim", "euler", "dpmpp_2m", "dpmpp_3m", "unipc_2", "unipc_3"):
        row = rows[name, "uniform"]
        # Both are rounded to two digits.
        assert float(row["ours 10"]) == pytest.approx(float(row["diffusers 10"]), rel=0.1)


def test_the_bare_sums_are_those_of_the_solvers():
    """Every row of the overhead table is a solver, and diffusers has a scheduler for each."""
    pytest.importorskip("diffusers")
    for name in overhead._SUMS:
        assert solvers.row(name) and counterpart(name) is not None
    assert counterpart("ddim", use_lu_lambdas=True) is None
    assert counterpart("spndm") is None
