"""The command line, driven with a small task of the test's own."""

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import tasks
from engine.__main__ import _spread, main, table
from engine.errors import InputError
from engine.io import read_recipe
from engine.models import Card
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks import names
from engine.tasks.base import Array, InputSpec, Result, Setting

ROOT = Path(__file__).resolve().parents[2]
CARD = Card(name="tiny", title="Tiny", architecture={"kind": "k"}, schedule={"name": "s"}, prediction="v",
            resolution_px=8)


class Brighter:
    """Adds `amount` to a picture inside the mask, one step at a time."""

    name, title, summary, warning, models, examples = "restoration", "Brighter", "", "", (), ()
    inputs = (InputSpec("picture", "Picture", "picture", ""), InputSpec("mask", "Mask", "mask", "", required=False))
    settings = (Setting("amount", "Amount", "", 10, minimum=0, maximum=50), Setting("gain", "Gain", "", 1.0),
                Setting("loud", "Loud", "", False), Setting("kind", "Kind", "", "plain", choices=("plain", "odd")))
    defaults = Recipe(task="restoration", solver="ddim", steps=3, options={"amount": 10})
    guidance_range, steps_range, samples_range = (0, 5), (1, 20), (1, 4)

    def __init__(self):
        self.seen = None

    def run(self, inputs, recipe):
        self.seen = inputs, recipe
        if recipe.options.get("kind") == "odd":
            raise InputError("The kind is odd.", "It must be plain.", "Change it.", field="kind")
        if recipe.options.get("loud"):
            raise RuntimeError("secret detail")
        pixels, state = inputs["picture"].pixels, torch.zeros(1)
        for i in range(recipe.steps):
            yield Step(i + 1, recipe.steps, 1 - (i + 1) / recipe.steps, 0.0, state, state, i + 1)
        out = np.clip(pixels.astype(int) + recipe.options["amount"], 0, 255).astype(np.uint8)[None]
        yield Result({"samples": Array(out, ("sample", "y", "x", "channel"))}, {"PSNR dB": 31.23456}, recipe,
                     ("Done so.",))

    def solvers(self, options):
        return ("ddim", "euler")

    def calls(self, recipe):
        return recipe.steps

    def evaluate(self, data, limit=None):
        return [{"method": "ours", "PSNR dB": 23.456789, "n": limit}, {"method": "median", "PSNR dB": np.float64(9.5)}]


@pytest.fixture
def task(monkeypatch):
    task = Brighter()
    monkeypatch.setattr(tasks, "load", lambda name: task)
    return task


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    Image.fromarray(np.full((16, 24, 3), 100, np.uint8)).save(path)
    return str(path)


def called(words, capsys) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    out = capsys.readouterr()
    return caught.value.code or 0, out.out, out.err


def test_run_saves_the_result_with_its_recipe(task, picture, tmp_path, capsys):
    code, out, err = called(["run", "restoration", "--in", picture, "--out", str(tmp_path / "out"), "--steps", "4",
                             "--solver", "euler", "--guidance", "2", "--seed", "9", "--samples", "2",
                             "--spacing", "karras", "--set", "amount=20", "--set", "gain=2",
                             "--set", "loud=no"], capsys)
    assert code == 0, err
    paths = [Path(line) for line in out.splitlines() if line.startswith(str(tmp_path))]
    assert [p.suffix for p in paths] == [".png", ".json"]
    assert (np.asarray(Image.open(paths[0])) == 120).all()
    expected = task.defaults.replace(steps=4, solver="euler", guidance=2, seed=9, samples=2, spacing="karras",
                                     options={"amount": 20, "gain": 2.0, "loud": False})
    assert read_recipe(paths[0])[0] == expected == task.seen[1]
    assert "PSNR dB: 31.23" in out and "Done so." in err and "saving" in err


def test_a_saved_result_is_a_recipe_for_the_next_run(task, picture, tmp_path, capsys):
    _, out, _ = called(["run", "restoration", "--in", picture, "--out", str(tmp_path), "--set", "amount=7"], capsys)
    saved = next(line for line in out.splitlines() if line.endswith(".png"))
    code, out, _ = called(["run", "restoration", "--in", saved, "--recipe", saved, "--out", str(tmp_path / "b"),
                           "--steps", "2"], capsys)
    assert code == 0
    assert task.seen[1] == task.defaults.replace(steps=2, options={"amount": 7})


def test_masks_are_read_for_the_picture_they_belong_to(task, picture, tmp_path, capsys):
    for words in (["--in", picture, "2,3,5,9"], ["--in", "mask=2,3,5,9", "--in", f"picture={picture}"]):
        assert called(["run", "restoration", *words, "--out", str(tmp_path / "out")], capsys)[0] == 0
        mask = task.seen[0]["mask"]
        assert mask.shape == (16, 24) and mask.sum() == 3 * 6 and mask[3:9, 2:5].all()


