// An ensemble forecast to look into: maps by lead time, a place over time, skill. Everything follows from one message of
// ui/forecast/pack.py, so that no layer, threshold, unit or place asks the server.
const root = element.querySelector(".fc"), find = (selector) => root.querySelector(selector);
const stage = find(".fc-stage"), canvas = find(".fc-canvas"), lead = find(".fc-lead"), play = find(".fc-play");
const memberSlider = find(".fc-member input"), thresholdSlider = find(".fc-threshold"), exact = find(".fc-exact input"), levelSlider = find(".fc-level input");
const latBox = find(".fc-lat"), lonBox = find(".fc-lon");
const FRAME_MS = 500, CALM_MS = 1200;
let shown = null, data = null, family = {}, unit = "", layer = "mean", above = true, threshold = 0, level = 0, place = [0, 0];
let sheet = null, drawing = false, timer = null, curve = null;

const [FACTOR, OFFSET, SIGN] = [0, 1, 2];
const toUnit = (value, kind = ABSOLUTE) => value * family[unit][FACTOR] + (kind === ABSOLUTE ? family[unit][OFFSET] : 0);
const fromUnit = (value) => (value - family[unit][OFFSET]) / family[unit][FACTOR];
// How finely values are told: tenths of a hPa or degree.
const fine = () => 0.1 * family[unit][FACTOR] >= 5 ? 10 : 0.1;
const told = (value, kind = ABSOLUTE) => `${said(toUnit(value, kind), fine())} ${family[unit][SIGN]}`;
const now = () => Number(lead.value);
const size = () => data.lat.length * data.lon.length;

async function take() {
  const value = props.value;
  if (!value || !value.members || value === shown) return;
  shown = value;
  family = familyOf(value.unit);
  const scale = family[value.unit], read = (name, differs) => unpacked(value[name], scale, differs);
  const [members, climate, climateSpread, truth, past, predictability, precision] = await Promise.all([
    read("members"), read("climate"), read("climate_spread", true), read("truth"), read("past"), unpacked(value.predictability, [1, 0]), unpacked(value.precision, [1, 0])]);
  if (shown !== value) return;
  const before = data, [mean, spread] = moments(members);
  data = { ...value, members, climate, climateSpread, truth, past, predictability, precision, mean, spread, count: members.shape[0], start: Date.parse(`${value.start}Z`) };
  const same = before && before.unit === data.unit && String([before.lat, before.lon]) === String([data.lat, data.lon]);
  if (!same) { unit = data.unit; place = [Math.floor(data.lat.length / 2), Math.floor(data.lon.length / 2)]; }
  root.hidden = false;
  ranges.clear(); backdrops.clear();
  lead.max = data.leads.length - 1;
  if (!same) lead.value = Math.min(2, data.leads.length - 1);
  memberSlider.max = data.count; memberSlider.value = Math.min(same ? memberSlider.value : 1, data.count);
  data.band = spanOf(members.values);
  const wished = value.threshold === null ? USUAL[FAMILIES.indexOf(family)] : (value.threshold - scale[OFFSET]) / scale[FACTOR];
  if (wished > data.band[0] && wished < data.band[1]) threshold = value.threshold === null && same ? threshold : wished;
  else if (!same) threshold = fromUnit(neat(toUnit(data.band[0] + 0.7 * (data.band[1] - data.band[0]))));
  if (!same) level = threshold;
  stage.style.setProperty("--ratio", shapeOf(data));
  buttons();
  choose(LAYERS[layer].there() ? layer : "mean");
  skill();
}

function buttons() {
  const made = (text, pressed, act) => {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = text;
    button.setAttribute("aria-pressed", pressed);
    button.addEventListener("click", act);
    return button;
  };
  find(".fc-layers").replaceChildren(...Object.entries(LAYERS).filter(([, entry]) => entry.there()).map(([name, entry]) => {
    const button = made(entry.title, name === layer, () => choose(name));
    button.dataset.layer = name;
    return button;
  }));
  const units = Object.keys(family);
  find(".fc-units").hidden = units.length < 2;
  find(".fc-units").replaceChildren(...units.map((name) => {
    const button = made(family[name][SIGN], name === unit, () => {
      unit = name;
      for (const other of find(".fc-units").children) other.setAttribute("aria-pressed", other === button);
      choose(layer); skill();
    });
    button.dataset.unit = name;
    return button;
  }));
}

