// The live viewer. Keeps up to 32 frames of the newest run in the page, so looking back costs no request.
// A value is {run, phase, text, step, total, sigma, fraction, x0: [...], x: [...]}; frames are optional. What x0 and x hold is
// a picture as data URI or a cloud for points.js. Frames of an ensemble also have {weights: [shares of the shown samples],
// largest, particles, ess, anew}.
const root = element.querySelector(".dv");
const find = (selector) => root.querySelector(selector);
const grid = find(".dv-grid"), scrub = find(".dv-scrub input"), stepText = find(".dv-step");
const ensemble = find(".dv-ensemble");
const status = find(".dv-status"), live = find(".dv-live"), mark = find(".dv-mark"), fill = find(".dv-fill");
const tab = element.closest(".task-tab");
const KEEP = 32, SPEAK_MS = 2500, SILENCE_MS = 15000;
let frames = [], shown = -1, following = true, mode = "x0";
let run = null, blocked = null, phase = "idle", lastStep = null, spoken = 0, alarm = null;

function say(text, now) {
  status.textContent = text;
  if (now || Date.now() - spoken > SPEAK_MS) { live.textContent = text; spoken = Date.now(); }
}

function enter(next, text) {
  const changed = next !== phase;
  phase = next;
  root.dataset.phase = next;
  if (tab) tab.dataset.phase = next;
  if (text) say(text, changed);
  mark.hidden = !["stopped", "failed"].includes(next) || !frames.length;
  clearTimeout(alarm);
  if (busy()) alarm = setTimeout(() => enter("failed", "No answer for 15 s. Please check the connection and run again."), SILENCE_MS);
  mark.textContent = next === "failed" ? "not finished" : text || "";
}

const space = pointClouds(grid, VIEWS, find(".dv-views"));
root.classList.toggle("dv-space", VIEWS.length > 0);
find(".dv-empty").textContent = `Press Run and watch the ${WHAT} form, step by step.`;

function picture(source, title) {
  const image = document.createElement("img");
  image.src = source;
  image.alt = title;
  image.title = title;
  image.draggable = false;
  return image;
}

const isCloud = (item) => typeof item !== "string";
const ready = (items) => items.map((item) => (isCloud(item) ? space.read(item) : item));

// One node for each of these pictures or clouds.
function nodes(items, titles) {
  const clouds = items.filter(isCloud);
  root.classList.toggle("dv-points", clouds.length > 0);
  const canvases = space.show(clouds, clouds.map((cloud, i) => `${titles[i]}, ${cloud.xyz.length / 3} points`));
  return clouds.length ? canvases : items.map((item, i) => picture(item, titles[i]));
}

function weighed(node, frame, i) {
  const tile = document.createElement("figure"), words = document.createElement("figcaption"), bar = document.createElement("i");
  const percent = `${(100 * frame.weights[i]).toFixed(frame.weights[i] < 0.0995 ? 1 : 0)} %`;
  words.textContent = percent;
  if (node.alt) node.title = node.alt += `, weight ${percent}`;
  else node.setAttribute("aria-label", `${node.getAttribute("aria-label")}, weight ${percent}`);
  bar.style.width = `${100 * frame.weights[i] / Math.max(frame.largest, 1e-9)}%`;
  tile.append(node, words, bar);
  return tile;
}

function told(frame) {
  ensemble.hidden = !(frame && frame.weights);
  if (ensemble.hidden) return;
  const rest = frame.particles > frame.weights.length ? ` The first ${frame.weights.length} are shown.` : "";
  ensemble.textContent = `Effective sample size: ${frame.ess.toFixed(1)} of ${frame.particles} particles${frame.anew ? ", then drawn anew" : ""}.${rest}`;
}

function draw() {
  const frame = frames[shown];
  root.classList.toggle("dv-has-frames", Boolean(frame));
  told(frame);
  if (!frame) { grid.replaceChildren(...nodes([], [])); return; }
  const columns = { x0: [["x0", "Estimate"]], x: [["x", "State"]], both: [["x0", "Estimate"], ["x", "State"]] }[mode];
  const tiles = frame.x0.flatMap((_, i) => columns.map(([key, name]) => {
    const sample = frame.x0.length > 1 ? `, sample ${i + 1}` : "";
    return { item: frame[key][i], i, title: `${name} after step ${frame.step} of ${frame.total}${sample}` };
  }));
  const shapes = nodes(tiles.map((tile) => tile.item), tiles.map((tile) => tile.title));
  const count = tiles.length;
  const across = count === 1 ? 1 : mode === "both" && count > 2 ? 4 : 2;
  grid.style.setProperty("--across", across);
  grid.style.setProperty("--down", Math.ceil(count / across));
  shapes[0].addEventListener("load", (event) => {
    grid.style.setProperty("--shape", event.target.naturalWidth / event.target.naturalHeight);
  }, true);
  grid.replaceChildren(...shapes.map((node, j) => (frame.weights ? weighed(node, frame, tiles[j].i) : node)));
  const sigma = Number.isFinite(frame.sigma) ? `, noise ${frame.sigma.toFixed(frame.sigma < 10 ? 3 : 1)}` : "";
  stepText.textContent = `Step ${frame.step} of ${frame.total}${sigma}`;
  scrub.max = frames.length - 1;
  scrub.value = shown;
  scrub.disabled = frames.length < 2;
  scrub.setAttribute("aria-valuetext", stepText.textContent);
}

function thin() {
  const last = frames.length - 1;
  frames = frames.filter((_, i) => i % 2 === 0 || i === last);
}

function forget() {
  frames = []; shown = -1; following = true; lastStep = null;
  fill.style.width = "0";
  stepText.textContent = "No steps yet";
  scrub.max = 0; scrub.disabled = true;
  draw();
}

function take() {
  const value = props.value;
  if (!value || !value.run || value.run === blocked) return;
  if (value.run !== run) { run = value.run; forget(); }
  if (value.x0 && value.x0.length) {
    if (frames.length >= KEEP) thin();
    const { step, total, sigma, x0, x, weights, largest, particles, ess, anew } = value;
    frames.push({ step, total, sigma, x0: ready(x0), x: ready(x), weights, largest, particles, ess, anew });
    if (following) shown = frames.length - 1;
    shown = Math.min(shown, frames.length - 1);
    draw();
  }
  if (value.step) lastStep = `${value.step}/${value.total}`;
  if (value.fraction !== undefined && value.fraction !== null) fill.style.width = `${100 * value.fraction}%`;
  enter(value.phase, value.text);
}

function busy() { return ["starting", "waiting", "working"].includes(phase); }

for (const button of root.querySelectorAll(".dv-modes button")) {
  button.addEventListener("click", () => {
    mode = button.dataset.mode;
    root.dataset.mode = mode;
    for (const other of root.querySelectorAll(".dv-modes button")) other.setAttribute("aria-pressed", other === button);
    draw();
  });
}
scrub.addEventListener("input", () => {
  shown = Number(scrub.value);
  following = shown === frames.length - 1;
  draw();
});

if (tab) {
  tab.addEventListener("diffuscope:run", () => { if (!busy()) enter("starting", "Sending the inputs."); });
  tab.addEventListener("diffuscope:stop", () => {
    if (!busy()) return;
    blocked = run;
    enter("stopped", lastStep ? `stopped at ${lastStep}` : "stopped before the first step");
  });
  tab.addEventListener("diffuscope:failed", () => {
    if (busy()) enter("failed", "The run could not start. The program may be busy or out of reach; please try again.");
  });
}
watch("value", take);
