import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.teeth import anatomy


def test_slots_are_in_the_order_of_tadpm():
    order = anatomy.SLOTS
    assert order[:3] == (18, 17, 16) and order[7:9] == (11, 21)
    assert order[16:18] == (48, 47) and order[23:25] == (41, 31)


def test_mirror_swaps_quadrants_and_keeps_the_tooth():
    fdi = np.array(anatomy.SLOTS)
    swapped = {1: 2, 2: 1, 3: 4, 4: 3}
    assert all(anatomy.SLOTS[m] == 10 * swapped[f // 10] + f % 10 for f, m in zip(fdi, anatomy.MIRRORED))


def test_crown_table_satisfies_boltons_norms():
    """The sums of crown widths give 77.2 +- 1.65 and 91.3 +- 1.91 per cent (Bolton, 1958)."""
    width = anatomy.CROWNS[:, 1]
    for last, norm, spread in ((3, 77.2, 1.65), (6, 91.3, 1.91)):
        lower, upper = (width[(up == anatomy.UPPER) & (last >= anatomy.POSITION)].sum() for up in (False, True))
        assert abs(100 * lower / upper - norm) < spread


def test_names():
    assert anatomy.name_of(16) == "upper right first molar"
    assert anatomy.name_of(33) == "lower left canine"
    with pytest.raises(InputError, match="no permanent tooth 55"):
        anatomy.slot_of(55)


def test_pairs_stay_in_their_jaw():
    pairs = anatomy.neighbours(2)
    assert (anatomy.UPPER[pairs[:, 0]] == anatomy.UPPER[pairs[:, 1]]).all() and len(pairs) == 2 * (15 + 14)
    across = anatomy.antagonists()
    assert anatomy.UPPER[across[:, 0]].all() and not anatomy.UPPER[across[:, 1]].any()
