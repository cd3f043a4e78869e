"""Forecast maps in the browser: layers, lead times, a place, units and skill, all without asking the server."""

import csv
import re

import numpy as np
import pytest
from playwright.sync_api import expect

TASKS = ("forecast", "restoration")
FINISH_MS = 30_000
MAP = "#forecast-map"


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A NetCDF file of 30 days of pressure on the model's grid, north first, in Pa."""
    import xarray

    lat, lon = np.arange(60, 19, -2.5), np.arange(280, 361, 2.5)
    times = np.arange("2008-06-15", "2008-07-15", dtype="datetime64[D]").astype("datetime64[ns]")
    values = 101_000 + 800 * np.sin(np.arange(30))[:, None, None] * np.cos(np.deg2rad(3 * lon)) * np.ones((1, 17, 1))
    path = tmp_path_factory.mktemp("field") / "pressure.nc"
    data = xarray.Dataset({"slp": (("time", "lat", "lon"), values.astype(np.float32),
                                   {"units": "Pa", "standard_name": "air_pressure_at_mean_sea_level"})},
                          {"time": times, "lat": ("lat", lat, {"units": "degrees_north"}),
                           "lon": ("lon", lon, {"units": "degrees_east"})})
    data.to_netcdf(path, engine="h5netcdf")
    return path


def _run(page):
    page.click("#forecast-run")
    expect(page.locator("#forecast-viewer .dv")).to_have_attribute("data-phase", "done", timeout=FINISH_MS)
    page.locator(f"{MAP} [data-layer=mean]").wait_for()


