"""Masks corrected by hand: which pixels are in, which object they belong to, how many there are."""

import numpy as np

from ui.segmentation.correction import corrected


def _two():
    """Two objects of probability 0.8 side by side, with a gap of 4 px, and a speck without a label."""
    probability, labels = np.zeros((20, 30), np.float32), np.zeros((20, 30), np.int32)
    for label, left in ((1, 2), (2, 16)):
        probability[5:15, left:left + 10], labels[5:15, left:left + 10] = 0.8, label
    probability[1, 1] = 0.8
    return probability, labels, np.zeros((20, 30), bool), np.zeros((20, 30), bool)


def _count(found):
    return len(np.unique(found.labels[found.labels > 0]))


def test_nothing_changed_is_the_mask_of_the_threshold():
    probability, labels, painted, erased = _two()
    found = corrected(probability, labels, 0.5, painted, erased)
    assert (found.mask == (probability > 0.5)).all() and _count(found) == 2
    assert found.labels[1, 1] == 0  # too small for the program to count
    assert corrected(probability, None, 0.5, painted, erased).labels is None


def test_paint_joins_what_it_touches_most():
    probability, labels, painted, erased = _two()
    painted[5:8, 12:16] = True
    painted[5:12, 15] = True
    found = corrected(probability, labels, 0.5, painted, erased)
    assert _count(found) == 2 and (found.labels[painted] == 2).all()


def test_paint_apart_is_a_new_object_and_takes_specks_with_it():
    probability, labels, painted, erased = _two()
    painted[0:2, 2:5] = True
    found = corrected(probability, labels, 0.5, painted, erased)
    assert _count(found) == 3 and found.labels[1, 1] == found.labels[0, 3] == 3


def test_the_eraser_cuts_apart_and_paint_wins_over_it():
    probability, labels, painted, erased = _two()
    erased[5:15, 6] = True
    found = corrected(probability, labels, 0.5, painted, erased)
    assert _count(found) == 3 and not found.mask[erased].any()
    assert found.labels[10, 3] == 1 and found.labels[10, 9] == 3
    painted[10, 6] = True
    again = corrected(probability, labels, 0.5, painted, erased & ~painted)
    assert again.mask[10, 6] and _count(again) == 2


def test_edits_are_counted_where_they_change_something():
    probability, labels, painted, erased = _two()
    painted[5:8, 2:14] = True  # 10 of 12 columns were in already
    erased[:2] = True  # one speck
    assert corrected(probability, labels, 0.5, painted, erased).edited == 3 * 2 + 1
