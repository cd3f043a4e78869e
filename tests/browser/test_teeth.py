"""Tooth arrangement in the browser: a dentition that is turned and marked, a run, both jaws from before to after."""

import re

import pytest
from playwright.sync_api import expect

from tests.ui.teeth.fake_teeth_task import STAGES

TASKS = ("restoration", "teeth")
FINISH_MS = 30_000
BOX, VIEW = "#teeth-teeth", "#teeth-arrangement"
# A digest of the picture on the page: the canvas alone, without the words over it.
LOOK = """host => {
  const canvas = host.firstChild, { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let sum = 0, ink = 0;
  for (let i = 0; i < data.length; i += 4) {
    sum = (sum * 31 + data[i] + 3 * data[i + 1] + 7 * data[i + 2]) | 0;
    ink += data[i + 3] > 0;
  }
  return [sum, ink / width / height];
}"""


@pytest.fixture
def watched(watched, choose_tab):
    def opened(**how):
        found = watched(**how)
        found.page.emulate_media(reduced_motion="reduce", color_scheme=how.get("scheme", "light"))
        choose_tab(found.page, "Tooth arrangement")
        expect(found.page.locator(f"{BOX} .tb")).to_have_attribute("data-state", "full")
        return found

    return opened


def _run(page):
    page.click("#teeth-run")
    expect(page.locator("#teeth-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator(f"{VIEW} .tv-table tbody tr")).to_have_count(28)


def _look(page, part=VIEW):
    """The picture once it stands still, which is drawn fine, and the share of it that is covered by teeth."""
    page.wait_for_timeout(350)
    return tuple(page.locator(f"{part} .tv-host").evaluate(LOOK))


def _fixed(page):
    return page.locator("#teeth-fixed :is(textarea, input)").first


def _button(page, name):
    return page.locator(VIEW).get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_run_shows_both_jaws_from_before_to_after(watched, width, scheme):
    found = watched(width=width, scheme=scheme)
    page = found.page
    _run(page)
    expect(page.locator("#teeth-viewer canvas")).to_have_count(4)
    after = _look(page)
    assert 0.05 < after[1] < 0.6
    before, way = len(found.requests), page.locator(f"{VIEW} .tv-way")
    way.fill("0")
    expect(page.locator(f"{VIEW} .tv-at")).to_have_text("Before")
    start = _look(page)
    way.fill("500")
    expect(page.locator(f"{VIEW} .tv-at")).to_have_text(f"Stage 3 of {STAGES}")
    assert len({after[0], start[0], _look(page)[0]}) == 3
    page.click(f"{VIEW} .tv-play")
    expect(page.locator(f"{VIEW} .tv-at")).to_have_text(f"After: stage {STAGES} of {STAGES}")
    expect(page.locator(f"{VIEW} .tv-play")).to_have_text("Play")
    assert _look(page) == after
    assert found.requests[before:] == [] and found.errors == [] and found.outside == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    box = page.locator(f"{VIEW} .tv-scroll").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    expect(page.locator("#teeth-result")).to_contain_text("Research use, not for treatment.")
    for word in ("Overjet", "Collisions and gaps", f"{STAGES} stages", "This is a test double."):
        expect(page.locator("#teeth-facts")).to_contain_text(word)
    expect(page.locator("#teeth-files a").first).to_be_visible()


def test_views_jaws_samples_and_colours_change_the_picture(watched):
    page = watched().page
    _run(page)
    looks = {_look(page)}
    for name in ("Upper arch", "Lower arch", "Right", "Left"):
        _button(page, name).click()
        expect(_button(page, name)).to_have_attribute("aria-pressed", "true")
        looks.add(_look(page))
    _button(page, "Upper arch").click()
    expect(page.locator(f"{VIEW} [data-jaw=upper]")).to_have_attribute("aria-pressed", "true")
    plain = _look(page)
    for choice in ("movement", "contacts"):
        page.click(f"{VIEW} [data-paint={choice}]")
        looks.add(_look(page))
        expect(page.locator(f"{VIEW} .tv-legend")).to_contain_text("mm")
    page.select_option(f"{VIEW} .tv-track", "2")
    expect(page.locator(f"{VIEW} .tv-legend")).to_contain_text("for the goal only")
    expect(page.locator(f"{VIEW} .tv-at")).to_have_text("After")
    page.click(f"{VIEW} [data-paint=ivory]")
    looks.add(_look(page))
    page.select_option(f"{VIEW} .tv-track", "0")
    page.check(f"{VIEW} .tv-ghost")
    looks.add(_look(page))
    page.uncheck(f"{VIEW} .tv-ghost")
    assert len(looks) == 9 and _look(page) == plain
    page.click(f"{VIEW} [data-jaw=lower]")
    assert _look(page) != plain


def test_a_tooth_is_chosen_in_the_picture_and_in_the_table_alike(watched):
    page = watched().page
    _run(page)
    _button(page, "Upper arch").click()
    plain = _look(page)
    rows = page.locator(f"{VIEW} .tv-table tbody tr")
    rows.filter(has_text="22").get_by_role("button", name="Tooth 22").click()
    expect(page.locator(f"{VIEW} .tv-read")).to_contain_text("22, upper left lateral incisor: moved")
    expect(page.locator(f"{VIEW} .tv-chosen")).to_have_count(1)
    assert _look(page) != plain
    page.select_option(f"{VIEW} .tv-track", "1")
    expect(page.locator(f"{VIEW} .tv-read")).to_contain_text("in sample 1.")
    page.select_option(f"{VIEW} .tv-track", "0")
    page.keyboard.press("Tab")

    host = page.locator(f"{VIEW} .tv-host")
    host.scroll_into_view_if_needed()
    box = host.bounding_box()
    # The first upper molars stand left and right of the picture's middle, where the other teeth are not.
    for share in (0.06, 0.1, 0.14, 0.18, 0.22, 0.26):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.6 * box["height"])
        if page.locator(f"{VIEW} .tv-tip").is_visible():
            break
    expect(page.locator(f"{VIEW} .tv-tip")).to_have_text(re.compile(r"1\d: \d\.\d mm"))
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(f"{VIEW} .tv-read")).to_contain_text(", upper right")
    expect(page.locator(f"{VIEW} .tv-chosen button")).to_have_attribute("aria-pressed", "true")

    moved = page.locator(f"{VIEW} .tv-table thead th").nth(7)
    cells = page.locator(f"{VIEW} .tv-table tbody td:nth-child(8)")

    def sizes():
        return [float(text.split()[0]) for text in cells.all_inner_texts()]

    given = sizes()
    for order, sort in (("descending", sorted(given)[::-1]), ("ascending", sorted(given))):
        moved.locator("button").press("Enter")
        expect(moved).to_have_attribute("aria-sort", order)
        assert sizes() == sort != given
    moved.locator("button").press("Enter")
    assert sizes() == given


