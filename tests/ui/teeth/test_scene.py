"""What the page gets of an arrangement: poses, contacts, tables and facts."""

import base64
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.tasks.base import Array
from tests.ui.teeth.fake_teeth_task import STAGES, FakeTeethTask, dentition
from ui.teeth import contacts, facts, scene, table
from ui.teeth.meshes import Crown

MESSAGE_BYTES = 1_500_000




@pytest.fixture(scope="module")
def result():
    task = FakeTeethTask()
    return list(task.run({"teeth": dentition()}, task.defaults))[-1]


@pytest.fixture(scope="module")
def message(result):
    return scene.of_result(result)


def _poses(track, teeth):
    return np.frombuffer(base64.b64decode(track["poses"]), "<i2").reshape(track["count"], teeth, 7)


def test_the_message_is_small_and_whole(message, result):
    text = json.dumps(message, allow_nan=False)
    assert len(text) < MESSAGE_BYTES / 3
    assert sum(faces for _, faces in message["sizes"]) <= scene.MOST_FACES < len(result.arrays["faces"].values)
    titles = [track["title"] for track in message["tracks"]]
    assert titles == ["Goal (mean of 4 samples)", "Sample 1", "Sample 2", "Sample 3", "Sample 4"]
    assert [track["count"] for track in message["tracks"]] == [STAGES + 1, 2, 2, 2, 2]
    assert [track["staged"] for track in message["tracks"]] == [True, False, False, False, False]


def test_poses_carry_points_where_the_motions_do(message, result):
    values = {name: array.values for name, array in result.arrays.items()}
    last = _poses(message["tracks"][0], 28)[-1]
    turns = Rotation.from_quat(last[:, :4] / scene.TURN).as_matrix()
    places = last[:, 4:] / scene.PLACE + message["origin"]
    for tooth in range(28):
        points = values["vertices"][values["tooth"] == tooth]
        moved = points @ values["goal"][tooth, :3, :3].T + values["goal"][tooth, :3, 3]
        drawn = (points - values["centres"][tooth]) @ turns[tooth].T + places[tooth]
        # Half a 250th of a millimetre for the place, and 8 mm times half a 32767th for the turn.
        assert np.allclose(moved, drawn, atol=0.005)


def test_a_track_starts_where_the_teeth_are(message):
    for track in message["tracks"]:
        first = _poses(track, 28)[0]
        assert (first[:, :4] == (0, 0, 0, scene.TURN)).all()
        assert np.allclose(first[:, 4:] / scene.PLACE + message["origin"], message["centres"], atol=0.004)


def test_a_goal_beyond_the_last_stage_is_reached_and_said(result):
    arrays = dict(result.arrays)
    arrays["stages"] = Array(arrays["stages"].values[:3], arrays["stages"].axes)
    track = scene.of_result(type(result)(arrays, result.metrics, result.recipe))["tracks"][0]
    assert track["count"] == 5 and not track["staged"]
    none = dict(arrays, stages=Array(arrays["stages"].values[:0], arrays["stages"].axes))
    assert scene.of_result(type(result)(none, result.metrics, result.recipe))["tracks"][0]["count"] == 2


def test_one_sample_has_no_choice_and_no_spread(result):
    arrays = dict(result.arrays)
    arrays["motions"] = Array(arrays["motions"].values[:1], arrays["motions"].axes)
    arrays["movement_spread"] = Array(np.zeros_like(arrays["movement_spread"].values), arrays["movement"].axes)
    found = scene.of_result(type(result)(arrays, result.metrics, result.recipe))
    assert [track["title"] for track in found["tracks"]] == ["Goal"]
    assert {cell["spread"] for row in found["rows"] for cell in row["cells"]} == {""}


def test_nearest_points_of_two_balls_lie_between_them():
    way = np.random.default_rng(0).normal(size=(4000, 3))
    ball = 3 * way / np.linalg.norm(way, axis=1, keepdims=True)
    none = np.zeros((0, 3), int)
    one, other = (Crown(11, np.array([x, 0.0, 0.0]), ball, ball / 3, none, np.zeros(3)) for x in (-5, 5))
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    turn[:3, 3] = (5, 0, 0) - turn[:3, :3] @ (5, 0, 0)
    spots = contacts.nearest((one, np.eye(4)), (other, turn))
    # 4000 points leave some 0.2 mm between them. The second ball stays where it is, turned a quarter: its point that
    # now looks to the first one looked along +y before.
    assert np.allclose(spots, [(3, 0, 0), (0, 3, 0)], atol=0.45)


