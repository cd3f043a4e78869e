"""Sketches to clouds in the browser: drawing by mouse, keys and fingers, words, own clouds, results that come back."""

import base64
import io
import re
from functools import partial

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.ui.fake_task import torus

TASKS = ("pointcloud",)
FINISH_MS = 30_000
PAD, BOX, RESULT = "#pointcloud-sketch", "#pointcloud-cloud", "#pointcloud-result"


@pytest.fixture
def watched(watched):
    return partial(watched, ready=f"{PAD} .sk-drawn")


def _ink(page):
    """Which pixels of the pad are drawn on, (480, 640) bool."""
    data = base64.b64decode(_look(page, PAD).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))[..., 3] > 60


def _stroke(page, start, end):
    """From start to end, both (x, y) in shares of the pad."""
    stage = page.locator(f"{PAD} .sk-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=6)
    page.mouse.up()


def _look(page, part):
    return page.locator(f"{part} canvas").evaluate("canvas => canvas.toDataURL()")


def _changed(page, part, before):
    """Wait until a canvas shows something else."""
    page.wait_for_function(f"old => document.querySelector('{part} canvas').toDataURL() !== old", arg=before)


def _button(page, name, part=PAD):
    return page.locator(part).get_by_role("button", name=name, exact=True)


def _run(page, samples=2):
    box = page.locator("#pointcloud-samples input[type=number]")
    box.fill(str(samples))
    box.press("Tab")
    page.click("#pointcloud-run")
    expect(page.locator("#pointcloud-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator(f"{RESULT} canvas")).to_have_count(samples)


def _choose(page, mode):
    page.locator("#pointcloud-mode input").click()
    page.get_by_role("option", name=mode).click()


def test_strokes_are_drawn_undone_erased_and_kept_after_a_refusal(watched):
    found = watched()
    page = found.page
    example = _ink(page)
    assert example.any()
    _button(page, "Clear").click()
    assert not _ink(page).any()
    page.click("#pointcloud-text textarea")
    page.locator("#pointcloud-text textarea").fill("")
    page.click("#pointcloud-run")
    expect(page.locator("#pointcloud-message")).to_contain_text("neither a sketch nor a text")
    expect(page.locator(PAD)).to_have_class(re.compile("field-error"))
    requests = len(found.requests)
    _stroke(page, (0.2, 0.5), (0.8, 0.5))
    line = _ink(page)
    assert line[240, 140:500].all() and not line[:220].any()
    _stroke(page, (0.5, 0.2), (0.5, 0.8))
    assert _ink(page)[120:360, 320].all()
    page.keyboard.press("Control+z")
    assert (_ink(page) == line).all()
    page.keyboard.press("Control+Shift+Z")
    assert _ink(page)[120:360, 320].all()
    _button(page, "Undo").click()
    page.locator(f"{PAD} .sk-width input").fill("30")
    _button(page, "Eraser").click()
    _stroke(page, (0.5, 0.3), (0.5, 0.7))
    assert not _ink(page)[240, 310:330].any() and _ink(page)[240, 200]
    for _ in range(3):
        _button(page, "Undo").click()
    assert (_ink(page) == example).all()
    # Drawing costs no request; a dot is refused by the server, and stays on the pad.
    assert found.requests[requests:] == []
    _button(page, "Clear").click()
    _button(page, "Pen").click()
    page.locator(f"{PAD} .sk-width input").fill("6")
    _stroke(page, (0.4, 0.4), (0.4, 0.4))
    dot = _ink(page)
    page.click("#pointcloud-run")
    expect(page.locator("#pointcloud-message")).to_contain_text("one dot")
    assert dot.any() and (_ink(page) == dot).all()
    assert found.outside == [] and found.errors == []


def test_keys_draw_and_fingers_too(watched):
    page = watched(width=390, height=844).page
    _button(page, "Clear").click()
    stage = page.locator(f"{PAD} .sk-stage")
    stage.focus()
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowRight", " ", "ArrowDown", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    drawn = _ink(page)
    assert drawn[240, 320:350].all() and not drawn[255:].any()
    page.keyboard.press("Control+z")
    assert not _ink(page).any()
    box = stage.bounding_box()
    fingers = page.context.new_cdp_session(page)
    scrolled = page.evaluate("scrollY")
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.4), ("touchMove", 0.7), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + 0.5 * box["width"], "y": box["y"] + share * box["height"]}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert _ink(page)[110:320, 320].all() and page.evaluate("scrollY") == scrolled


def test_a_run_with_drawing_and_words_shows_samples_that_turn_together(watched):
    found = watched()
    page = found.page
    _stroke(page, (0.1, 0.1), (0.3, 0.1))
    field = page.locator("#pointcloud-text textarea")
    field.fill("a blue chiar from Jupiter")
    told = page.locator("#pointcloud-text-told")
    expect(told).to_contain_text("2 words understood. Not understood: chiar (perhaps chair), from, jupiter.")
    expect(told.locator("mark")).to_have_count(3)
    _run(page, samples=4)
    result = page.locator(RESULT)
    expect(result.locator("img")).to_have_attribute("alt", re.compile("as the model saw it"))
    expect(result.locator("figcaption").last).to_have_text("4")
    looks = "canvases => canvases.map((canvas) => canvas.toDataURL())"
    page.wait_for_timeout(300)
    before = result.locator("canvas").evaluate_all(looks)
    assert len(set(before)) == 4
    result.get_by_role("button", name="Top", exact=True).click()
    page.wait_for_timeout(600)
    assert all(now != then for now, then in zip(result.locator("canvas").evaluate_all(looks), before))
    result.get_by_role("button", name="Parts", exact=True).click()
    words = "Sample 4 of 4, 2048 points, coloured by part"
    expect(result.locator("canvas").nth(3)).to_have_attribute("aria-label", words)
    result.get_by_role("button", name="Sample 3").first.click()
    expect(result.locator("canvas")).to_have_count(1)
    expect(result.locator("canvas")).to_have_attribute("aria-label", re.compile("Sample 3 of 4"))
    assert found.errors == []
    # Where there is no GPU the renderer of models says so in the console.
    page.locator("#pointcloud-solid > button").click()
    expect(page.locator("#pointcloud-glb canvas")).to_be_visible(timeout=60_000)
    expect(page.locator("#pointcloud-which label")).to_have_text(["Shape 1", "Shape 2", "Shape 3", "Shape 4"])
    assert found.outside == []


def test_an_example_fills_the_pad_and_can_be_taken_back(watched):
    page = watched().page
    _stroke(page, (0.05, 0.9), (0.95, 0.9))
    mine, before = _ink(page), _look(page, PAD)
    page.get_by_role("button", name="Words only").click()
    expect(page.locator("#pointcloud-text textarea")).to_have_value("a blue lamp")
    expect(page.locator(f"{PAD} .sk-empty")).to_be_visible()
    _button(page, "Undo").click()
    assert (_ink(page) == mine).all()
    page.get_by_role("button", name="Ring").click()
    expect(page.locator("#pointcloud-text-told")).to_contain_text("3 words understood.")
    _changed(page, PAD, before)
    ring = _ink(page)
    rows, columns = np.nonzero(ring)
    # The ring has no corner, so its box is as wide as high, in the middle of the pad.
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 8 and abs(columns.mean() - 320) < 4 and not ring[430:].any()


def test_a_picture_file_is_drawn_into_the_pad_and_a_bad_one_is_not(watched, tmp_path):
    page = watched().page
    paper = np.full((200, 200, 3), 255, np.uint8)
    paper[95:105, 20:180] = 0
    Image.fromarray(paper).save(tmp_path / "mine.png")
    before = _look(page, PAD)
    page.locator(f"{PAD} .sk-file").set_input_files(tmp_path / "mine.png")
    _changed(page, PAD, before)
    drawn = _ink(page)
    assert drawn[240, 200:440].all() and not drawn[:200].any()
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    page.locator(f"{PAD} .sk-file").set_input_files(tmp_path / "bad.png")
    expect(page.locator(f"{PAD} .sk-error")).to_contain_text("damaged")
    assert (_ink(page) == drawn).all()


def test_a_finished_cloud_comes_back_to_be_coloured_anew(watched):
    found = watched()
    page = found.page
    _run(page)
    page.get_by_role("button", name="Use as my cloud: sample 2").click()
    expect(page.locator(f"{BOX} .sk-count")).to_have_text("2048 points, with colours")
    expect(page.locator("#pointcloud-mode input")).to_have_value("Colour a cloud anew")
    expect(page.locator(PAD)).to_be_hidden()
    words = page.locator("#pointcloud-appearance textarea")
    expect(words).to_be_focused()
    expect(words).to_have_value("a red chair")
    page.keyboard.type("all blue")
    red = _look(page, BOX)
    _run(page, samples=1)
    _button(page, "Use as my cloud", RESULT).click()
    _changed(page, BOX, red)
    _choose(page, "Create")
    expect(page.locator(PAD)).to_be_visible()
    assert _ink(page).any() and found.errors == [] and found.outside == []


def test_an_own_cloud_is_read_turned_and_kept_when_the_next_file_is_bad(watched, tmp_path):
    found = watched(width=390, scheme="dark")
    page = found.page
    _choose(page, "Find the parts")
    page.click("#pointcloud-run")
    expect(page.locator("#pointcloud-message")).to_contain_text("There is no point cloud")
    (tmp_path / "mine.xyz").write_text("\n".join("{:.5f} {:.5f} {:.5f}".format(*point) for point in torus(900)[0]))
    page.locator(f"{BOX} .sk-file").set_input_files(tmp_path / "mine.xyz")
    expect(page.locator(f"{BOX} .sk-count")).to_have_text("900 points, no colours", timeout=FINISH_MS)
    page.locator("#pointcloud-advanced > button").click()
    page.wait_for_timeout(300)
    lying = _look(page, BOX)
    page.locator("#pointcloud-up input").click()
    page.get_by_role("option", name="z", exact=True).click()
    _changed(page, BOX, lying)
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat ascii 1.0\nnonsense")
    page.locator(f"{BOX} .sk-file").set_input_files(tmp_path / "bad.ply")
    expect(page.locator(f"{BOX} .sk-error")).not_to_be_empty(timeout=FINISH_MS)
    expect(page.locator(f"{BOX} .sk-count")).to_have_text("900 points, no colours")
    _run(page, samples=1)
    expect(page.locator(f"{RESULT} canvas")).to_have_attribute("aria-label", re.compile("900 points"))
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert found.outside == [] and found.errors == []