function choose(name) {
  layer = name;
  for (const button of find(".fc-layers").children) button.setAttribute("aria-pressed", button.dataset.layer === name);
  find(".fc-member").hidden = name !== "member";
  find(".fc-chance").hidden = name !== "chance";
  find(".fc-level").hidden = name !== "spaghetti";
  sliders(); legend(); update();
}

function sliders() {
  const [low, high] = rangeOf("mean").map((value) => toUnit(value)), step = niceStep(high - low, 100), round = (value) => Number(value.toFixed(6));
  for (const [slider, value] of [[thresholdSlider, threshold], [levelSlider, level]]) {
    slider.min = round(low); slider.max = round(high); slider.step = round(step); slider.value = toUnit(value);
  }
  exact.step = round(step); exact.value = said(toUnit(threshold), step).replace("\u2212", "-");
  find(".fc-unit").textContent = family[unit][SIGN];
}

function legend() {
  const entry = LAYERS[layer], box = find(".fc-legend");
  box.hidden = Boolean(entry.plain); find(".fc-lines").hidden = !entry.plain;
  find(".fc-contours").disabled = layer === "spaghetti";
  if (entry.plain) { keyed(find(".fc-lines"), entry.lines()); return; }
  const [low, high] = rangeOf(layer), ends = entry.kind === "share" ? [0, 100] : entry.kind === "number" ? [low, high] : [toUnit(low, entry.kind), toUnit(high, entry.kind)];
  const bar = box.querySelector("canvas").getContext("2d"), image = bar.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(TABLES[entry.scale]);
  bar.putImageData(image, 0, 0);
  const step = niceStep(ends[1] - ends[0], stage.clientWidth < 480 ? 4 : 8), sign = entry.kind === "share" ? "%" : entry.kind === "number" ? "" : family[unit][SIGN];
  const ticks = ticksOf(...ends, stage.clientWidth < 480 ? 4 : 8);
  find(".fc-ticks").replaceChildren(...ticks.map((value, i) => {
    const tick = document.createElement("span"), plus = entry.scale === "difference" && value > step / 2 ? "+" : "";
    const share = (value - ends[0]) / (ends[1] - ends[0]);
    tick.style.left = `${100 * share}%`;
    tick.className = share < 0.04 ? "fc-first" : share > 0.93 ? "fc-last" : "";
    tick.textContent = plus + said(value, step) + (i === ticks.length - 1 ? ` ${sign}` : "");
    return tick;
  }));
}

function update() {
  if (!data) return;
  const entry = LAYERS[layer], hours = data.leads[now()];
  sheet = smoothed(entry.map(now()), data.lat.length, data.lon.length, SMOOTH);
  if (entry.kind === "share") sheet.values.forEach((value, i) => { sheet.values[i] = Math.min(Math.max(value, 0), 1); });
  find(".fc-words").textContent = entry.words();
  find(".fc-member output").textContent = `${memberSlider.value} of ${data.count}`;
  find(".fc-level output").textContent = told(level);
  find(".fc-valid").textContent = `+${hours} h${dateOf(hours) ? ` · ${dateOf(hours)}` : ""}`;
  find(".fc-time").textContent = `+${hours} h`;
  lead.setAttribute("aria-valuetext", find(".fc-valid").textContent);
  stage.setAttribute("aria-label", `Map, ${entry.title}, ${find(".fc-valid").textContent}. Arrow keys move the place, Page up and Page down the time, Space plays.`);
  draw(); placed();
}

function dateOf(hours) {
  const date = new Date(data.start + hours * 3600000);
  if (Number.isNaN(date.getTime())) return "";
  // An invented start has a season, but no year and no weekday.
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...(data.invented ? {} : { weekday: "short", year: "numeric" }), timeZone: "UTC" }).replace(",", "");
  return `${day}, ${String(date.getUTCHours()).padStart(2, "0")} UTC`;
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; if (data && stage.clientWidth) paint(canvas, stage.clientWidth, stage.clientHeight, Math.min(window.devicePixelRatio || 1, 2), true); });
}

