"""Parsers in a process of their own: what they find, what they refuse, and that they die alone."""

import sys

import numpy as np
import pytest

from engine.errors import InputError
from engine.io.child import parsed
from tests.engine.io import parsers


def test_findings_come_back_as_arrays():
    found = parsed(parsers.doubled, b"\1\2\3", "test", "picture")
    assert np.array_equal(found["numbers"], [2, 4, 6]) and str(found["text"]) == "näme"


def test_a_parser_refuses_in_its_own_words():
    with pytest.raises(InputError) as caught:
        parsed(parsers.refused, b"", "test", "picture")
    error = caught.value
    assert (error.what, error.why, error.fix, error.field) == ("What.", "Why.", "Fix.", "picture")


def test_a_parser_that_crashes_or_never_ends_is_only_a_bad_file():
    with pytest.raises(InputError, match="test file is damaged"):
        parsed(parsers.aborted, b"", "test", "picture")
    with pytest.raises(InputError, match="longer than 2 s"):
        parsed(parsers.endless, b"", "test", "picture", seconds=2)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_parser_that_takes_all_memory_is_stopped():
    with pytest.raises(InputError, match="damaged"):
        parsed(parsers.greedy, b"", "test", "picture", memory_bytes=2_000_000_000)
