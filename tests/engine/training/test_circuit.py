"""The circuit beside a model: learned from a folder of pictures, stored, and handed to the samplers that need it."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine import circuits, models
from engine.errors import InputError
from engine.models import shelf
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering.operators import Inpaint
from engine.tasks import priors
from engine.training import circuit
from engine.training.pictures import held_out

SMALL = {"children": 2, "latents": 8, "rounds": 3}


@pytest.fixture
def folder(tmp_path):
    """Forty pictures of 40 x 56 px: a bright disc somewhere near the middle."""
    y, x = np.mgrid[:40, :56]
    place = np.random.default_rng(0)
    for i in range(40):
        disc = np.hypot(y - 20 - place.normal(0, 3), x - 28 - place.normal(0, 3)) < place.uniform(8, 14)
        Image.fromarray(np.uint8(40 + 180 * disc)).convert("RGB").save(tmp_path / f"disc_{i}.png")
    return tmp_path


def test_pictures_are_split_by_name_and_shrunk(folder):
    train, kept = circuit.split(folder, 32)
    names = [held_out(path) for path in folder.iterdir()]
    assert len(kept) == sum(names) > 0 and len(train) == 4 * (40 - sum(names))
    assert train.shape[1:] == kept.shape[1:] == (3, 32, 32) and float(train.abs().max()) <= 1


def test_a_circuit_is_learned_stored_and_tied_to_the_data(folder, tmp_path):
    path, score = circuit.prepare_model("flowers", folder, tmp_path, **SMALL)
    found = circuits.read(path, circuits.data_digest(shelf.card("flowers")))
    assert path.name == circuits.FILE and found.shape == (3, 32, 32) and found.means.shape == (2, 8)
    _, kept = circuit.split(folder, 32)
    grey = -0.5 * (kept.var() * 2 * torch.pi * torch.e).log()  # what one normal law for all numbers would reach
    assert score > float(grey)


def test_models_that_restore_have_none(folder):
    with pytest.raises(InputError) as error:
        circuit.prepare_model("restoration", folder)
    assert error.value.field == "model"


def test_the_shipped_circuit_is_handed_over():
    model = models.load("flowers")
    assert priors.held(model) == {"circuit"}
    assert set(priors.learned(model, "tiramisu")) == {"circuit"} and priors.learned(model, "ddnm") == {}
    known = torch.ones(1, 1, 32, 32)
    known[..., 8:24, 8:24] = 0
    recipe = Recipe(task="inpainting", solver="tiramisu", steps=3, samples=1, options={"share": 0.5})
    with torch.no_grad():
        *_, step = priors.steered(model, recipe, None, torch.zeros(1, 3, 32, 32), Inpaint(known), Rng(0, 1))
    assert step.nfe == 3 and bool(step.x.isfinite().all())


def test_a_model_without_one_is_told_so(monkeypatch, tmp_path):
    model = models.load("flowers")
    monkeypatch.setattr(priors.shelf, "ROOT", tmp_path)
    assert priors.held(model) == frozenset() and priors.learned(model, "tiramisu") == {}
    recipe = Recipe(task="inpainting", solver="tiramisu", steps=3, samples=1)
    with pytest.raises(InputError, match="needs a circuit"):
        list(priors.steered(model, recipe, None, torch.zeros(1, 3, 32, 32), Inpaint(torch.ones(32, 32)), Rng(0, 1)))


def test_the_shipped_circuit_knows_flowers_better_than_noise():
    law = priors.learned(models.load("flowers"), "tiramisu")["circuit"]
    pictures = torch.zeros(1, 3, 32, 32)
    noise = Rng(0, 1).normal(3, 32, 32) * 0.5
    assert float(law.log_likelihood(pictures)) > float(law.log_likelihood(noise)) + 1000