function paint(canvas, width, height, ratio, pointed) {
  const wide = Math.round(width * ratio), high = Math.round(height * ratio), context = canvas.getContext("2d"), entry = LAYERS[layer];
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  const theme = getComputedStyle(root), coloured = (name) => theme.getPropertyValue(name).trim();
  const surface = coloured("--fc-surface"), text = coloured("--fc-text"), grid = data, where = projection(grid, wide, high);
  const style = entry.plain ? { ratio, ink: text, halo: surface, land: coloured("--fc-land"), thread: coloured("--fc-thread"), strong: coloured("--fc-strong"), faint: 0.4 }
    : { ratio, ink: INK, halo: "rgb(255 255 255 / 75%)", land: "#3a2a20" };
  context.fillStyle = surface; context.fillRect(0, 0, wide, high);
  if (!entry.plain) shade(context, where, grid, sheet, rangeOf(layer), TABLES[entry.scale]);
  context.drawImage(backdrop(where, grid, style, find(".fc-grid").checked), 0, 0);
  if (layer === "spaghetti") noodles(context, where, style);
  else if (find(".fc-contours").checked) contoured(context, where, grid, sheet, levels(entry), (value) => levelSaid(entry, value), style);
  if (layer === "storms") stormy(context, where, data.storms, data.leads[now()], (value) => told((value - FAMILIES[0][data.unit][OFFSET]) / FAMILIES[0][data.unit][FACTOR]), style);
  if (pointed) crosshair(context, where, data.lat[place[0]], data.lon[place[1]], ratio);
}

function noodles(context, where, { ratio, thread, strong, ink, halo }) {
  const lines = (values) => drawn(contourLines(smoothed(values, data.lat.length, data.lon.length, 4), level), data, where);
  const chosen = (values, style) => strokes(context, lines(values), style);
  for (let m = 0; m < data.count; m++) chosen(mapOf(data.members, m, now()), { strokeStyle: thread, lineWidth: 1.2 * ratio, globalAlpha: data.count > 25 ? 0.5 : 0.65 });
  if (data.climate) chosen(mapOf(data.climate, now()), { strokeStyle: ink, lineWidth: 1.6 * ratio, dash: [6 * ratio, 5 * ratio], globalAlpha: 0.8 });
  const mean = lines(mapOf(data.mean, now()));
  strokes(context, mean, { strokeStyle: halo, lineWidth: 5 * ratio, globalAlpha: 0.7 });
  strokes(context, mean, { strokeStyle: strong, lineWidth: 2.8 * ratio });
  if (data.truth) chosen(mapOf(data.truth, now()), { strokeStyle: ink, lineWidth: 2.2 * ratio });
}

function levels(entry) {
  if (entry.kind === "share") return [0.1, 0.3, 0.5, 0.7, 0.9];
  const [low, high] = rangeOf(layer).map((value) => entry.kind === "number" ? value : toUnit(value, entry.kind));
  // A line along the end of a scale says nothing.
  return ticksOf(low, high, 12).filter((value) => value > low && value < high).map((value) => (entry.kind === "number" ? value : entry.kind === ABSOLUTE ? fromUnit(value) : value / family[unit][FACTOR]));
}
function levelSaid(entry, value) {
  if (entry.kind === "share") return `${Math.round(100 * value)} %`;
  const [low, high] = rangeOf(layer), shown = entry.kind === "number" ? value : toUnit(value, entry.kind);
  return said(shown, niceStep((high - low) * (entry.kind === "number" ? 1 : family[unit][FACTOR]), 12));
}

