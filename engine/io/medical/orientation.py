"""Where a grid of voxels lies in a patient, in words and matrices.

A direction is a letter: the one it leads to, out of Right, Left, Anterior, Posterior, Superior, Inferior. "LPS" are the
directions of growing column, row and slice; pictures of that kind show the patient's right on their left.
"""

import numpy as np

_NAMES = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}
_OPPOSITE = dict(zip("RLAPSI", "LRPAIS"))
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def axes_of(affine: np.ndarray) -> str:
    """Nearest directions of growing column, row and slice, such as "LPS". affine: (4, 4) voxel to RAS mm."""
    import nibabel

    return "".join(nibabel.aff2axcodes(affine))


def told(axes: str) -> str:
    """A note on what lies where in a picture whose columns and rows lead to `axes` (two letters or more)."""
    left, top = (_NAMES[_OPPOSITE[letter]] for letter in axes[:2])
    return f"The left of the picture is the patient's {left}, its top the patient's {top}."


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """(z, y, x) in mm: distances between slices and between rows, each perpendicular, so that z y x is a voxel's
    volume and y x a pixel's area even where the grid is sheared."""
    column, row, step = affine[:3, :3].T
    across = np.cross(column, row)
    x, area = np.linalg.norm(column), np.linalg.norm(across)
    return float(abs(across @ step) / area), float(area / x), float(x)


def regridded(values: np.ndarray, affine: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Values (column, row, slice, ...) and their affine with axes flipped and exchanged so that they lead to `axes`.

    No value changes; each voxel keeps its place in the patient.
    """
    from nibabel import orientations as turning

    turn = turning.ornt_transform(turning.io_orientation(affine), turning.axcodes2ornt(tuple(axes)))
    return turning.apply_orientation(values, turn), affine @ turning.inv_ornt_aff(turn, values.shape[:3])
