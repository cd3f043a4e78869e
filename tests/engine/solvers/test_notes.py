"""Every solver has notes that read well and an equation that is balanced."""

import re

import pytest

from engine.solvers import catalogue
from engine.solvers.notes import NOTES, SYMBOLS, notes


def test_every_solver_has_notes_and_no_notes_are_left_over():
    assert set(NOTES) == {row.name for row in catalogue()}


@pytest.mark.parametrize("name", NOTES)
def test_an_equation_is_balanced_and_the_text_is_a_few_sentences(name):
    entry = notes(name)
    assert entry.equation.count("{") == entry.equation.count("}")
    assert entry.equation.count(r"\Big(") + entry.equation.count(r"\big(") == (
        entry.equation.count(r"\Big)") + entry.equation.count(r"\big)"))
    assert len(re.findall(r"\\left\b", entry.equation)) == len(re.findall(r"\\right\b", entry.equation))
    assert 1 <= entry.text.count(". ") + entry.text.endswith(".") <= 6 and entry.good_steps


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_notes_and_hint_name_the_same_range(row):
    told, good = (re.findall(r"\d+ to \d+", text) for text in (row.hint, notes(row.name).good_steps))
    assert not told or told[0] == good[0]
    if "adaptive" in row.tags:
        usual = f"about {row.calls(20)} calls"
        assert usual in row.hint and usual in notes(row.name).good_steps


def test_the_symbols_are_whole_formulas():
    assert SYMBOLS.count("$") % 2 == 0
