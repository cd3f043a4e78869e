"""A patient's teeth at a glance: upper and lower arch from the chewing side, both jaws from the front."""

import numpy as np

from engine.tasks.teeth.dentition import Teeth
from engine.tasks.teeth.rendering import IVORY, picture

_MM_PER_PX = 0.265
_ARCH, _FRONT = (248, 272), (92, 272)


def views(teeth: Teeth, patient: int = 0, colour: tuple[int, int, int] = IVORY) -> np.ndarray:
    """(588, 272, 3) uint8: upper arch, front, lower arch of teeth that keep their meshes."""
    centre = teeth.centres[patient][teeth.present[patient]].mean(0).numpy()
    upper, lower, both = (teeth.meshes(patient, colour, jaw) for jaw in ("upper", "lower", "both"))
    return np.concatenate((picture(upper, "upper", _ARCH, centre, _MM_PER_PX),
                           picture(both, "front", _FRONT, centre, _MM_PER_PX),
                           picture(lower, "lower", _ARCH, centre, _MM_PER_PX)))