def test_teeth_are_kept_by_chart_keyboard_and_setting(watched):
    found = watched()
    page = found.page
    tooth = page.locator(f"{BOX} .tb-row button", has_text="16")
    tooth.click()
    expect(_fixed(page)).to_have_value("16")
    expect(tooth).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(_fixed(page)).to_have_value("16-15")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{BOX} .tb-row button", has_text="45")).to_be_focused()
    _fixed(page).fill("21, 99 45-43")
    _fixed(page).blur()
    expect(_fixed(page)).to_have_value("21,99,45-43")
    expect(page.locator(f"{BOX} .tb-kept")).to_have_text("Kept where they are: 21, 45, 44, 43.")
    page.locator(f"{BOX} .tb-row button", has_text="44").click()
    expect(_fixed(page)).to_have_value("21,45,43")
    _run(page)
    row = page.locator(f"{VIEW} .tv-table tbody tr", has=page.get_by_role("button", name="Tooth 21"))
    expect(row.locator("td").nth(6)).to_have_text("0.0")

    page.get_by_role("button", name="Missing tooth").click()
    expect(page.locator(f"{BOX} .tb-row button[data-state=absent]")).to_have_count(6)
    expect(page.locator(f"{BOX} .tb-row button[aria-pressed=true]")).to_have_count(2)
    assert found.errors == []


def test_the_teeth_of_the_box_turn_and_survive_a_reload_of_settings(watched, choose_tab):
    page = watched().page
    page.locator(f"{BOX} .tb-row button", has_text="16").click()
    expect(_fixed(page)).to_have_value("16")
    start = _look(page, BOX)
    assert start[1] > 0.05
    host = page.locator(f"{BOX} .tv-host")
    host.focus()
    page.keyboard.press("ArrowLeft")
    assert _look(page, BOX) != start
    page.keyboard.press("ArrowRight")
    assert _look(page, BOX) == start
    box = host.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 110, steps=4)
    page.mouse.up()
    assert _look(page, BOX) != start
    page.keyboard.press("Home")
    assert _look(page, BOX) == start
    page.reload()
    page.locator(".run-button").first.wait_for()
    choose_tab(page, "Tooth arrangement")
    expect(_fixed(page)).to_have_value("16")
    expect(page.locator(f"{BOX} .tb-row button[aria-pressed=true]")).to_have_text("16")


def test_bad_files_leave_the_teeth_and_their_names_are_not_told(watched, tmp_path):
    found = watched()
    page = found.page
    (tmp_path / "Doe-11.stl").write_text("this is no mesh")
    before = _look(page, BOX)
    page.locator(f"{BOX} .tb-file").set_input_files(tmp_path / "Doe-11.stl")
    error = page.locator(f"{BOX} .tb-error")
    expect(error).not_to_be_empty(timeout=FINISH_MS)
    assert "Doe" not in error.inner_text() and "/tmp" not in error.inner_text()
    assert _look(page, BOX) == before
    _run(page)
    assert found.errors == [] and found.outside == []