function read(lat, lon) {
  const entry = LAYERS[layer], value = valueAt(sheet, data, lat, lon), where = `${latSaid(Math.round(lat * 10) / 10)}, ${lonSaid(Math.round(lon * 10) / 10)}`;
  const words = entry.kind === "share" ? `${Math.round(100 * value)} %` : entry.kind === "number" ? said(value, 0.01) : told(value, entry.kind);
  find(".fc-read").textContent = `${where}: ${words}${layer === "spaghetti" || layer === "storms" ? " (mean)" : ""}`;
}

function go(index) {
  lead.value = Math.min(Math.max(index, 0), data.leads.length - 1);
  update();
}

function playing(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => (root.isConnected ? go((now() + 1) % data.leads.length) : clearInterval(timer)), matchMedia("(prefers-reduced-motion: reduce)").matches ? CALM_MS : FRAME_MS) : null;
  play.textContent = on ? "Pause" : "Play";
  play.setAttribute("aria-pressed", on);
}

function toPlace(lat, lon) {
  place = [Math.round(indexIn(data.lat, lat)), Math.round(indexIn(data.lon, lon))];
  draw(); placed();
  // The settings of the next run follow.
  props.value = shown = { ...shown, place: [data.lat[place[0]], data.lon[place[1]]].map((degrees) => String(Number(degrees.toFixed(3)))) };
  trigger("select");
}

const placeOf = (event) => {
  const box = stage.getBoundingClientRect(), where = projection(data, box.width, box.height);
  return [where.lat(event.clientY - box.top), where.lon(event.clientX - box.left)];
};
stage.addEventListener("click", (event) => { if (data) toPlace(...placeOf(event)); });
stage.addEventListener("pointermove", (event) => { if (data && sheet) read(...placeOf(event)); });
stage.addEventListener("pointerleave", () => { if (data && sheet) read(data.lat[place[0]], data.lon[place[1]]); });
stage.addEventListener("keydown", (event) => {
  if (!data || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
  if (arrows) {
    toPlace(data.lat[Math.min(Math.max(place[0] + arrows[0], 0), data.lat.length - 1)], data.lon[Math.min(Math.max(place[1] + arrows[1], 0), data.lon.length - 1)]);
    find(".fc-live").textContent = find(".fc-read").textContent;
  } else if (event.key === "PageUp" || event.key === "PageDown") go(now() + (event.key === "PageUp" ? 1 : -1));
  else if (event.key === " ") playing(!timer);
  else return;
  event.preventDefault();
});
lead.addEventListener("input", () => { playing(false); update(); });
play.addEventListener("click", () => data && playing(!timer));
find(".fc-before").addEventListener("click", () => { playing(false); go(now() - 1); });
find(".fc-after").addEventListener("click", () => { playing(false); go(now() + 1); });
memberSlider.addEventListener("input", update);
thresholdSlider.addEventListener("input", () => { threshold = fromUnit(Number(thresholdSlider.value)); exact.value = Number(Number(thresholdSlider.value).toFixed(6)); update(); });
exact.addEventListener("input", () => { if (exact.value === "" || !Number.isFinite(exact.valueAsNumber)) return; threshold = fromUnit(exact.valueAsNumber); thresholdSlider.value = exact.value; update(); });
levelSlider.addEventListener("input", () => { level = fromUnit(Number(levelSlider.value)); update(); });
for (const button of root.querySelectorAll(".fc-chance button")) button.addEventListener("click", () => {
  above = button.dataset.side === "above";
  for (const other of root.querySelectorAll(".fc-chance button")) other.setAttribute("aria-pressed", other === button);
  update();
});
for (const name of [".fc-contours", ".fc-grid"]) find(name).addEventListener("change", draw);
find(".fc-threads").addEventListener("change", placed);
find(".fc-numbers").addEventListener("toggle", () => data && table(here()));
for (const box of [latBox, lonBox]) box.addEventListener("change", () => { if (data && latBox.value !== "" && lonBox.value !== "") toPlace(latBox.valueAsNumber, lonBox.valueAsNumber); });
find(".fc-csv").addEventListener("click", () => data && csv());
find(".fc-picture").addEventListener("click", () => data && picture());
new ResizeObserver(() => { if (data && stage.clientWidth) { legend(); draw(); placed(); charts(); } }).observe(stage);
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", take);
take();
