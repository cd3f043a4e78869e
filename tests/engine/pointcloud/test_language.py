"""Captions say only what is true, and words that are not known are told."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.tasks.pointcloud import captions, palette, tokens
from engine.tasks.pointcloud.shapes import FAMILIES, make

WORDS = captions.vocabulary()


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_name_true_colours_in_known_words(family):
    rng = np.random.default_rng(0)
    for i in range(40):
        shape = make(f"{family}-{i}")
        colours = palette.drawn(shape, rng)
        said = captions.caption(shape, colours, rng)
        assert all(colours.names[part] == colour for part, colour in said.colours.items())
        found = tokens.encode(said.text, WORDS)
        assert not found.unknown and not found.cut
        named = {w for c in said.colours.values() for w in captions.SYNONYMS.get(c, (c,))}
        spoken = set(said.text.replace(",", "").split())
        every = {w for c in palette.NAMES for w in captions.SYNONYMS.get(c, (c,))}
        assert spoken & every <= named


def test_without_a_palette_no_colour_is_said():
    rng = np.random.default_rng(1)
    spoken = {w for i in range(50) for w in captions.caption(make(f"chair-{i}"), None, rng).text.split()}
    assert not spoken & set(palette.NAMES)


def test_jittered_colours_keep_their_name():
    rng = np.random.default_rng(0)
    for name in palette.NAMES:
        tints = np.stack([palette.jittered(name, rng) for _ in range(50)])
        assert {palette.NAMES[i] for i in palette.named(tints)} == {name}


def test_tokens_report_what_they_do_not_know():
    found = tokens.encode("A RED Chair, with 4 frobnicated legs; très «zorbly» zorbly <b>", WORDS)
    assert found.unknown == ("frobnicated", "très", "zorbly", "b")
    assert "frobnicated" in found.notes[0]
    plain = tokens.encode("a red chair with four legs", WORDS)
    assert np.array_equal(found.ids, plain.ids) and not plain.notes
    assert found.ids[0] == tokens.START and found.ids.shape == (tokens.LENGTH,)


def test_no_text_and_too_much_text():
    assert np.array_equal(tokens.encode("", WORDS).ids, tokens.EMPTY)
    assert np.array_equal(tokens.encode("\0 \u202e 😀", WORDS).ids, tokens.EMPTY)
    long = tokens.encode("red " * 60, WORDS)
    assert long.cut == 60 - (tokens.LENGTH - 1) and "21" in long.notes[0]
    with pytest.raises(InputError, match="1001 characters"):
        tokens.encode("a" * 1001, WORDS)