def _ink(page):
    """A number that changes with the picture of the map."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(f"""() => {{
        const canvas = document.querySelector('{MAP} .fc-canvas');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0;
        for (let i = 0; i < pixels.length; i += 4) sum = (sum * 31 + pixels[i] + 7 * pixels[i + 2]) % 1000003;
        return sum;
    }}""")


def _read(page):
    """The number in the line below the map."""
    text = page.locator(f"{MAP} .fc-read").inner_text().replace("\u2212", "-")
    return float(re.search(r": (-?[\d.]+)", text).group(1))


def _slide(page, selector, value):
    page.locator(f"{MAP} {selector}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value)


def test_layers_times_and_thresholds_need_no_server(watched):
    found = watched()
    page = found.page
    _run(page)
    requests, seen = len(found.requests), set()
    for layer in ("mean", "member", "spread", "anomaly", "chance", "spaghetti", "storms", "precision"):
        page.click(f"{MAP} [data-layer={layer}]")
        expect(page.locator(f"{MAP} [data-layer={layer}]")).to_have_attribute("aria-pressed", "true")
        seen.add(_ink(page))
    assert len(seen) == 8
    page.click(f"{MAP} [data-layer=chance]")
    shares = []
    for value in (980, 1000, 1020):
        _slide(page, ".fc-threshold", value)
        shares.append(_read(page))
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1]
    above = _read(page)
    page.click(f"{MAP} [data-side=below]")
    assert _read(page) == 100 - above
    page.locator(f"{MAP} .fc-exact input").fill("1001.5")
    expect(page.locator(f"{MAP} .fc-words")).to_contain_text("below 1001.5 hPa")

    before = _ink(page)
    _slide(page, ".fc-lead", 8)
    expect(page.locator(f"{MAP} .fc-valid")).to_have_text("+216 h · 10 Jul, 00 UTC")
    assert _ink(page) != before
    assert [target for target in found.requests[requests:] if not target.startswith(("data:", "blob:"))] == []
    assert found.errors == [] and found.outside == []


def test_a_place_by_mouse_keyboard_and_numbers(watched):
    page = watched().page
    page.locator("#forecast-advanced button").first.click()
    _run(page)
    stage, head = page.locator(f"{MAP} .fc-stage"), page.locator(f"{MAP} .fc-place h3")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    stage.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    expect(head).to_have_text("Place 40° N, 60° W")
    # The settings of the next run know the place, too.
    expect(page.locator("#forecast-place_lat :is(input, textarea)")).to_have_value("40")
    expect(page.locator("#forecast-place_lon :is(input, textarea)")).to_have_value("-60")
    stage.press("ArrowRight")
    stage.press("ArrowUp")
    expect(head).to_have_text("Place 42.5° N, 57.5° W")
    expect(page.locator("#forecast-place_lat :is(input, textarea)")).to_have_value("42.5")
    page.locator(f"{MAP} .fc-lat").fill("51")
    page.locator(f"{MAP} .fc-lon").fill("-11")
    page.locator(f"{MAP} .fc-lon").press("Enter")
    expect(head).to_have_text("Place 50° N, 10° W")
    page.locator(f"{MAP} .fc-numbers summary").click()
    rows = page.locator(f"{MAP} .fc-numbers tbody tr")
    expect(rows).to_have_count(10)
    cells = [float(text) for text in rows.nth(4).locator("td").all_inner_texts()[2:7]]
    assert cells == sorted(cells)
    stage.press("PageUp")
    expect(rows.nth(3)).to_have_attribute("aria-current", "true")
    page.locator(f"{MAP} .fc-plume svg").click(position={"x": box["width"] - 14, "y": 80})
    expect(rows.nth(9)).to_have_attribute("aria-current", "true")


def test_the_plume_is_in_the_file_of_the_place_and_units_agree(watched):
    page = watched().page
    page.get_by_role("button", name="North America").click()
    expect(page.locator("#forecast-domain input")).to_have_value("Temperature, North America")
    _run(page)
    kelvin = _read(page)
    page.click(f"{MAP} [data-unit=C]")
    celsius = _read(page)
    page.click(f"{MAP} [data-unit=F]")
    # Readings have one decimal.
    assert celsius == pytest.approx(kelvin - 273.15, abs=0.11)
    assert _read(page) == pytest.approx(celsius * 1.8 + 32, abs=0.2)
    expect(page.locator(f"{MAP} .fc-ticks span").last).to_contain_text("°F")
    with page.expect_download() as download:
        page.click(f"{MAP} .fc-csv")
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert len(rows) == 20 and rows[2]["valid_utc"] == "2008-07-01T18:00" and rows[0]["unit"] == "F"
    members = [float(rows[2][f"member_{number}"]) for number in range(1, 21)]
    # What the page knows is rounded to a hundredth of a degree.
    assert float(rows[2]["mean"]) == pytest.approx(np.mean(members), abs=0.01)
    assert float(rows[2]["q25"]) == pytest.approx(np.quantile(members, 0.25), abs=0.01)
    assert _read(page) == pytest.approx(np.mean(members), abs=0.06)
    page.click(f"{MAP} [data-layer=spread]")
    assert _read(page) == pytest.approx(np.std(members, ddof=1), abs=0.06)
    page.click(f"{MAP} [data-layer=anomaly]")
    assert _read(page) == pytest.approx(np.mean(members) - float(rows[2]["climate"]), abs=0.06)
    with page.expect_download() as download:
        page.click(f"{MAP} .fc-picture")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_play_goes_through_the_times_and_stops(watched):
    page = watched().page
    _run(page)
    valid, play = page.locator(f"{MAP} .fc-valid"), page.locator(f"{MAP} .fc-play")
    before = valid.inner_text()
    play.click()
    expect(play).to_have_text("Pause")
    expect(valid).not_to_have_text(before)
    play.click()
    expect(play).to_have_text("Play")
    held = valid.inner_text()
    page.wait_for_timeout(1200)
    assert valid.inner_text() == held


def test_a_file_gives_starts_and_skill(watched, field, tmp_path):
    found = watched()
    page = found.page
    expect(page.locator("#forecast-field .ff-none")).to_be_visible()
    (tmp_path / "bad.nc").write_text("no maps")
    page.locator("#forecast-field .pic-file").set_input_files(tmp_path / "bad.nc")
    expect(page.locator("#forecast-field .pic-error")).not_to_be_empty()
    assert "bad.nc" not in page.locator("#forecast-field .pic-error").inner_text()

    page.locator("#forecast-field .pic-file").set_input_files(field)
    about = page.locator("#forecast-field .ff-about")
    expect(about).to_contain_text("17 x 33 points, 2.5°", timeout=FINISH_MS)
    expect(about).to_contain_text("24 h, 30 maps")
    expect(page.locator("#forecast-field .ff-after")).to_contain_text("nothing to judge")
    page.locator("#forecast-field .ff-date").fill("2008-07-01")
    page.locator("#forecast-field .ff-date").press("Tab")
    expect(page.locator("#forecast-field .ff-after")).to_contain_text("goes on for 13 days")
    expect(page.locator("#forecast-start :is(input, textarea)")).to_have_value("2008-07-01T00:00")
    _run(page)
    expect(page.locator(f"{MAP} .fc-valid")).to_have_text("+72 h · Fri 4 Jul 2008, 00 UTC")
    expect(page.locator(f"{MAP} .fc-curve svg")).to_be_visible()
    expect(page.locator(f"{MAP} .fc-skill .fc-key li").first).to_contain_text("this forecast")
    page.click(f"{MAP} [data-score=rmse]")
    expect(page.locator(f"{MAP} .fc-score-words")).to_contain_text("Root mean squared error")
    expect(page.locator(f"{MAP} .fc-rank .fc-bin")).to_have_count(21)
    for layer in ("truth", "error"):
        page.click(f"{MAP} [data-layer={layer}]")
    page.click("#forecast-field .ff-remove")
    expect(page.locator("#forecast-start :is(input, textarea)")).to_have_value("")
    _run(page)
    expect(page.locator(f"{MAP} .fc-skill")).to_be_hidden()
    expect(page.locator(f"{MAP} [data-layer=truth]")).to_have_count(0)
    assert found.errors == [] and found.outside == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nothing_is_wider_than_the_screen_and_the_plume_lies_below_the_map(watched, width, scheme):
    found = watched(width=width, height=844, scheme=scheme)
    page = found.page
    _run(page)
    tops = set()
    for layer in ("mean", "member", "chance", "spaghetti", "storms"):
        page.click(f"{MAP} [data-layer={layer}]")
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        tops.add(page.evaluate(f"document.querySelector('{MAP} .fc-stage').getBoundingClientRect().top + scrollY"))
    assert len(tops) == 1, "the map jumps when the layer changes"
    stage, plume = (page.locator(f"{MAP} {part}").bounding_box() for part in (".fc-stage", ".fc-plume"))
    assert plume["y"] > stage["y"] + stage["height"] and abs(plume["width"] - stage["width"]) < 40
    assert found.errors == []
