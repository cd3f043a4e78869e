"""The laboratory in a browser, on the mixture in the plane, where a run takes a second."""

import json
import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from engine import grids, schedules
from engine.solvers.plans_named import named

FINISH_MS = 60_000


@pytest.fixture
def open_view(choose_tab):
    def opened(page, view):
        choose_tab(page, "Laboratory")
        choose_tab(page, view)

    return opened


def _run(page, view, phase="done"):
    page.click(f"#{view}-run")
    expect(page.locator(f"#{view}-progress .lp")).to_have_attribute("data-phase", phase, timeout=FINISH_MS)


def _pick(page, selector, option):
    page.locator(f"{selector} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def _fits(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_comparison_fills_its_cells_and_can_be_exported(open_page, open_view, tmp_path):
    watched = open_page()
    page = watched.page
    open_view(page, "Compare")
    _run(page, "compare")
    cells = page.locator("#compare-sheet .ls-cell")
    expect(cells).to_have_count(12)
    expect(page.locator("#compare-sheet .ls-cell img")).to_have_count(12)
    expect(cells.first).to_contain_text("error")
    expect(cells.first).to_contain_text("5 calls")

    before = len(watched.requests)
    cells.nth(0).click()
    cells.nth(3).click()
    expect(page.locator(".ls-pair-text")).to_contain_text("Right: Solver DDIM, Steps 50")
    page.locator(".ls-slide input").fill("20")
    assert [url for url in watched.requests[before:] if not url.startswith("data:")] == []

    with page.expect_download() as download:
        page.locator("#compare-files a", has_text=re.compile("KB|B")).nth(1).click()
    path = tmp_path / "comparison.json"
    download.value.save_as(path)
    numbers = json.loads(path.read_text())
    assert len(numbers["cells"]) == 12
    assert watched.errors == [] and watched.outside == []


def test_a_cell_that_fails_says_why_and_the_rest_goes_on(open_page, open_view):
    page = open_page().page
    open_view(page, "Compare")
    page.wait_for_load_state("networkidle")
    # On an axis nothing is adapted: these PNDM solvers refuse any spacing but the even one.
    _pick(page, "#compare-across", "Spacing")
    expect(page.locator("#compare-across_values")).to_contain_text("karras")
    page.locator("#compare-down_values input").click()
    page.get_by_role("option", name="S-PNDM", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator("#compare-cost")).to_contain_text("16 runs")
    _run(page, "compare")
    expect(page.locator("#compare-sheet .ls-failed")).to_have_count(3)
    expect(page.locator("#compare-sheet .ls-failed .ls-reason").first).to_contain_text("spacing")
    expect(page.locator("#compare-sheet .ls-cell img")).to_have_count(13)


@pytest.fixture
def plan_files(tmp_path):
    """A good plan of 6 calls, one that goes back to more noise, one of another version, and no plan at all."""
    schedule = schedules.vp_discrete("linear")
    good = json.loads(replace(named("dpmpp_2m", grids.make("log_snr", schedule, 6), schedule), title="mine").write())
    levels = good["log_snr"]
    texts = {"good": good, "falling": good | {"log_snr": [levels[0], levels[0] - 1, *levels[2:]]},
             "version": good | {"version": 7}}
    paths = {name: tmp_path / f"{name}.json" for name in texts} | {"text": tmp_path / "text.txt"}
    for name, values in texts.items():
        paths[name].write_text(json.dumps(values))
    paths["text"].write_text("not JSON")
    return paths


@pytest.mark.parametrize("view", ["compare", "curves"])
def test_an_own_plan_is_checked_and_then_run(open_page, open_view, plan_files, view):
    watched = open_page()
    page = watched.page
    open_view(page, {"compare": "Compare", "curves": "Error curves"}[view])
    page.wait_for_load_state("networkidle")
    page.locator(f"#{view}-plans button").first.click()
    upload, said = page.locator(f"#{view}-plan input[type=file]").first, page.locator(f"#{view}-message .notice")
    for name, words in (("falling", "It must rise"), ("version", "version is 7"), ("text", "not readable")):
        upload.set_input_files(str(plan_files[name]))
        expect(said).to_contain_text(words)
        expect(page.locator(f"#{view}-plan")).to_have_class(re.compile("field-error"))
        expect(page.locator(f"#{view}-plan-told li")).to_have_count(0)
    upload.set_input_files(str(plan_files["good"]))
    expect(page.locator(f"#{view}-plan-told")).to_contain_text("Plan 1: 6 calls")
    expect(said).to_be_hidden()

    menu, values = {"compare": ("down_values", "across_values"), "curves": ("solvers", "calls")}[view]
    page.locator(f"#{view}-{menu} input").click()
    page.get_by_role("option", name="Searched plan", exact=True).click()
    page.keyboard.press("Escape")
    box = page.locator(f"#{view}-{values} input")
    box.click()
    box.fill("6")
    box.press("Enter")
    page.keyboard.press("Escape")
    _run(page, view)
    if view == "compare":
        row = page.locator("#compare-sheet .ls-cell", has_text="Steps 6")
        expect(row).to_have_count(4)
        expect(row.nth(3)).to_contain_text("6 calls")
    else:
        expect(page.locator("#curves-orders tr", has_text="Searched plan")).to_have_count(1)
    assert watched.errors == [] and watched.outside == []


def test_a_stored_plan_can_be_downloaded(open_page, open_view, tmp_path):
    page = open_page().page
    open_view(page, "Compare")
    page.wait_for_load_state("networkidle")
    page.locator("#compare-plans button").first.click()
    page.locator("#compare-stored input").click()
    page.get_by_role("option", name="Mixture in the plane: 5 calls").first.click()
    button = page.locator("#compare-download")
    expect(button).to_be_enabled()
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "mixture_05.json"
    download.value.save_as(tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text())["model"] == "mixture"


def test_a_view_that_is_opened_fills_itself_once(open_page, open_view):
    watched = open_page()
    page = watched.page
    page.wait_for_load_state("networkidle")
    open_view(page, "Compare")
    expect(page.locator("#compare-progress .lp")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator("#compare-sheet .ls-cell img")).to_have_count(12)
    open_view(page, "Playground")
    expect(page.locator("#play-progress .lp")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator(".pg-time input")).to_have_attribute("max", "23")
    open_view(page, "Compare")
    open_view(page, "Playground")
    page.wait_for_timeout(1000)
    expect(page.locator("#play-progress .lp")).to_have_attribute("data-phase", "done")
    assert watched.errors == [] and watched.outside == []


@pytest.fixture
def opened_with_letters(open_page, open_view):
    """A page whose Playground has been opened with settings that take it many seconds to fill itself."""
    page = open_page().page
    page.wait_for_load_state("networkidle")
    open_view(page, "Playground")
    _run(page, "play")
    _pick(page, "#play-density", "Letters")
    expect(page.locator("#play-text")).to_be_visible()
    page.wait_for_timeout(800)
    page.reload()
    page.locator(".run-button").first.wait_for()
    page.wait_for_load_state("networkidle")
    open_view(page, "Playground")
    expect(page.locator("#play-progress .lp")).to_have_attribute("data-phase", "working", timeout=FINISH_MS)
    return page


def test_stop_ends_what_a_view_started_itself(opened_with_letters):
    page = opened_with_letters
    # At once: a click waits until the page stands still, by when a busy machine may have finished the run.
    page.locator("#play-stop").dispatch_event("click")
    expect(page.locator("#play-progress .lp")).to_have_attribute("data-phase", "stopped")
    seen = page.locator(".pg-time input").get_attribute("max")
    page.wait_for_timeout(2500)
    assert page.locator(".pg-time input").get_attribute("max") == seen != "23"


def test_a_run_takes_over_from_what_a_view_started_itself(opened_with_letters):
    page = opened_with_letters
    _pick(page, "#play-density", "Mixture of three")
    page.click("#play-run")
    page.wait_for_timeout(500)
    expect(page.locator("#play-progress .lp")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator(".pg-time input")).to_have_attribute("max", "23")
    page.locator(".pg-pick select").select_option("Guidance")
    expect(page.locator(".pg-legend")).to_contain_text("Class right")


def test_noise_is_steered_to_its_end(open_page, open_view):
    watched = open_page()
    page = watched.page
    open_view(page, "Steer")
    page.wait_for_load_state("networkidle")
    for name, value in (("steps", "3"), ("iterations", "3"), ("samples", "1")):
        page.locator(f"#steer-{name} input[type=number]").fill(value)
        page.locator(f"#steer-{name} input[type=number]").press("Tab")
    expect(page.locator("#steer-cost")).to_contain_text("4 runs x 3 steps")
    page.click("#steer-run")
    expect(page.locator("#steer-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    expect(page.locator("#steer-chart .scatterlayer .trace")).to_have_count(1)
    expect(page.locator("#steer-slider img").first).to_be_visible()
    expect(page.locator("#steer-cost")).to_contain_text("calls, about")
    assert watched.errors == [] and watched.outside == []


def test_what_cannot_run_is_said_before_and_at_the_field(open_page, open_view):
    page = open_page().page
    open_view(page, "Compare")
    page.wait_for_load_state("networkidle")
    box = page.locator("#compare-across_values input")
    box.click()
    box.fill("0")
    box.press("Enter")
    expect(page.locator("#compare-cost")).to_contain_text("It must be a whole number")
    _run(page, "compare", "failed")
    expect(page.locator("#compare-message .notice")).to_contain_text("It must be a whole number")
    page.get_by_role("button", name="Solvers and steps").click()
    expect(page.locator("#compare-cost")).to_contain_text("12 runs")
    _run(page, "compare")


def test_stop_ends_a_comparison_and_keeps_its_cells(open_page, open_view):
    page = open_page().page
    open_view(page, "Compare")
    page.wait_for_load_state("networkidle")
    box = page.locator("#compare-across_values input")
    box.click()
    box.fill("900")
    box.press("Enter")
    page.keyboard.press("Escape")
    _pick(page, "#compare-blocks", "Seed")
    expect(page.locator("#compare-cost")).to_contain_text("45 runs")
    page.click("#compare-run")
    expect(page.locator("#compare-sheet .ls-cell")).to_have_count(45, timeout=FINISH_MS)
    expect(page.locator("#compare-sheet .ls-cell img").first).to_be_visible(timeout=FINISH_MS)
    page.click("#compare-stop")
    expect(page.locator("#compare-progress .lp")).to_have_attribute("data-phase", "stopped")
    page.wait_for_timeout(1500)
    found = page.locator("#compare-sheet .ls-cell img").count()
    assert 1 <= found < 45
    page.wait_for_timeout(1500)
    assert page.locator("#compare-sheet .ls-cell img").count() == found
    page.get_by_role("button", name="Solvers and steps").click()
    expect(page.locator("#compare-cost")).to_contain_text("12 runs")
    _run(page, "compare")


def test_settings_survive_a_reload(open_page, open_view):
    page = open_page().page
    open_view(page, "Compare")
    page.wait_for_load_state("networkidle")
    _pick(page, "#compare-across", "Spacing")
    expect(page.locator("#compare-steps")).to_be_visible()
    page.wait_for_timeout(800)
    page.reload()
    page.locator(".run-button").first.wait_for()
    open_view(page, "Compare")
    expect(page.locator("#compare-across input")).to_have_value("Spacing")
    expect(page.locator("#compare-across_values")).to_contain_text("karras")
    expect(page.locator("#compare-steps")).to_be_visible()


def test_curves_show_the_measured_order(open_page, open_view):
    watched = open_page()
    page = watched.page
    open_view(page, "Error curves")
    expect(page.locator("#curves-chart .js-plotly-plot")).to_be_visible(timeout=FINISH_MS)
    _run(page, "curves")
    expect(page.locator("#curves-chart .scatterlayer .trace")).to_have_count(4)
    row = page.locator("#curves-orders tr", has_text="DDIM")
    # The card's table of orders: DDIM's slope is 1 within a tenth also between 20 and 50 steps.
    assert abs(float(row.locator("td").nth(2).inner_text()) - 1) < 0.1
    assert watched.errors == [] and watched.outside == []


def test_the_playground_is_looked_through_without_the_server(open_page, open_view):
    watched = open_page()
    page = watched.page
    open_view(page, "Playground")
    _run(page, "play")
    slider = page.locator(".pg-time input")
    expect(slider).to_have_attribute("max", "23")
    before = len(watched.requests)
    shown = page.evaluate("document.querySelector('.pg-canvas').toDataURL().length")
    slider.fill("0")
    expect(page.locator(".pg-at")).to_contain_text("Time 1.00")
    for layer in ("score", "velocity", "denoise", "flow"):
        page.locator(f".pg input[data-layer={layer}]").check()
    assert page.evaluate("document.querySelector('.pg-canvas').toDataURL().length") != shown
    page.locator(".pg-pick select").select_option("Noise to data, three ways")
    expect(page.locator(".pg-legend li")).to_have_count(3)
    assert watched.requests[before:] == [] and watched.errors == []


def test_a_density_can_be_drawn(open_page, open_view):
    page = open_page().page
    open_view(page, "Playground")
    page.wait_for_load_state("networkidle")
    _pick(page, "#play-density", "Your own drawing")
    pad = page.locator("#play-drawing canvas")
    expect(pad).to_be_visible()
    _run(page, "play", "failed")
    expect(page.locator("#play-message .notice")).to_contain_text("stroke")
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 180, box["y"] + 150, steps=6)
    page.mouse.up()
    _run(page, "play")
    expect(page.locator("#play-message .notice")).to_be_hidden()


def test_the_bound_stands_beside_the_truth(open_page, open_view):
    watched = open_page()
    page = watched.page
    open_view(page, "Theory")
    _run(page, "theory")
    expect(page.locator("#theory-bars .bars .point")).to_have_count(3 * 40)
    values = [float(text) for text in page.locator("#theory-numbers dd").all_inner_texts()]
    assert values[4] < values[3]
    assert watched.errors == [] and watched.outside == []


def test_drawers_open_and_show_equations(open_page, open_view):
    watched = open_page()
    page = watched.page
    open_view(page, "Solvers")
    drawer = page.locator("#drawer-unipc_2")
    drawer.locator("summary").click()
    expect(drawer.locator(".katex-display")).to_be_visible()
    expect(drawer).to_contain_text("arXiv 2302.04867")
    assert page.locator("#solver-drawers .katex-error").count() == 0
    assert watched.errors == [] and watched.outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(open_page, open_view, scheme):
    page = open_page(width=390, height=844, scheme=scheme).page
    for view, name in (("Compare", "compare"), ("Playground", "play"), ("Solvers", "")):
        open_view(page, view)
        if name:
            _run(page, name)
        assert _fits(page)
