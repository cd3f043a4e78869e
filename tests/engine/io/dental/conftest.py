import numpy as np
import pytest

from engine.tasks.teeth import malocclusion, procedural
from tests.engine.io.dental.making import meshes


@pytest.fixture(scope="session")
def before():
    """An invented patient with crooked teeth in the program's frame: `Teeth` with meshes."""
    aligned = procedural.patients(1, np.random.default_rng(5), meshes=True, wisdom=0.0)
    return malocclusion.crooked(aligned, malocclusion.HARD, np.random.default_rng(5))


@pytest.fixture(scope="session")
def crowns(before):
    """The same as meshes by FDI number."""
    return meshes(before)
