"""What the playground's picture gets: packed numbers that come back, paths that start together."""

import base64

import numpy as np
import pytest

from engine import exact, schedules
from engine.errors import InputError
from ui.laboratory import plane, play


def _shorts(text):
    return np.frombuffer(base64.b64decode(text), np.int16) / plane.UNIT


@pytest.fixture(scope="module")
def scene():
    return plane.Scene(exact.toy(), schedules.vp_linear(), ("ddim", "unipc_2"), 5, 0)


def test_frames_run_from_noise_to_data_and_hold_everything(scene):
    found = list(plane.frames(scene))
    assert len(found) == plane.FRAMES and found[0]["sigma"] > 0.99 and found[-1]["alpha"] > 0.99
    first, last = (_shorts(found[i]["cloud"]).reshape(-1, 2) for i in (0, -1))
    # The noise is standard normal; the data have the mixture's mean of (.28, .2).
    assert np.abs(first.mean(0)).max() < 4 / len(first) ** 0.5
    assert np.abs(last.mean(0) - [0.28, 0.2]).max() < 4 / len(last) ** 0.5
    for frame in found:
        assert len(base64.b64decode(frame["heat"])) == 64 * 64
        assert np.abs(np.frombuffer(base64.b64decode(frame["score"]), np.int8)).max() in range(90, 128)
    flow = _shorts(found[0]["flow"])
    cells = round((len(flow) / 2) ** 0.5)
    square = flow.reshape(cells, cells, 2)
    assert np.allclose(np.diff(square[:, :, 0], axis=1), square[0, 1, 0] - square[0, 0, 0], atol=2 / plane.UNIT)


def test_all_paths_of_a_race_start_at_the_same_noise(scene):
    race = plane.paths(scene)[0]["tracks"]
    assert [track["title"] for track in race] == ["Exact flow", "DDIM", "UniPC-2"]
    starts = [_shorts(track["states"])[:2 * track["count"]] for track in race]
    assert all((start == starts[0]).all() for start in starts)
    assert len({track["colour"] for track in race}) == 3 and "5 calls" in race[1]["facts"]
    assert all(track["times"] == sorted(track["times"], reverse=True) for track in race)


def test_a_drawing_travels_as_ink():
    ink = np.zeros((64, 64), np.uint8)
    ink[10:20, 30] = 255
    assert (plane.ink(base64.b64encode(ink.tobytes()).decode()) == ink).all()
    sent = base64.b64encode(ink.tobytes()).decode()
    assert play.scene(play.defaults() | {"density": "drawing"}, sent).law.size == 2


@pytest.mark.parametrize("sent", [None, 3, "", "AAAA", "%%%", "A" * 100_000])
def test_a_bad_drawing_is_none_and_asks_for_a_stroke(sent):
    assert plane.ink(sent) is None
    with pytest.raises(InputError, match="stroke"):
        play.scene(play.defaults() | {"density": "drawing"}, sent)


@pytest.mark.parametrize("density", ["mixture", "rings", "letters"])
def test_classes_have_the_names_of_the_engines_and_guidance_leads_to_one(density):
    values = play.defaults() | {"density": density, "text": "A B", "towards": 1, "weight": 4.0}
    found = play.scene(values, None)
    assert len(play.classes(density, "A B")) == found.law.classes and found.towards[0] == 1
    group = plane.paths(found)[-1]
    assert group["title"] == "Guidance" and len(group["tracks"]) == 3
    assert group["tracks"][2]["title"] == "Guided, weight 4"
    free, of_class, strong = (_shorts(track["states"])[-2 * track["count"]:].reshape(-1, 2)
                              for track in group["tracks"])
    members = found.law.of_class(1).means.numpy()
    away = [np.linalg.norm(ends[:, None] - members, axis=2).min(1).mean() for ends in (free, of_class)]
    # Without a class two thirds of the samples, or half of them, end elsewhere.
    assert away[1] < away[0] / 2 and not np.allclose(strong, of_class)


def test_a_drawing_has_no_class_to_be_guided_to():
    ink = base64.b64encode(np.eye(64, dtype=np.uint8).tobytes()).decode()
    found = play.scene(play.defaults() | {"density": "drawing"}, ink)
    assert found.towards is None and "Guidance" not in [group["title"] for group in plane.paths(found)]


@pytest.mark.parametrize(("change", "field"), [
    ({"weight": 11}, "weight"), ({"weight": None}, "weight"), ({"towards": 3}, "towards"),
    ({"towards": "x"}, "towards"),
    ({"steps": 1}, "steps"), ({"steps": None}, "steps"), ({"seed": -1}, "seed"),
    ({"solvers": ["resfusion"]}, "solvers"),
    ({"solvers": ["ddim"] * 5}, "solvers"), ({"schedule": "x"}, "schedule"), ({"density": "x"}, "density")])
def test_bad_settings_name_their_field(change, field):
    with pytest.raises(InputError) as caught:
        play.scene(play.defaults() | change, None)
    assert caught.value.field == field
