"""Words that the models do not know are named, and what a person typed is never taken as HTML."""

import pytest

from engine import models
from engine.tasks.pointcloud import captions
from tests.ui.pointcloud.fake_cloud_task import FakeCloudTask
from ui.pointcloud.words import told, vocabulary

KNOWN = captions.vocabulary()


def test_known_words_are_counted_and_unknown_ones_named():
    assert told("A red chair", KNOWN) == "<p>3 words understood.</p>"
    line = told("a red chiar with 4 legs on Mars", KNOWN)
    assert line.startswith("<p>5 words understood. Not understood: <mark>chiar</mark> (perhaps chair)")
    assert "<mark>mars</mark>" in line and "<mark>on</mark>" in line


@pytest.mark.parametrize("text", ["", "  ", "!?", "\n"])
def test_no_words_say_nothing(text):
    assert told(text, KNOWN) == ""


def test_words_beyond_the_longest_sentence_are_counted():
    assert "11 words too many" in told("red " * 50, KNOWN)


def test_markup_stays_text():
    line = told("<img src=x onerror=alert(1)>", KNOWN)
    assert "<img" not in line and "<mark>onerror</mark>" in line


def test_a_text_that_is_too_long_says_so():
    assert "1001 characters" in told("x" * 1001, KNOWN)


def test_the_vocabulary_is_that_of_the_models_or_of_their_grammar():
    assert vocabulary(FakeCloudTask()) == KNOWN
    task = FakeCloudTask()
    task.models = ("no_such_model",)
    assert vocabulary(task) == KNOWN
    if "cloud_geometry" in models.names():
        task.models = ("cloud_geometry",)
        assert "chair" in vocabulary(task)