@pytest.mark.parametrize("words, said", [
    (["--steps", "0"], "steps is 0"),
    (["--steps", "21"], "steps is 21.\nIt must be from 1 to 20."),
    (["--guidance", "nan"], "guidance is nan"),
    (["--guidance", "9"], "from 0 to 5"),
    (["--seed", "-1"], "seed is -1"),
    (["--solver", "teleport"], "no solver named 'teleport'"),
    (["--solver", "heun"], "cannot run the solver 'heun'"),
    (["--model", "a b"], "model is 'a b'"),
    (["--set", "volume=3"], "no setting 'volume'"),
    (["--set", "amount"], "'amount' sets nothing"),
    (["--set", "amount=lots"], "amount is 'lots'.\nIt must be a whole number."),
    (["--set", "amount=51"], "from 0 to 50"),
    (["--set", "loud=perhaps"], "true or false"),
    (["--set", "kind=huge"], "Choose one of plain, odd"),
    (["--set", "kind=odd"], "The kind is odd."),
    (["--in", "9,9,99,99"], "The box is 9, 9 to 99, 99"),
    (["--in", "0,0,5,5", "0,0,5,5"], "3 inputs were given"),
    (["--recipe", "nowhere.json"], "The file is not there"),
])
def test_what_a_person_can_put_right_ends_with_code_2(task, picture, tmp_path, capsys, words, said):
    code, out, err = called(["run", "restoration", "--in", picture, "--out", str(tmp_path / "out"), *words], capsys)
    assert code == 2 and said in err and not out and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_missing_inputs_and_foreign_recipes_are_refused(task, picture, tmp_path, capsys):
    assert "The input picture is missing" in called(["run", "restoration"], capsys)[2]
    file = tmp_path / "r.json"
    file.write_text(task.defaults.replace(task="inpainting").write())
    code, _, err = called(["run", "restoration", "--in", picture, "--recipe", str(file)], capsys)
    assert code == 2 and "for the task inpainting" in err


def test_a_bug_ends_with_code_1_and_an_id_but_no_detail(task, picture, tmp_path, capsys):
    code, _, err = called(["run", "restoration", "--in", picture, "--set", "loud=yes", "--out", str(tmp_path)], capsys)
    assert code == 1 and "secret detail" not in err


def test_evaluate_prints_an_aligned_table_and_writes_json(task, tmp_path, capsys):
    file = tmp_path / "rows.json"
    code, out, _ = called(["evaluate", "restoration", "--data", str(tmp_path), "--limit", "3", "--json", str(file)],
                          capsys)
    assert code == 0
    assert out.splitlines() == ["method  PSNR dB  n", "ours      23.46  3", "median      9.5"]
    assert json.loads(file.read_text()) == [{"method": "ours", "PSNR dB": 23.456789, "n": 3},
                                            {"method": "median", "PSNR dB": 9.5}]
    assert "data folder is not there" in called(["evaluate", "restoration", "--data", str(tmp_path / "no")], capsys)[2]


def test_train_and_bench_pass_their_words_on(monkeypatch, tmp_path, capsys):
    asked = {}
    monkeypatch.setitem(sys.modules, "engine.training",
                        types.SimpleNamespace(train=lambda **words: asked.update(words) or CARD))
    monkeypatch.setattr("engine.training", sys.modules["engine.training"], raising=False)
    monkeypatch.setitem(sys.modules, "engine.bench", types.SimpleNamespace(
        run=lambda name, data=None: [("Overhead", [{"solver": name, "ms": float("nan")}])]))
    code, out, _ = called(["train", "restoration", "--data", str(tmp_path), "--minutes", "2.5", "--resume"], capsys)
    assert code == 0 and "tiny: Tiny" in out
    assert asked == {"task": "restoration", "data": str(tmp_path), "minutes": 2.5, "resume": True, "folder": None}
    file = tmp_path / "bench.json"
    code, out, _ = called(["bench", "steps", "--json", str(file)], capsys)
    assert code == 0 and out.splitlines()[:3] == ["Overhead", "solver   ms", "steps   nan"]
    assert json.loads(file.read_text()) == [{"title": "Overhead", "rows": [{"solver": "steps", "ms": None}]}]


def test_models_prints_the_cards(monkeypatch, tmp_path, capsys):
    from engine.models import shelf

    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    assert "No models are shipped" in called(["models"], capsys)[2]
    (tmp_path / "tiny").mkdir()
    CARD.write(tmp_path / "tiny")
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"")
    assert called(["models"], capsys)[1].startswith("tiny: Tiny\n")


def test_the_module_runs_as_a_program(tmp_path):
    def call(*words):
        return subprocess.run([sys.executable, "-m", "engine", *words], cwd=ROOT, capture_output=True, text=True,
                              timeout=300)

    done = call("evaluate", "alchemy", "--data", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["There is no task named 'alchemy'.", f"Choose one of {', '.join(names())}."]
    assert all(word in call("--help").stdout for word in ("run", "evaluate", "train", "bench", "models"))


@pytest.mark.parametrize("words, spread", [
    (["run", "--in", "a", "b", "c", "--out", "o"], ["run", "--in", "a", "--in", "b", "--in", "c", "--out", "o"]),
    (["--in", "a", "--in", "b"], ["--in", "a", "--in", "b"]), (["--in"], ["--in"]), (["models"], ["models"]),
])
def test_several_files_may_follow_one_option(words, spread):
    assert _spread(words) == spread


def test_tables_align_text_left_and_numbers_right():
    assert table([{"a": "x", "b": 1.0}, {"a": "long", "b": 123.456, "c": True}]) == [
        "a         b     c", "x         1", "long  123.5  True"]
    assert table([]) == [""]
