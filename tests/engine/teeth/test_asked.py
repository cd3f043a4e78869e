"""What people write about teeth that stay, and what becomes of wishes that these teeth cannot follow."""

import pytest

from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks.teeth import anatomy, asked
from engine.tasks.teeth.task import TASK


@pytest.mark.parametrize(("text", "found"), [
    ("", ()), ("  ", ()), ("11, 21 36", (11, 21, 36)), ("36,11", (11, 36)), ("12-22", (12, 11, 21, 22)),
    ("22-12;46", (12, 11, 21, 22, 46)), ("18-28,48-38", anatomy.SLOTS), ("11,11", (11,))])
def test_lists_of_teeth(text, found):
    assert asked.numbers(text) == found


@pytest.mark.parametrize("text", ["19", "11,x", "13-43", "0", "11-", "1e1", "51", "<b>"])
def test_lists_that_cannot_be_read_are_refused_at_the_field(text):
    with pytest.raises(InputError) as caught:
        asked.numbers(text)
    assert caught.value.field == "fixed" and "16" in caught.value.why


def test_any_choice_of_teeth_fits_into_a_recipe():
    for teeth in ((), (11,), anatomy.SLOTS, anatomy.SLOTS[::2][:16], (18, 28, 38, 48), (11, 21, 41)):
        text = asked.written(teeth)
        assert set(asked.numbers(text)) == set(teeth)
        Recipe(task="teeth", solver="ddim", steps=1, options={"fixed": text})


def test_settings_become_wishes(dentition):
    options = dict(TASK.defaults.options)
    plain = asked.read(options, dentition)
    assert plain.wishes.no_collisions and plain.wishes.close_gaps
    assert plain.wishes.limit_mm is None and plain.wishes.midline_mm is None
    told = asked.read(options | {"fixed": "16,18", "limit_mm": 2.0, "limit_deg": 5.0, "keep_width": True,
                                 "keep_midline": True, "midline_mm": 1.0, "no_collisions": False,
                                 "close_gaps": False}, dentition)
    assert told.wishes == asked.Wishes((16,), 2.0, 5.0, False, True, 1.0)
    assert told.notes == ("Teeth that should stay are not there: 18.",)


def test_a_midline_without_an_incisor_is_not_set(dentition):
    from dataclasses import replace

    gap = replace(dentition, meshes={fdi: mesh for fdi, mesh in dentition.meshes.items() if fdi != 11})
    told = asked.read(dict(TASK.defaults.options) | {"keep_midline": True}, gap)
    assert told.wishes.midline_mm is None and "incisor is missing" in told.notes[0]