def test_only_contacts_that_mean_something_are_marked():
    fdi = [13, 12, 11, 21, 43, 42, 41]
    pairs = np.array([(13, 12), (12, 11), (13, 11), (11, 21), (12, 42), (11, 41), (43, 42)])
    before = np.array([-0.5, 0.0, 3.0, 0.9, 2.0, -0.3, 0.05])
    after = np.array([0.0, 0.05, 3.0, 0.1, 2.0, -0.05, -0.2])
    # 13 and 11 have 12 between them, 12 and 42 bite apart: neither is a gap. The worst after comes first.
    found = [tuple(pairs[k].tolist()) for k in contacts.worth(fdi, pairs, before, after)]
    assert found == [(43, 42), (11, 41), (11, 21), (13, 12)]
    assert contacts.beside(fdi, 13, 12) and not contacts.beside(fdi, 13, 11) and contacts.beside([13, 11], 13, 11)
    assert not contacts.beside(fdi, 11, 41)
    assert contacts.size(-0.42) == "0.4" and contacts.size(5.0) == "≥ 5.0"


def test_contacts_of_the_message_are_those_of_the_arrays(message, result):
    values = {name: array.values for name, array in result.arrays.items()}
    assert message["contacts"] and len(message["contacts"]) < len(values["pairs"])
    for contact in message["contacts"]:
        pair = [message["fdi"][k] for k in contact["teeth"]]
        row = int(np.flatnonzero((values["pairs"] == pair).all(1))[0])
        assert contact["mm"] == pytest.approx([values["gaps_before"][row], values["gaps_after"][row]], abs=6e-4)
        assert np.abs(contact["spots"]).max() < 12


def test_a_dentition_is_drawn_as_it_stands():
    given = dentition((14,))
    found = scene.of_meshes(given.meshes)
    assert found["fdi"] == list(given.meshes) and sum(faces for _, faces in found["sizes"]) <= scene.PREVIEW_FACES
    assert {up[1] for fdi, up in zip(found["fdi"], found["ups"]) if fdi < 30} == {-1.0}


def test_the_table_says_direction_and_spread():
    movement, spread = [-0.84, 0.04, -0.04, 12.25, np.nan, 3, 1, 14], [0.21, 0.0, np.nan, 1, 1, 1, 1, 1]
    row, = table.rows([13], np.array([movement]), np.array([spread]))
    assert row["fdi"] == 13 and row["name"] == "upper right canine" and len(row["cells"]) == len(table.COLUMNS)
    assert [(cell["text"], cell["spread"]) for cell in row["cells"][:5]] == [
        ("−0.8", "± 0.2"), ("0.0", ""), ("0.0", ""), ("12.2", "± 1.0"), ("–", "")]
    assert row["cells"][4]["number"] is None and row["cells"][0]["number"] == -0.84


def test_facts_stand_before_and_after_and_are_escaped(result):
    arrays = dict(result.arrays)
    arrays["fact_names"] = Array(np.array(["<b>Overjet</b>", "Missing"]), ("fact",))
    arrays["fact_units"] = Array(np.array(["mm", "%"]), ("fact",))
    arrays["facts"] = Array(np.array([[6.24, 2.5], [np.nan, 91.3]]), ("fact", "time"))
    text = facts.facts(type(result)(arrays, {}, result.recipe))
    assert "&lt;b&gt;Overjet" in text and "<b>" not in text
    assert "<td>6.2</td><td>2.5</td><td>mm</td>" in text and "<td>–</td><td>91.3</td><td>%</td>" in text


def test_contacts_are_listed_in_words(result):
    text = facts.contacts(result)
    assert "overlap" in text and "–" in text
    assert [facts.gap(mm) for mm in (-0.42, 0.3, -0.04, 5.0, np.nan)] == [
        "overlap 0.4 mm", "gap 0.3 mm", "contact", "gap ≥ 5.0 mm", "–"]
    assert facts.gap(2.0, side_by_side=False) == "apart"
    none = Array(np.zeros(len(result.arrays["pairs"].values)), ("pair",))
    calm = dict(result.arrays, gaps_before=none, gaps_after=none)
    assert "None" in facts.contacts(type(result)(calm, {}, result.recipe))


def test_stages_notes_and_metrics_are_told(result):
    assert "6 stages, each tooth at most 0.25 mm in one." in facts.stages(result)
    found = facts.measured(type(result)(result.arrays, {"Stages": 6.0, "Worst <i>": 0.5}, result.recipe, ("a < b",)))
    assert "<dd>6</dd>" in found and "&lt;i&gt;" in found and "a &lt; b" in found
