"""Point clouds in the live view and in the result: they form, turn, zoom, keep their camera, and cost no request."""

import re

import pytest
from playwright.sync_api import expect

TASKS = ("points",)
LIVE, RESULT, BARE = "#points-viewer", "#points-shapes", "#bare"
INK = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
  return drawn / (data.length / 4);
}"""
"""The share of a canvas that points cover."""


@pytest.fixture
def opened(watched):
    def opened(**options):
        found = watched(**options)
        found.page.wait_for_load_state("networkidle")
        return found

    return opened


def _run(page, samples=4, steps=8):
    for name, value in (("samples", samples), ("steps", steps)):
        box = page.locator(f"#points-{name} input[type=number]")
        box.fill(str(value))
        box.press("Tab")
    page.click("#points-run")
    expect(page.locator(f"{LIVE} .dv")).to_have_attribute("data-phase", "done", timeout=30_000)
    expect(page.locator(f"{RESULT} canvas")).to_be_visible()


def _look(page, part, index=0):
    """What a canvas shows once it is still and fine."""
    page.wait_for_timeout(450)
    return page.locator(f"{part} canvas").nth(index).evaluate("canvas => canvas.toDataURL()")


def _ink(page, part, index=0):
    page.wait_for_timeout(450)
    return page.locator(f"{part} canvas").nth(index).evaluate(INK)


def _drag(page, part, right, down):
    grid = page.locator(f"{part} .dv-grid")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_run_shows_clouds_that_can_be_looked_through(opened, width, scheme):
    watched = opened(width=width, scheme=scheme)
    page = watched.page
    _run(page)
    canvases = page.locator(f"{LIVE} canvas")
    expect(canvases).to_have_count(4)
    expect(page.locator(f"{LIVE} .dv-grid img")).to_have_count(0)
    words = re.compile(r"Estimate after step 8 of 8, sample 2, \d+ points")
    expect(canvases.nth(1)).to_have_attribute("aria-label", words)
    # The torus covers some of its tile; a tile that is empty or full would be wrong.
    assert all(0.05 < _ink(page, LIVE, i) < 0.8 for i in range(4))
    before, end = len(watched.requests), _look(page, LIVE)
    page.locator(f"{LIVE} .dv-scrub input").fill("0")
    expect(canvases.first).to_have_attribute("aria-label", re.compile("step 1 of 8"))
    assert _look(page, LIVE) != end
    page.locator(LIVE).get_by_role("button", name="Both").click()
    expect(canvases).to_have_count(8)
    expect(canvases.nth(1)).to_have_attribute("aria-label", re.compile("State after step 1 of 8, sample 1"))
    assert watched.requests[before:] == [] and watched.errors == [] and watched.outside == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_turning_moves_all_samples_and_stays_through_steps_and_runs(opened):
    page = opened().page
    _run(page, samples=2)
    start = [_look(page, LIVE, i) for i in range(2)]
    # Both samples are the same torus up to their noise, and at the last step there is none.
    assert start[0] == start[1]
    _drag(page, LIVE, 120, 40)
    turned = _look(page, LIVE)
    assert turned != start[0] and turned == _look(page, LIVE, 1)
    scrub = page.locator(f"{LIVE} .dv-scrub input")
    scrub.fill("0")
    scrub.fill(scrub.get_attribute("max"))
    assert _look(page, LIVE) == turned
    _run(page, samples=2)
    assert _look(page, LIVE) == turned
    page.locator(f"{LIVE} .dv-grid").dblclick()
    page.wait_for_timeout(400)
    assert _look(page, LIVE) == start[0]


def test_keys_turn_zoom_and_reset(opened):
    page = opened().page
    _run(page, samples=1)
    start, ink = _look(page, LIVE), _ink(page, LIVE)
    grid = page.locator(f"{LIVE} .dv-grid")
    grid.focus()
    page.keyboard.press("ArrowLeft")
    assert _look(page, LIVE) != start
    page.keyboard.press("ArrowRight")
    assert _look(page, LIVE) == start
    page.keyboard.press("-")
    assert _ink(page, LIVE) < 0.9 * ink
    page.keyboard.press("Home")
    page.wait_for_timeout(400)
    assert _look(page, LIVE) == start


def test_the_wheel_scrolls_the_page_until_the_view_was_clicked(opened):
    page = opened().page
    _run(page, samples=1)
    ink, grid = _ink(page, LIVE), page.locator(f"{LIVE} .dv-grid")
    grid.hover()
    page.mouse.wheel(0, 60)
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") > 0 and _ink(page, LIVE) == ink
    grid.click()
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, -120)
    assert _ink(page, LIVE) > 1.2 * ink
    assert page.evaluate("scrollY") == scrolled


def test_fingers_turn_and_pinch(opened):
    page = opened(width=390, height=844).page
    grid = page.locator(f"{BARE} .dv-grid")
    expect(grid.locator("canvas")).to_have_count(2)
    grid.scroll_into_view_if_needed()
    ink, start = _ink(page, BARE), _look(page, BARE)
    box = grid.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)
    fingers.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def touch(kind, *places):
        points = [{"x": x + right, "y": y, "id": i} for i, right in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -30, 30)
    for apart in (40, 55, 70):
        touch("touchMove", -apart, apart)
    touch("touchEnd")
    assert _ink(page, BARE) > 1.5 * ink
    touch("touchStart", -50)
    for right in (-20, 10, 40):
        touch("touchMove", right)
    touch("touchEnd")
    page.locator(BARE).get_by_role("button", name="Frontal").click()
    page.wait_for_timeout(400)
    assert _look(page, BARE) == start


def test_views_have_buttons_and_may_show_some_of_the_points(opened):
    page = opened().page
    page.emulate_media(reduced_motion="reduce")
    bare = page.locator(BARE)
    expect(bare.get_by_role("button", name="Frontal")).to_have_attribute("aria-pressed", "true")
    front, ink = _look(page, BARE), _ink(page, BARE)
    bare.get_by_role("button", name="Upper arch").click()
    expect(bare.get_by_role("button", name="Upper arch")).to_have_attribute("aria-pressed", "true")
    upper = _ink(page, BARE)
    bare.get_by_role("button", name="Frontal").click()
    assert _look(page, BARE) == front
    bare.get_by_role("button", name="Right").click()
    # A torus of radii 0.68 and 0.3 that lies flat looks the same from all sides, and larger from below.
    assert abs(_ink(page, BARE) - ink) < 0.1 * ink < 0.1 * upper
    _drag(page, BARE, 50, 0)
    expect(bare.get_by_role("button", name="Right")).to_have_attribute("aria-pressed", "false")


def test_the_result_has_samples_parts_model_and_plot(opened):
    watched = opened()
    page = watched.page
    _run(page, samples=2)
    result = page.locator(RESULT)
    expect(result.locator("canvas")).to_have_attribute("aria-label", "Sample 1 of 2, 2048 points")
    first = _look(page, RESULT)
    result.get_by_role("button", name="Sample 2").click()
    assert _look(page, RESULT) != first
    result.get_by_role("button", name="Sample 1").click()
    assert _look(page, RESULT) == first
    result.get_by_role("button", name="Parts", exact=True).click()
    expect(result.locator("canvas")).to_have_attribute("aria-label", re.compile("coloured by part"))
    parted = _look(page, RESULT)
    result.get_by_role("button", name="upper half").click()
    assert len({first, parted, _look(page, RESULT)}) == 3

    expect(page.locator("#points-plot .js-plotly-plot")).to_have_count(0)
    page.locator("#points-closer > button").click()
    expect(page.locator("#points-plot .js-plotly-plot")).to_be_visible(timeout=60_000)
    page.locator("#points-solid > button").click()
    expect(page.locator("#points-glb canvas")).to_be_visible(timeout=60_000)
    assert watched.outside == [] and watched.errors == []


def test_a_change_of_theme_is_drawn(opened):
    page = opened().page
    expect(page.locator(f"{BARE} canvas")).to_have_count(2)
    light = _look(page, BARE)
    page.evaluate("document.body.classList.toggle('dark')")
    assert _look(page, BARE) != light


def test_moves_between_two_frames_are_drawn_once(opened):
    page = opened().page
    _run(page)
    start, frames = _look(page, LIVE), 5
    drawn = page.locator(f"{LIVE} .dv-grid").evaluate("""async (grid, frames) => {
      const pen = CanvasRenderingContext2D.prototype, put = pen.putImageData, canvas = grid.querySelector("canvas");
      let drawn = 0;
      pen.putImageData = function (...given) { drawn += this.canvas === canvas; put.apply(this, given); };
      for (let i = 0; i < frames; i++) {
        for (let move = 0; move < 8; move++) grid.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
        await new Promise(requestAnimationFrame);
      }
      pen.putImageData = put;
      return drawn;
    }""", frames)
    assert drawn == frames
    assert _look(page, LIVE) != start
