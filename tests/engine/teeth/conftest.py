"""Invented patients that several tests look at; nobody changes them."""

import numpy as np
import pytest
import torch

from engine.tasks.teeth import examples, malocclusion, procedural, state


@pytest.fixture(scope="session")
def patients():
    """Eight well-aligned patients with meshes, none with third molars."""
    return procedural.patients(8, np.random.default_rng(0), meshes=True, wisdom=0.0)


@pytest.fixture(scope="session")
def crooked(patients):
    """The same before treatment, in the harder half of the easy set."""
    return malocclusion.crooked(patients, malocclusion.EASY, np.random.default_rng(1))


@pytest.fixture(scope="session")
def frame():
    """The slots' average frame with ordinary scales: 1 mm and a tenth."""
    plain = state.average_frame()
    return state.Frame(plain.axes, plain.centres, plain.mean, torch.tensor([1.0] * 3 + [0.1] * 6).expand(32, 9))


@pytest.fixture(scope="session")
def dentition(crooked):
    """The first of them as if read from files."""
    return examples.dentition_of(crooked)
