"""Words that people type: anything that can be seen stays as it is, the rest is refused."""

import pytest

from engine.errors import InputError
from engine.io.texts import MOST_CHARACTERS, read_text


@pytest.mark.parametrize("words", [
    "a red chair", "<script>alert(1)</script> & <b>chair</b>", "ein 🪑 mit 🦵🏽", "كرسي أحمر", "椅子", ""])
def test_what_can_be_seen_stays(words):
    assert read_text(words) == words


def test_lines_and_blanks_become_single_blanks():
    assert read_text("  a red\r\n\tchair\u00a0with\n\nlegs ") == "a red chair with legs"


@pytest.mark.parametrize("source, said", [
    ("x" * 10**6, "1000000 characters. At most 1000"), ("a\0chair", r"1 control character \(U\+0000\)"),
    ("\x1b[31mred\x07", r"2 control characters \(U\+0007, U\+001B\)"), ("half \ud83e", "half of a character"),
    (b"a chair", "no text"), (7, "no text"), (None, "no text")])
def test_what_is_no_text_is_refused(source, said):
    with pytest.raises(InputError, match=said) as caught:
        read_text(source, "appearance")
    error = caught.value
    assert error.field == "appearance" and error.what and error.why and error.fix


def test_the_limit_itself_is_allowed():
    assert len(read_text("x" * MOST_CHARACTERS)) == MOST_CHARACTERS
    with pytest.raises(InputError):
        read_text("x" * (MOST_CHARACTERS + 1))
