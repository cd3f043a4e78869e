"""A recipe reads back as it was written, and nothing that is no recipe gets in."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import recipe as recipes
from engine.errors import InputError
from engine.recipe import RANGES, Recipe, changes

BASE = {"task": "restoration", "solver": "ddim", "steps": 5}

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.+-]{0,20}", fullmatch=True)
tokens = st.from_regex(r"[A-Za-z0-9_.,:+-]{0,20}", fullmatch=True)
values = st.one_of(st.booleans(), tokens, st.integers(-10**15, 10**15),
                   st.floats(-1e15, 1e15, allow_nan=False))
recipes_of_any_kind = st.builds(
    Recipe, task=names, solver=names, spacing=names, steps=st.integers(*RANGES["steps"]),
    model=st.one_of(st.just(""), names, st.just("hub:owner/name-1"), st.just("local:/some/folder")),
    model_sha256=st.from_regex(r"([0-9a-f]{64})?", fullmatch=True), guidance=st.floats(*RANGES["guidance"]),
    seed=st.integers(*RANGES["seed"]), samples=st.integers(*RANGES["samples"]),
    options=st.dictionaries(names, values, max_size=4), libraries=st.dictionaries(names, tokens, max_size=3),
    size=st.none() | st.tuples(st.integers(*RANGES["size"]), st.integers(*RANGES["size"])), device=tokens, dtype=tokens)


@settings(max_examples=60, deadline=None)
@given(recipes_of_any_kind)
def test_reading_is_the_inverse_of_writing(recipe):
    text = recipe.write()
    again, notes = Recipe.read(text)
    assert again == recipe.shareable() and again.write() == text and text.isascii()
    assert hash(again) == hash(recipe.shareable())
    for name, value in recipe.options.items():
        assert type(again.options[name]) is type(value)
    assert bool(notes) == recipe.model.startswith("local:")
    assert changes(recipe, again) == []


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
                    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3),
                    max_leaves=8),
       st.sampled_from(sorted(Recipe.model_fields)))
def test_any_value_of_any_field_is_taken_or_refused_by_name(value, field):
    try:
        recipe, _ = Recipe.read(json.dumps({"version": 1, **BASE, field: value}))
    except InputError as error:
        assert error.field and str(error)
    else:
        assert Recipe.read(recipe.write())[0] == recipe


# Row 10
@pytest.mark.parametrize("field, value, rule", [
    *[("steps", v, "from 1 to 1000") for v in (0, -1, 10**9, 2.5, math.nan, math.inf, "20", None, True, [20])],
    *[("guidance", v, "from 0 to 100") for v in (math.nan, 1e9, -5, "3", None, math.inf, -math.inf, True)],
    *[("seed", v, "from 0 to 9007199254740991") for v in (-2**70, 1.5, "", None, 2**53, "7")],
    *[("samples", v, "from 1 to 64") for v in (0, 65, 1.5, "4")],
    ("size", (0, 5), "from 1 to"), ("size", (5,), "height and a width"), ("size", "5x5", "height and a width"),
    ("size", (5, math.nan), "from 1 to"),
    ("options", [1], "named values"), ("options", {f"o{i}": 1 for i in range(65)}, "at most 64"),
    ("libraries", {"torch": 2}, "letters"), ("model_sha256", "A" * 64, "64 hexadecimal"),
    ("version", True, "version 1"),
])
def test_values_out_of_range_name_the_field_and_the_rule(field, value, rule):
    with pytest.raises(InputError) as caught:
        Recipe(**{**BASE, field: value})
    assert caught.value.field == field and rule in caught.value.why


@pytest.mark.parametrize("value, rule", [
    (math.nan, "finite number"), (1e16, "finite number"), (None, "finite number"), ([1], "finite number"),
    ("two words", "no spaces"), ("<script>", "no spaces"), ("a\0b", "no spaces"), ("x" * 65, "at most 64"),
    ("😀", "letters"),
])
def test_options_hold_numbers_and_short_names_only(value, rule):
    with pytest.raises(InputError) as caught:
        Recipe(**BASE, options={"eta": value})
    assert caught.value.field == "eta" and rule in caught.value.why


# Rows 11 and 31: names
@pytest.mark.parametrize("field", ["task", "solver", "spacing", "model"])
@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "a b", "x" * 10**6, "😀", "\u202ecod", "a\0", 5, None,
                                   "../../etc/passwd", "Jane Doe"])
def test_free_text_is_no_name(field, value):
    with pytest.raises(InputError) as caught:
        Recipe(**{**BASE, field: value})
    assert caught.value.field == field
    message = str(caught.value)
    assert len(message) < 300 and "\0" not in message and "\u202e" not in message


def test_several_wrong_fields_are_reported_together():
    with pytest.raises(InputError) as caught:
        Recipe(**{**BASE, "steps": 0, "guidance": -1.0, "seed": 1.5})
    assert caught.value.field == "steps"
    assert all(part in str(caught.value) for part in ("3 fields", "steps is 0", "guidance is -1", "seed is 1.5"))


def test_missing_and_unknown_fields_are_named():
    with pytest.raises(InputError, match="steps is missing"):
        Recipe(task="a", solver="b")
    with pytest.raises(InputError, match="'colour' is not a field"):
        Recipe(**BASE, colour="red")


def test_a_recipe_cannot_be_changed_but_copied_with_a_check():
    recipe = Recipe(**BASE)
    with pytest.raises(ValueError):
        recipe.steps = 6
    assert recipe.replace(steps=6).steps == 6 and recipe.steps == 5
    with pytest.raises(InputError):
        recipe.replace(steps=0)


# Row 30: reading
def test_unknown_fields_and_newer_versions_are_reported_and_the_rest_is_read():
    recipe, notes = Recipe.read(json.dumps({"version": 3, **BASE, "<b>new</b>": 1, "flavour": "x"}))
    assert recipe == Recipe(**BASE)
    assert len(notes) == 3 and "newer version 3" in notes[0] and "flavour" in notes[2]
    _, notes = Recipe.read(json.dumps({"version": 1, **BASE, **{f"f{i}": i for i in range(30)}}))
    assert len(notes) == 11 and "20 more" in notes[-1]


@pytest.mark.parametrize("text, said", [
    ("", "not readable"), ("{", "not readable"), ("\0", "not readable"), (b"\xff\xfe\xfd", "not readable"),
    ("[" * 1000 + "]" * 1000, "no recipe|not readable"), ("[" * 60_000, "not readable"), ("1" * 5000, "not readable"),
    ('"text"', "holds no recipe"), ("null", "holds no recipe"),
    (json.dumps({"version": 1, "pad": "x" * 10**7}), "The limit is 65536"),
    ('{"version": 1, "steps": 1, "steps": 2}', "'steps' twice"),
    (json.dumps(BASE), "version is None"), (json.dumps({"version": 0, **BASE}), "version is 0"),
    (json.dumps({"version": "1", **BASE}), "version is '1'"), ('{"version": NaN}', "version is nan"),
    ('{"version": 1e999}', "version is inf"), (json.dumps({"version": 1.5, **BASE}), "version is 1.5"),
])
def test_texts_that_are_no_recipe_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        Recipe.read(text)


def test_older_versions_are_migrated_one_after_the_other(monkeypatch):
    monkeypatch.setattr(recipes, "MIGRATIONS", {
        -1: lambda fields: {**fields, "count": fields["number"] * 10},
        0: lambda fields: {"task": fields["task"], "solver": fields["solver"], "steps": fields["count"]}})
    recipe, notes = Recipe.read(json.dumps({"version": -1, "task": "restoration", "solver": "ddim", "number": 2}))
    assert recipe == Recipe(**{**BASE, "steps": 20}) and notes == ()


def test_the_folder_of_an_own_model_stays_out_of_the_text():
    recipe = Recipe(**BASE, model="local:/home/jane.doe/unet", model_sha256="0" * 64)
    assert "jane" not in recipe.write()
    again, notes = Recipe.read(recipe.write())
    assert again.model == "local" and again.model_sha256 == "0" * 64 and "folder" in notes[0]


def test_changes_read_like_a_list_for_people():
    before = Recipe(**BASE, options={"eta": 0.0, "method": "model"}, size=(64, 48))
    after = before.replace(steps=20, guidance=2.5, options={"eta": 0.5, "jump": 3}, size=None)
    assert changes(before, after) == ["steps: 5 to 20", "guidance: 1 to 2.5", "eta: 0 to 0.5", "jump: none to 3",
                                      "method: model to none", "size: 64 x 48 to none"]


def test_library_versions_are_known_and_fit_into_a_recipe():
    assert Recipe(**BASE, libraries=recipes.libraries()).libraries["torch"][0].isdigit()
